"""Functions of sequences: bags of embeddings, attention with its projections, large outputs.

Must not know about modules or training loops.
"""

from __future__ import annotations

import math
from typing import Any

from groundup.tensor import (
    ShapeError,
    Tensor,
    arange,
    cat,
    full,
    searchsorted,
    where,
    zeros,
)
from groundup.tensor.algebra import tensordot
from groundup.tensor.errors import at_line
from groundup.tensor.misuse import named

from .checks import shapes_at_line
from .dropouts import dropout
from .losses import IGNORED, cross_entropy
from .products import attention_weights, embedding, linear


@named
def linear_cross_entropy(
    x: Tensor,
    linear_weight: Tensor,
    target: Tensor,
    *,
    linear_bias: Tensor | None = None,
    weight: Tensor | None = None,
    reduction: str = "mean",
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    options: object = None,
) -> Tensor:
    """cross_entropy(linear(x, linear_weight, linear_bias), target, …)

    x: (n, k) or (k,); linear_weight: (C, k), or (C, d, …, k) for scores (n, C, d, …).
    options: PyTorch's, how the scores are cut into pieces; here the compiler decides.
    """
    if x.ndim not in (1, 2) or linear_weight.ndim < 2 or x.shape[-1] != linear_weight.shape[-1]:
        raise ShapeError(
            "linear_cross_entropy: (n, k) and a weight (C, …, k)"
            + shapes_at_line(input=x.shape, weight=linear_weight.shape)
        )
    if x.ndim == 1 and linear_weight.ndim > 2:
        raise ShapeError(
            "linear_cross_entropy: scores of several places (C, d, …) are of a batch (n, k)"
            + shapes_at_line(input=x.shape, weight=linear_weight.shape)
        )
    if ignore_index is not None and target.dtype.is_float:
        raise ValueError(
            "linear_cross_entropy: ignore_index is of class indices, not probabilities" + at_line()
        )
    scores = tensordot(x, linear_weight, ((-1,), (-1,)))
    if linear_bias is not None:
        scores = scores + linear_bias
    label = IGNORED if ignore_index is None else ignore_index
    return cross_entropy(
        scores, target, reduction, label_smoothing, weight=weight, ignore_index=label
    )


