"""Products other than convolutions: linear and bilinear maps, rows of a table, attention.

Must not know about modules or training loops.
"""

from __future__ import annotations

import math
from typing import Any

from groundup.tensor import Indexed, ShapeError, Tensor, axes, bincount, no_grad, where
from groundup.tensor.autocast import full, lowered
from groundup.tensor.errors import at_line
from groundup.tensor.misuse import named
from groundup.tensor.pointwise import broadcast
from groundup.tensor.sites import Argument, argument

from .checks import known_indices, one_type, shapes_at_line
from .dropouts import dropout
from .pointwise import softmax


@named
def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """y[…, o] = Σ_k x[…, k] · w[o, k] + b[o]

    x: (…, k); weight: (o, k); bias: (o,). Raises ShapeError when the k or the o differ.

    >>> linear(gu.ones(4, 3), gu.ones(2, 3)).shape
    (4, 2)
    """
    x, weight = lowered(x), lowered(weight)
    one_type("linear", input=x, weight=weight)
    if x.ndim < 1 or weight.ndim != 2 or x.shape[-1] != weight.shape[1]:
        raise ShapeError(
            "linear: the last axis of the input must be as long as that of the weight"
            + shapes_at_line({"input": 1, "weight": 1}, input=x.shape, weight=weight.shape)
        )
    if bias is not None and tuple(bias.shape) != (weight.shape[0],):
        raise ShapeError(
            "linear: the bias needs one number for each row of the weight"
            + shapes_at_line({"weight": 2, "bias": 1}, weight=weight.shape, bias=bias.shape)
        )
    if x.is_complex():
        y = x @ weight.T
    else:
        *lead, o, k = axes(x.ndim + 1)
        y = (x[*lead, k] * weight[o, k]).sum(k).order(*lead, o)
    return y if bias is None else y + lowered(bias)


_IDS = Argument("embedding", "embedding(ids, weight)", "ids", "weight", below=True)


