"""Losses beside those of losses.py: of numbers, of margins, of pairs, of distributions.

Must not know about modules or training loops.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from groundup.tensor import ShapeError, Tensor, broadcast_tensors, log1p, where, xlogy
from groundup.tensor.errors import at_line
from groundup.tensor.misuse import named
from groundup.tensor.sites import Argument, argument

from .activations import logsigmoid
from .checks import of_reals, shapes_at_line, values_known
from .losses import _reduced

_MARGIN = Argument("multi_margin_loss", "multi_margin_loss(x, target)", "target", "x")


def _equal(name: str, x: Tensor, target: Tensor) -> None:
    """Broadcasting (n, 1) against (n,) would silently make an (n, n) table of differences."""
    if tuple(x.shape) != tuple(target.shape):
        raise ShapeError(
            f"{name}: input and target need the same shape"
            + shapes_at_line(input=x.shape, target=target.shape)
        )


def _together(name: str, x: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    if not isinstance(x, Tensor) or not isinstance(target, Tensor):
        raise TypeError(f"{name}: input and target are tensors" + at_line())
    of_reals(name, x, target)
    a, b = broadcast_tensors(x, target)
    return a, b


# ---- of numbers ----------------------------------------------------------------------------------


@named
def smooth_l1_loss(
    x: Tensor, target: Tensor, reduction: str = "mean", beta: float = 1.0
) -> Tensor:
    """½·d²/β where |d| < β, else |d| − ½·β, d = x − target (Girshick 2015)

    >>> smooth_l1_loss(gu.tensor([2.0]), gu.tensor([0.0])).item()
    1.5
    """
    if beta < 0:
        raise ValueError(f"smooth_l1_loss: beta is 0 or more, not {beta}" + at_line())
    x, target = _together("smooth_l1_loss", x, target)
    size = (x - target).abs()
    if beta == 0:
        return _reduced(size, reduction)
    return _reduced(where(size < beta, 0.5 * size * size / beta, size - 0.5 * beta), reduction)


@named
def huber_loss(
    x: Tensor, target: Tensor, reduction: str = "mean", delta: float = 1.0,
    weight: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """½·d² where |d| ≤ δ, else δ·(|d| − ½·δ), d = x − target (Huber 1964)"""
    if delta <= 0:
        raise ValueError(f"huber_loss: delta is positive, not {delta}" + at_line())
    x, target = _together("huber_loss", x, target)
    size = (x - target).abs()
    losses = where(size <= delta, 0.5 * size * size, delta * (size - 0.5 * delta))
    return _reduced(losses if weight is None else losses * weight, reduction)


@named
def soft_margin_loss(x: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """log(1 + e^(−target·x)), targets ±1"""
    x, target = _together("soft_margin_loss", x, target)
    return _reduced((-target * x).exp().log1p(), reduction)


@named
def hinge_embedding_loss(
    x: Tensor, target: Tensor, margin: float = 1.0, reduction: str = "mean"
) -> Tensor:
    """x where the target is 1, max(0, margin − x) where it is −1"""
    far = (margin - x).clamp_min(0)
    each = where(target != 1, far, 0.0) + where(target != -1, x, 0.0)
    return _reduced(each, reduction)


@named
def poisson_nll_loss(
    x: Tensor, target: Tensor, log_input: bool = True, full: bool = False, eps: float = 1e-8,
    reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """e^x − target·x, or x − target·log(x + eps) without log_input

    full: with Stirling's estimate of log target! where the target is above 1.
    """
    of_reals("poisson_nll_loss", x, target)
    if log_input:
        losses = x.exp() - target * x
    else:
        losses = x - target * (x + eps).log()
    if full:
        more = target * target.log() - target + 0.5 * (2 * math.pi * target).log()
        losses = losses + where(target <= 1, 0.0, more)
    return _reduced(losses, reduction)


@named
def gaussian_nll_loss(
    x: Tensor, target: Tensor, var: Tensor | float, full: bool = False, eps: float = 1e-6,
    reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """½·(log v + (x − target)²/v) with v = max(var, eps) (Nix & Weigend 1994)

    var: of x's shape, or without (or with size 1 in) its last axis. full: with ½·log 2π.

    Raises ValueError for a negative variance; in a captured or mapped function, which has no values
    yet, the result is NaN there.
    """
    if not isinstance(var, Tensor):
        if var < 0:
            raise ValueError(f"gaussian_nll_loss: a variance is not negative: {var}" + at_line())
        var = x.detach() * 0 + var
    elif not values_known():
        var = where(var < 0, math.nan, var)
    elif bool((var < 0).any()):
        raise ValueError("gaussian_nll_loss: a variance is not negative" + at_line())
    if tuple(var.shape) != tuple(x.shape):
        if tuple(x.shape[:-1]) == tuple(var.shape):
            var = var.unsqueeze(-1)
        elif tuple(x.shape[:-1]) != tuple(var.shape[:-1]) or var.shape[-1:] != (1,):
            raise ShapeError(
                "gaussian_nll_loss: a variance for each element, or for each row"
                + shapes_at_line(input=x.shape, var=var.shape)
            )
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"reduction is 'mean', 'sum' or 'none', not {reduction!r}" + at_line())
    least = var.detach().clamp_min(eps)
    var = var + (least - var.detach())  # bounded, and its derivative stays that of var
    losses = 0.5 * (var.log() + (x - target) ** 2 / var)
    if full:
        losses = losses + 0.5 * math.log(2 * math.pi)
    return _reduced(losses, reduction)


# ---- of distributions ----------------------------------------------------------------------------


@named
def kl_div(
    x: Tensor, target: Tensor, reduction: str = "mean", log_target: bool = False
) -> Tensor:
    """target · (log target − x), x log-probabilities (Kullback & Leibler 1951)

    reduction: also 'batchmean', the sum over the first axis' size: the divergence itself.
    log_target: the target, too, is given as its logarithm.
    """
    of_reals("kl_div", x, target)
    losses = target.exp() * (target - x) if log_target else xlogy(target, target) - target * x
    if reduction == "batchmean":
        return losses.sum() / int(x.shape[0]) if x.ndim else losses.sum()
    return _reduced(losses, reduction)


@named
def binary_cross_entropy(
    x: Tensor, target: Tensor, weight: Tensor | None = None, reduction: str = "mean"
) -> Tensor:
    """−target·log x − (1 − target)·log(1 − x), each logarithm at least −100, x in [0, 1]

    Raises ValueError for other x; in a captured or mapped function, which has no values yet, the
    result is NaN there.

    >>> round(binary_cross_entropy(gu.tensor([0.5]), gu.tensor([1.0])).item(), 4)
    0.6931
    """
    _equal("binary_cross_entropy", x, target)
    seen = x.detach()
    if values_known() and bool(((seen < 0) | (seen > 1)).any()):
        raise ValueError(
            "binary_cross_entropy: the input holds probabilities, from 0 to 1; for scores use "
            "binary_cross_entropy_with_logits" + at_line()
        )
    losses = (target - 1) * log1p(-x).clamp_min(-100) - target * x.log().clamp_min(-100)
    return _reduced(losses if weight is None else losses * weight, reduction)


@named
def multilabel_soft_margin_loss(
    x: Tensor, target: Tensor, weight: Tensor | None = None, reduction: str = "mean"
) -> Tensor:
    """The mean over classes of the logistic loss of each"""
    losses = -(target * logsigmoid(x) + (1 - target) * logsigmoid(-x))
    if weight is not None:
        losses = losses * weight
    return _reduced(losses.sum(-1) / int(x.shape[-1]), reduction)


# ---- of margins between classes ------------------------------------------------------------------


@named
def multi_margin_loss(
    x: Tensor, target: Tensor, p: int = 1, margin: float = 1.0, weight: Tensor | None = None,
    reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """Σ_{j ≠ t} max(0, margin − x[t] + x[j])^p / classes, t the target's class, p 1 or 2

    x: (n, classes) or (classes,); target: (n,) class indices; weight: one for each class.
    """
    if p not in (1, 2):
        raise ValueError(f"multi_margin_loss: p is 1 or 2, not {p}" + at_line())
    rows = x.reshape(1, -1) if x.ndim < 2 else x
    if x.ndim > 2 or 0 in tuple(x.shape[-1:]) or target.numel() != rows.shape[0]:
        raise ShapeError(
            "multi_margin_loss: (n, classes) and one class for each row"
            + shapes_at_line(input=x.shape, target=target.shape)
        )
    classes = int(rows.shape[1])
    if weight is not None and tuple(weight.shape) != (classes,):
        raise ShapeError(
            "multi_margin_loss: one weight for each class"
            + shapes_at_line(input=x.shape, weight=weight.shape)
        )
    label = target.long().reshape(-1, 1)
    with argument(_MARGIN):
        own = rows.gather(1, label)
    short = (margin - own + rows).clamp_min(0)
    short = short if p == 1 else short * short
    if weight is not None:
        short = short * weight[label.reshape(-1)].reshape(-1, 1)
    from groundup.tensor import arange

    other = arange(classes).reshape(1, -1) != label
    losses = where(other, short, 0.0).sum(1) / classes
    return _reduced(losses.reshape(()) if x.ndim < 2 and not target.ndim else losses, reduction)


@named
def multilabel_margin_loss(x: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """Σ over the target's classes t and all others j of max(0, 1 − x[t] + x[j]) / classes

    x: (n, classes) or (classes,); target of that shape: class indices up to the first −1.
    """
    _equal("multilabel_margin_loss", x, target)
    if x.ndim > 2:
        raise ShapeError(
            "multilabel_margin_loss: (n, classes) expected" + shapes_at_line(input=x.shape)
        )
    from groundup.tensor import arange

    rows, labels = x.reshape(-1, x.shape[-1] if x.ndim else 1), target
    labels = labels.reshape(rows.shape)
    classes = int(rows.shape[1])
    if bool(((labels < -1) | (labels >= classes)).any()):
        raise IndexError(
            f"multilabel_margin_loss: a class from 0 to {classes - 1}, or −1 where there are no "
            f"more" + at_line()
        )
    live = (labels < 0).cumsum(1) == 0
    known = where(live, labels, 0)
    is_target = ((known.unsqueeze(2) == arange(classes)) & live.unsqueeze(2)).any(1)
    gap = (1 - rows.gather(1, known).unsqueeze(2) + rows.unsqueeze(1)).clamp_min(0)
    counts = live.unsqueeze(2) & ~is_target.unsqueeze(1)
    losses = where(counts, gap, 0.0).sum((1, 2)) / classes
    return _reduced(losses.reshape(()) if x.ndim < 2 else losses, reduction)


@named
def margin_ranking_loss(
    x: Tensor, other: Tensor, target: Tensor, margin: float = 0.0, reduction: str = "mean"
) -> Tensor:
    """max(0, −target·(x − other) + margin), target 1 where x should rank higher, else −1"""
    if not x.ndim == other.ndim == target.ndim:
        raise ShapeError(
            "margin_ranking_loss: all three have one number of axes"
            + shapes_at_line(input=x.shape, other=other.shape, target=target.shape)
        )
    return _reduced((-target * (x - other) + margin).clamp_min(0), reduction)


# ---- of pairs and triples ------------------------------------------------------------------------


@named
def pairwise_distance(
    x: Tensor, other: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False
) -> Tensor:
    """‖x − other + eps‖_p over the last axis"""
    d = (x - other + eps).norm(p, -1)
    return d.unsqueeze(-1) if keepdim else d


@named
def cosine_similarity(x: Tensor, other: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """Σ x·y / (max(‖x‖, eps) · max(‖y‖, eps)) along an axis

    >>> cosine_similarity(gu.tensor([[1.0, 0.0]]), gu.tensor([[2.0, 0.0]])).item()
    1.0
    """
    if not (x.dtype.is_float and other.dtype.is_float):
        raise TypeError("cosine_similarity needs floating types" + at_line())
    x, other = broadcast_tensors(x, other)

    def length(v: Tensor) -> Tensor:
        square = (v * v).sum(dim, keepdim=True)
        some = square > 0
        return where(some, where(some, square, 1.0).sqrt(), 0.0).clamp_min(eps)

    return ((x / length(x)) * (other / length(other))).sum(dim)


@named
def cosine_embedding_loss(
    x: Tensor, other: Tensor, target: Tensor, margin: float = 0.0, reduction: str = "mean"
) -> Tensor:
    """1 − cos(x, other) where the target is 1, max(0, cos − margin) where it is −1"""
    if target.ndim > 1 or x.ndim != target.ndim + 1 or other.ndim != x.ndim:
        raise ShapeError(
            "cosine_embedding_loss: (n, k) twice and (n,), or (k,) twice and a 0-d target"
            + shapes_at_line(input=x.shape, other=other.shape, target=target.shape)
        )
    eps = 1e-12  # PyTorch's
    product = (x * other).sum(-1)
    lengths = ((x * x).sum(-1) + eps) * ((other * other).sum(-1) + eps)
    cosine = product / lengths.sqrt()
    near, far = 1 - cosine, (cosine - margin).clamp_min(0)
    losses = where(target == 1, near, 0.0) + where(target == -1, far, 0.0)
    return _reduced(losses, reduction)


@named
def triplet_margin_loss(
    anchor: Tensor, positive: Tensor, negative: Tensor, margin: float = 1.0, p: float = 2,
    eps: float = 1e-6, swap: bool = False, reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """max(0, d(anchor, positive) − d(anchor, negative) + margin), d the p-distance

    swap: the lesser of the negative's distances to anchor and positive (Balntas et al. 2016).
    """
    return triplet_margin_with_distance_loss(
        anchor, positive, negative,
        distance_function=lambda a, b: pairwise_distance(a, b, p, eps),
        margin=margin, swap=swap, reduction=reduction,
    )  # fmt: skip


@named
def triplet_margin_with_distance_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    *,
    distance_function: Callable[[Tensor, Tensor], Tensor] | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """triplet_margin_loss with any distance; pairwise_distance for None"""
    if margin <= 0:
        raise ValueError(f"a margin is positive, not {margin}" + at_line())
    if not anchor.ndim == positive.ndim == negative.ndim:
        raise ShapeError(
            "the three have one number of axes"
            + shapes_at_line(anchor=anchor.shape, positive=positive.shape, negative=negative.shape)
        )
    measure = distance_function or pairwise_distance
    near, far = measure(anchor, positive), measure(anchor, negative)
    if swap:
        far = far.minimum(measure(positive, negative))
    return _reduced((margin + near - far).clamp_min(0), reduction)


@named
def pdist(x: Tensor, p: float = 2.0) -> Tensor:
    """The p-distances of all pairs i < j of rows, in one axis"""
    from groundup.tensor.algebra import pdist as pairs

    return pairs(x, p)


@named
def normalize(x: Tensor, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Tensor:
    """x / max(‖x‖_p, eps) along an axis"""
    return x / x.norm(p, dim, True).clamp_min(eps)
