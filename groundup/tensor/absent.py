"""PyTorch's names that there are not here, and what to write instead: for the AttributeError.

Looked at only where a name was not found. Must not know what any of them would compute.
"""

from __future__ import annotations

_DEVICE = "there is one device, the CPU, and x is there already"
_DENSE = "no sparse, nested or quantised tensors"
_MEMORY = "memory is shown by x.storage_info(), and shared by x.numpy(copy=False)"

# Of a tensor: by name, what to write.
_METHODS = {
    "new": "x.new_empty(size), x.new_tensor(data)",
    "type_": "x.to(dtype)",
    "names": "axes get names where they are used: x[i, j] with i, j = gu.axes('i j')",
    "rename": "axes get names where they are used: x[i, j] with i, j = gu.axes('i j')",
    "storage": _MEMORY, "untyped_storage": _MEMORY, "storage_type": _MEMORY,
    "data_ptr": _MEMORY, "const_data_ptr": _MEMORY, "is_set_to": _MEMORY,
    "cuda": _DEVICE, "xpu": _DEVICE, "ipu": _DEVICE, "mtia": _DEVICE, "pin_memory": _DEVICE,
    "is_pinned": _DEVICE, "record_stream": _DEVICE,
    "share_memory_": "processes share memory through NumPy: x.numpy(copy=False)",
    "is_shared": "processes share memory through NumPy: x.numpy(copy=False)",
    "apply_": "x.copy_(gu.tensor([f(v) for v in x.flatten().tolist()]).view_as(x))",
    "map_": "x.copy_(f(x, y)), of tensor operations",
    "map2_": "x.copy_(f(x, y, z)), of tensor operations",
    "resize": "x.resize_(size), or x.reshape(size)", "resize_as": "x.reshape(y.shape)",
    "reinforce": "gu.distributions, and the derivative of log_prob",
    "_version": "values are kept, not places: writes never spoil a derivative",
    "output_nr": "what computed x is x.grad_fn",
    "retains_grad": "it is asked for by x.retain_grad()",
    "is_inference": "whether derivatives flow is x.requires_grad",
    "dim_order": "x.stride()",
    "char": "x.to(gu.int8)", "byte": "x.to(gu.uint8)", "short": "x.to(gu.int16)",
    "chalf": "x.to(gu.complex64)",
    "lstsq": "gu.linalg.lstsq(a, b)", "solve": "gu.linalg.solve(a, b)",
    "eig": "gu.linalg.eig(a)", "symeig": "gu.linalg.eigh(a)",
    "__delitem__": "x[keep], of what is left",
}  # fmt: skip
_SPARSE = (
    "to_sparse", "is_sparse", "sparse", "coalesce", "is_coalesced", "ccol_", "crow_",
    "col_indices", "row_", "indices", "values", "dense_dim", "to_dense", "smm", "sspaddmm",
    "q_", "qscheme", "int_repr",
    "dequantize", "is_quantized", "is_nested", "is_mkldnn", "to_mkldnn", "to_padded",
)  # fmt: skip