@named
def embedding(
    ids: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """y[…, k] = weight[ids[…], k]: the row of a table that each id names.

    ids: integers of any shape; weight: (rows, k). padding_idx: the row whose derivative is 0.
    max_norm: rows that are read and longer than this (by the p-norm of norm_type) are shortened to
    it first, in place. scale_grad_by_freq: a row's derivative is divided by how often it is read.
    sparse: PyTorch's; derivatives are dense here.
    Raises IndexError for an id that is no row: at once if the ids are in memory, else when the
    result is computed; TypeError for ids that are not integers.

    >>> embedding(gu.tensor([[2, 0]]), gu.arange(6.0).reshape(3, 2)).tolist()
    [[[4.0, 5.0], [0.0, 1.0]]]
    """
    if weight.ndim != 2:
        raise ShapeError(
            "embedding: the table is (rows, numbers in a row)"
            + shapes_at_line(ids=ids.shape, weight=weight.shape)
        )
    if not ids.dtype.is_int:
        raise TypeError(
            f"embedding: ids are integers, not {ids.dtype.name}; write ids.long()" + at_line()
        )
    rows = int(weight.shape[0])
    if max_norm is not None:
        _shorten(ids, weight, max_norm, norm_type)
    *at, k = axes(ids.ndim + 1)
    row: Any = ids[*at] if at else ids
    with argument(_IDS):
        known = known_indices(ids, rows, "id", "row")
    if not known:
        # A negative id would count from the back: send it beyond the end, which is an error.
        row = where(row < 0, rows, row)
    with argument(_IDS):
        y = weight[row, k].order(*at, k)
    if scale_grad_by_freq:
        often = bincount(ids.reshape(-1), minlength=rows)[ids].unsqueeze(-1).to(y.dtype)
        y = y.detach() + (y - y.detach()) / often
    if padding_idx is None:
        return y
    if not -rows <= padding_idx < rows:
        raise IndexError(f"padding_idx {padding_idx} is none of the {rows} rows" + at_line())
    return where((ids == padding_idx % rows).unsqueeze(-1), y.detach(), y)


def _shorten(ids: Tensor, weight: Tensor, max_norm: float, p: float) -> None:
    """Rows that ids name, brought to a norm of at most max_norm, in place."""
    with no_grad():
        length = weight.norm(p, 1, True)
        # PyTorch's guard of 1e-7 against a division by 0.
        shorter = where(length > max_norm, weight * (max_norm / (length + 1e-7)), weight)
        used = bincount(ids.reshape(-1), minlength=int(weight.shape[0])) > 0
        weight.copy_(where(used.unsqueeze(1), shorter, weight))


@named
def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """Attention(Q, K, V) = softmax(Q·Kᵀ / √d) · V

    query: (…, l, d); key: (…, s, d); value: (…, s, e); the result: (…, l, e). Leading axes (batch,
    heads) broadcast.
    attn_mask: (…, l, s), True where a query may see a key, or numbers that are added to the scores.
    A query that may see nothing gets zeros.
    dropout_p: the probability that a weight is dropped (here as in PyTorch whenever it is given).
    is_causal: query i sees the keys j ≤ i only: its sums end there, so nothing of later keys and
    values, not even NaN, reaches it. scale: in the place of 1/√d.
    enable_gqa: each key and value head serves a run of query heads (Ainslie et al. 2023).
    Source: Vaswani et al., "Attention is all you need", 2017, eq. 1.

    >>> q = gu.zeros(1, 2, 3, 4)
    >>> scaled_dot_product_attention(q, q, gu.ones(1, 2, 3, 5), is_causal=True).shape
    (1, 2, 3, 5)
    """
    query, key, value = lowered(query), lowered(key), lowered(value)
    _check_attention(query, key, value, attn_mask, is_causal)
    if enable_gqa:
        key, value = _for_each_query_head(query, key), _for_each_query_head(query, value)
    weights = dropout(attention_weights(query, key, attn_mask, is_causal, scale), dropout_p)
    return causal_sum(weights, value) if is_causal else weights @ value


def attention_weights(
    query: Tensor,
    key: Tensor,
    mask: Tensor | None = None,
    causal: bool = False,
    scale: float | None = None,
) -> Tensor:
    """softmax(Q·Kᵀ / √d), (…, l, s); arguments as for scaled_dot_product_attention."""
    factor = 1.0 / math.sqrt(int(query.shape[-1])) if scale is None else scale
    if causal and mask is None:
        return _causal_weights(query, key, factor)
    query, key = _with_equal_leads(lowered(query), lowered(key))
    *lead, i, j, k = axes(query.ndim + 1)
    scores = (query[*lead, i, k] * key[*lead, j, k]).sum(k).order(*lead, i, j) * factor
    if causal:
        scores = where(j <= i, scores[*lead, i, j], -math.inf).order(*lead, i, j)
    if mask is None:
        return softmax(scores, -1)
    scores = scores + mask if mask.dtype.is_float else where(mask, scores, -math.inf)
    blind = scores.detach().amax(-1, keepdim=True) == -math.inf
    return where(blind, 0.0, softmax(where(blind, 0.0, scores), -1))


def _causal_weights(query: Tensor, key: Tensor, factor: float) -> Tensor:
    """w[…, i, j] = exp(s[…, i, j] − m[…, i]) / Σ_{j ≤ i} exp(s[…, i, j] − m[…, i]) for j ≤ i, else
    0; m the greatest of the scores s that query i sees.

    Every sum and every read asks for j ≤ i, so that derivatives do, too."""
    query, key = _with_equal_leads(lowered(query), lowered(key))
    *lead, i, j, k = axes(query.ndim + 1)

    def seen(x: Indexed, beyond: float = 0.0) -> Indexed:
        return where(j <= i, x, beyond)

    products = (query[*lead, i, k] * key[*lead, j, k]).sum(k)
    s = full(seen(products).order(*lead, i, j) * factor)
    m = seen(s.detach()[*lead, i, j], -math.inf).max(j).order(*lead, i)
    e = (s[*lead, i, j] - m[*lead, i]).exp()
    share = 1.0 / seen(e).sum(j).order(*lead, i)
    return seen(e * share[*lead, i]).order(*lead, i, j)


def causal_sum(weights: Tensor, value: Tensor) -> Tensor:
    """y[…, i, e] = Σ_{j ≤ i} w[…, i, j] · v[…, j, e]"""
    weights, value = _with_equal_leads(lowered(weights), lowered(value))
    *lead, i, j, e = axes(weights.ndim + 1)
    terms = where(j <= i, weights[*lead, i, j] * value[*lead, j, e], 0.0)
    return terms.sum(j).order(*lead, i, e)


def _with_equal_leads(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Two stacks of matrices with the leading axes of both."""
    one, other = tuple(a.shape[:-2]), tuple(b.shape[:-2])
    if one == other:
        return a, b
    lead = broadcast("scaled_dot_product_attention", one, other)
    return a.expand(*lead, *a.shape[-2:]), b.expand(*lead, *b.shape[-2:])


def _for_each_query_head(query: Tensor, shared: Tensor) -> Tensor:
    """(…, heads, s, d) with every head repeated until there are as many as query heads."""
    heads, own = int(query.shape[-3]), int(shared.shape[-3])
    if heads % own:
        raise ShapeError(
            f"scaled_dot_product_attention: {own} key heads must divide {heads} query heads"
            + shapes_at_line(query=query.shape, key=shared.shape)
        )
    *lead, _, s, d = shared.shape
    repeated = shared.unsqueeze(-3).expand(*lead, own, heads // own, s, d)
    return repeated.reshape(*lead, heads, s, d)


def _check_attention(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, causal: bool
) -> None:
    name = "scaled_dot_product_attention"
    one_type(name, query=query, key=key, value=value)
    problem, marks = None, dict[str, int]()
    if min(query.ndim, key.ndim, value.ndim) < 2:
        problem = "expected a query (…, l, d), a key (…, s, d) and a value (…, s, e)"
    elif query.shape[-1] != key.shape[-1]:
        problem = "query and key have one number for each feature d, their last axis"
        marks = {"query": 1, "key": 1}
    elif key.shape[-2] != value.shape[-2]:
        problem = "there is one value for each key: their second to last axes s must be equal"
        marks = {"key": 2, "value": 2}
    if problem is not None:
        shapes = shapes_at_line(marks, query=query.shape, key=key.shape, value=value.shape)
        raise ShapeError(f"{name}: {problem}{shapes}")
    if mask is not None and causal:
        raise ValueError(
            f"{name}: is_causal and attn_mask exclude each other; make the mask causal:"
            " attn_mask & gu.ones(l, s, dtype=gu.bool).tril()" + at_line()
        )
    if mask is not None and not (mask.dtype.is_float or mask.dtype.kind == "b"):
        raise TypeError(
            f"{name}: a mask is bool (True: may be seen) or of a floating type (added to the"
            f" scores), not {mask.dtype.name}" + at_line()
        )


@named
def bilinear(a: Tensor, b: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """y[…, o] = Σ_{i, j} a[…, i] · w[o, i, j] · b[…, j] + bias[o]

    a: (…, i); b: (…, j); weight: (o, i, j); bias: (o,). Raises ShapeError for other shapes.

    >>> bilinear(gu.ones(4, 2), gu.ones(4, 3), gu.ones(5, 2, 3)).shape
    (4, 5)
    """
    one_type("bilinear", input=a, other=b, weight=weight)
    if (
        tuple(a.shape[:-1]) != tuple(b.shape[:-1]) or weight.ndim != 3 or not a.ndim
        or tuple(weight.shape[1:]) != (a.shape[-1], b.shape[-1])
    ):  # fmt: skip
        raise ShapeError(
            "bilinear: (…, i), (…, j) and a weight (o, i, j)"
            + shapes_at_line(input=a.shape, other=b.shape, weight=weight.shape)
        )
    *n, o, i, j = axes(a.ndim + 2)
    half = (a[*n, i] * weight[o, i, j]).sum(i).order(*n, o, j)
    y = (half[*n, o, j] * b[*n, j]).sum(j).order(*n, o)
    return y if bias is None else y + bias
