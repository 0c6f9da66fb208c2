"""The entries of torch's list that have no counterpart here, each with the reason.

Must not know how the others are compared.
"""

_REASONS: dict[str, str] = {
    "there is no complex number of two halves": """
        chalf
    """,
    "sparse tensors are out of scope": "sparse.sampled_addmm sparse.mm:reduce to_sparse",
    "products of 8-bit floats for one make of processor are out of scope":
        "torch._scaled_mm_v2 torch._scaled_mm",
    "a kernel of another device, whose function is mapped as scaled_dot_product_attention": """
        torch.ops.aten._flash_attention_forward torch.ops.aten._efficient_attention_forward
    """,
    "compiles CUDA source at run time: out of scope": """
        jiterator_unary jiterator_binary jiterator_4inputs_with_extra_args
        jiterator_binary_return_by_ref jiterator_2inputs_2outputs
    """,
    "samples grow a tensor: what memory has not is refused": "resize_ resize_as_",
    "strides are our own affair: no tensor is made with given ones": """
        new_empty_strided empty_strided empty_permuted
    """,
    "the view's memory is larger than the view, and samples come here as values": """
        as_strided:partial_views
    """,
    "a private function of torch's own derivatives": """
        native_group_norm native_layer_norm native_batch_norm _native_batch_norm_legit
        _batch_norm_with_update native_dropout_backward max_pool2d_with_indices_backward
        _upsample_bilinear2d_aa _unsafe_masked_index _unsafe_masked_index_put_accumulate
        _segment_reduce:lengths _segment_reduce:offsets _chunk_cat hash_tensor
    """,
}
ABSENT: dict[str, str] = {
    name: reason for reason, names in _REASONS.items() for name in names.split()
}