# Of the package.
_FUNCTIONS = {
    "device": "'cpu' is the one device, a string", "cuda": "there is one device, the CPU",
    "mps": "there is one device, the CPU", "xpu": "there is one device, the CPU",
    "dtype": "types are gu.float32, gu.int64, …; their class is groundup.ir.dtype.DType",
    "finfo": "gu.array_api.finfo(dtype)", "iinfo": "gu.array_api.iinfo(dtype)",
    "pi": "math.pi", "e": "math.e", "inf": "math.inf", "nan": "math.nan", "newaxis": "None",
    "inference_mode": "gu.no_grad()",
    "is_inference_mode_enabled": "gu.is_grad_enabled()",
    "set_default_dtype": "dtype= where a tensor is made, or x.to(dtype)",
    "get_default_dtype": "Python's floats are gu.float32 here",
    "set_default_tensor_type": "dtype= where a tensor is made",
    "set_default_device": "there is one device, the CPU",
    "get_default_device": "there is one device, 'cpu'",
    "use_deterministic_algorithms": "results are the same bits with any number of threads",
    "are_deterministic_algorithms_enabled": "results are always the same bits",
    "set_float32_matmul_precision": "products of float32 are in float32; gu.autocast for bfloat16",
    "compile": "gu.jit(function)", "fx": "gu.explain(x) shows what a tensor becomes",
    "utils": "gu.data has loaders, gu.checkpoint recomputes",
    "hub": "gu.datasets, gu.vision", "multiprocessing": "threads: gu.set_num_threads(n)",
    "distributed": "one process on one machine",
    "backends": "one backend: our own compiler", "sparse": _DENSE, "nested": _DENSE,
    "quantization": _DENSE, "ao": _DENSE, "amp": "gu.autocast(gu.bfloat16)",
    "GradScaler": "bfloat16 needs no scaling: gu.autocast(gu.bfloat16)",
    "range": "gu.arange(start, end + step, step)",
    "fill": "gu.full_like(x, value)", "grid_sampler": "gu.nn.functional.grid_sample",
    "frobenius_norm": "gu.linalg.matrix_norm(x)", "native_norm": "gu.linalg.vector_norm(x, p)",
    "nuclear_norm": "gu.linalg.matrix_norm(x, 'nuc')",
    "lstsq": "gu.linalg.lstsq(a, b)", "solve": "gu.linalg.solve(a, b)",
    "eig": "gu.linalg.eig(a)", "symeig": "gu.linalg.eigh(a)",
    "matrix_rank": "gu.linalg.matrix_rank(a)", "lobpcg": "gu.linalg.eigh(a)",
    "constant_pad_nd": "gu.nn.functional.pad(x, amounts)",
    "convolution": "gu.conv2d and its like",
    "empty_strided": "gu.empty(size): strides are row-major",
    "to_dlpack": "x.__dlpack__()", "segment_reduce": "x.scatter_reduce(…)",
    "Storage": _MEMORY, "UntypedStorage": _MEMORY,
}  # fmt: skip
_OLD_CLASSES = {
    "FloatTensor": "float32", "DoubleTensor": "float64", "HalfTensor": "float16",
    "BFloat16Tensor": "bfloat16", "LongTensor": "int64", "IntTensor": "int32",
    "ShortTensor": "int16", "CharTensor": "int8", "ByteTensor": "uint8", "BoolTensor": "bool",
}  # fmt: skip


def of_tensor(kind: str, name: str) -> str:
    """The words of an AttributeError for a tensor's name."""
    said = f"{kind!r} object has no attribute {name!r}"
    if name.startswith("__") and name not in _METHODS:
        return said
    instead = _METHODS.get(name)
    if instead is None and name.startswith(_SPARSE):
        instead = _DENSE
    if instead is None and name.startswith("is_"):
        instead = _DEVICE
    if instead is None and not name.startswith("_") and (where := _found(name)):
        instead = f"{where}(x, …)"
    return f"{said}; {_worded(instead)}" if instead else said


def of_package(name: str) -> str:
    """The words of an AttributeError for a name of the package."""
    said = f"module 'groundup' has no attribute {name!r}"
    if name.startswith("__"):
        return said
    instead = _FUNCTIONS.get(name)
    if name in _OLD_CLASSES:
        instead = f"gu.tensor(data, dtype=gu.{_OLD_CLASSES[name]})"
    if instead is None and name.endswith("_copy") and _method(name.removesuffix("_copy")):
        instead = f"x.{name.removesuffix('_copy')}(…).clone()"
    if instead is None and _method(name):
        instead = f"x.{name}(…)"
    if instead is None and name.startswith(("sparse", "q_", "quant", "qint", "quint", "dequant")):
        instead = _DENSE
    if instead is None and (where := _found(name)):
        instead = f"{where}(…)"
    return f"{said}; {_worded(instead)}" if instead else said


def _worded(instead: str) -> str:
    code = ("x.", "gu.", "math.", "None")
    return f"write {instead}" if instead.startswith(code) else instead


def _method(name: str) -> bool:
    from .tensor import Tensor

    return not name.startswith("_") and callable(getattr(Tensor, name, None))


def _found(name: str) -> str | None:
    """Where a function of this name is."""
    import sys
    from importlib import import_module

    if name in import_module("groundup.tensor").__all__:
        return f"gu.{name}"
    rooms = {"linalg": "groundup.tensor.linalg", "fft": "groundup.tensor.fft"}
    for room, module in rooms.items():
        if name in getattr(import_module(module), "__all__", ()):
            return f"gu.{room}.{name}"
    layers = sys.modules.get("groundup.nn.functional")  # floors above are not imported from here
    if layers is not None and callable(getattr(layers, name, None)):
        return f"gu.nn.functional.{name}"
    return None