@named
def embedding_bag(
    ids: Tensor,
    weight: Tensor,
    offsets: Tensor | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Tensor:
    """The sum, mean or greatest of the rows of a table that each bag of ids names

    ids: (bags, n); or all bags one after the other, and `offsets` where each begins
    (include_last_offset: and where the last ends). padding_idx: the id that does not count.
    per_sample_weights: what each row is multiplied with, for mode 'sum'. An empty bag gives 0.

    >>> embedding_bag(gu.tensor([[0, 1]]), gu.tensor([[1.0], [3.0]])).tolist()
    [[2.0]]
    """
    if mode not in ("sum", "mean", "max"):
        raise ValueError(f"embedding_bag: mode is 'sum', 'mean' or 'max', not {mode!r}" + at_line())
    if per_sample_weights is not None and mode != "sum":
        raise ValueError("embedding_bag: per_sample_weights are for mode 'sum'" + at_line())
    if per_sample_weights is not None and tuple(per_sample_weights.shape) != tuple(ids.shape):
        raise ShapeError(
            "embedding_bag: one weight for each id"
            + shapes_at_line(ids=ids.shape, weights=per_sample_weights.shape)
        )
    if (ids.ndim == 2 and offsets is not None) or ids.ndim not in (1, 2):
        raise ValueError("embedding_bag: ids in one axis with offsets, or (bags, n)" + at_line())
    if ids.ndim == 1 and offsets is None:
        raise ValueError("embedding_bag: ids in one axis need offsets" + at_line())
    flat = ids.reshape(-1)
    count = int(flat.shape[0])
    if offsets is None:
        bags = int(ids.shape[0])
        bag = arange(count) // max(1, int(ids.shape[1]))
    else:
        bags = int(offsets.shape[0]) - include_last_offset
        starts = offsets.long()[:bags]
        bag = searchsorted(starts, arange(count), right=True) - 1
    rows = embedding(flat, weight, padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse)
    valid = full((count,), True)
    if padding_idx is not None:
        valid = flat != padding_idx % int(weight.shape[0])
    width = int(weight.shape[1])
    empty = zeros(bags, width, dtype=weight.dtype)
    if mode == "max":
        spread = bag.unsqueeze(1).expand(count, width)
        kept = where(valid.unsqueeze(1), rows, -math.inf)
        best: Tensor = empty.scatter_reduce(0, spread, kept, "amax", include_self=False)
        return where(best == -math.inf, 0.0, best)
    if per_sample_weights is not None:
        rows = rows * per_sample_weights.reshape(-1, 1)
    rows = where(valid.unsqueeze(1), rows, 0.0)
    total = empty.index_add(0, bag, rows)
    if mode == "sum":
        return total
    size = zeros(bags, dtype=weight.dtype).index_add(0, bag, valid.to(weight.dtype))
    return total / size.clamp_min(1).unsqueeze(1)


@named
def multi_head_attention_forward(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Tensor | None,
    in_proj_bias: Tensor | None,
    bias_k: Tensor | None,
    bias_v: Tensor | None,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Tensor,
    out_proj_bias: Tensor | None,
    training: bool = True,
    key_padding_mask: Tensor | None = None,
    need_weights: bool = True,
    attn_mask: Tensor | None = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: Tensor | None = None,
    k_proj_weight: Tensor | None = None,
    v_proj_weight: Tensor | None = None,
    average_attn_weights: bool = True,
) -> tuple[Tensor, Tensor | None]:
    """(attention of projected queries, keys and values, projected; its weights)

    query: (l, n, e) or (l, e); key, value: (s, n, e) or (s, e). bias_k, bias_v: one more key and
    value for all; add_zero_attn: one more, of zeros. Masks: True where a key may NOT be seen, or
    numbers that are added to the scores. Source: Vaswani et al. 2017, section 3.2.2.
    """
    alone = query.ndim == 2
    if alone:
        query, key, value = (x.unsqueeze(1) for x in (query, key, value))
        key_padding_mask = None if key_padding_mask is None else key_padding_mask.unsqueeze(0)
    if query.ndim != 3 or int(query.shape[2]) != embed_dim_to_check:
        raise ShapeError(
            f"multi_head_attention_forward: a query (l, n, {embed_dim_to_check})"
            + shapes_at_line(query=query.shape)
        )
    length, count, width = (int(s) for s in query.shape)
    if width % num_heads:
        raise ShapeError(f"{num_heads} heads must divide {width} features" + at_line())
    if use_separate_proj_weight:
        weights: list[Any] = [q_proj_weight, k_proj_weight, v_proj_weight]
    else:
        weights = [None] * 3 if in_proj_weight is None else list(in_proj_weight.chunk(3))
    biases: list[Any] = [None] * 3 if in_proj_bias is None else list(in_proj_bias.chunk(3))
    if any(w is None for w in weights):
        raise ValueError("multi_head_attention_forward: three projections are needed" + at_line())
    q, k, v = (linear(x, w, b) for x, w, b in zip((query, key, value), weights, biases))
    extra = 0
    if bias_k is not None and bias_v is not None:
        k = cat([k, bias_k.reshape(1, 1, width).expand(1, count, width)], 0)
        v = cat([v, bias_v.reshape(1, 1, width).expand(1, count, width)], 0)
        extra += 1
    heads = [
        x.reshape(x.shape[0], count, num_heads, width // num_heads).permute(1, 2, 0, 3)
        for x in (q, k, v)
    ]
    if add_zero_attn:
        empty = zeros(count, num_heads, 1, width // num_heads, dtype=q.dtype)
        heads[1:] = [cat([x, empty], 2) for x in heads[1:]]
        extra += 1
    mask = _added_mask(attn_mask, key_padding_mask, count, num_heads, extra, q)
    scores = attention_weights(heads[0], heads[1], mask)
    seen = dropout(scores, dropout_p, training)
    y = (seen @ heads[2]).permute(2, 0, 1, 3).reshape(length, count, width)
    y = linear(y, out_proj_weight, out_proj_bias)
    shown = None
    if need_weights:
        shown = seen.mean(1) if average_attn_weights else seen
    if alone:
        return y.squeeze(1), None if shown is None else shown.squeeze(0)
    return y, shown


def _added_mask(
    mask: Tensor | None, padding: Tensor | None, count: int, heads: int, extra: int, like: Tensor
) -> Tensor | None:
    """Both masks as numbers that are added to scores (n, heads, l, s)."""
    from groundup.tensor import pad

    total: Tensor | None = None
    for m in (mask, padding):
        if m is None:
            continue
        own = m if m.dtype.is_float else where(m, -math.inf, zeros(m.shape, dtype=like.dtype))
        own = pad(own, (0, extra)) if extra else own
        if m is padding:
            own = own.reshape(count, 1, 1, own.shape[-1])
        elif own.ndim == 3:
            own = own.reshape(count, heads, *own.shape[1:])
        total = own if total is None else total + own
    return total
