"""Losses: how far a prediction is from its target.

Must not know about modules or training loops.
"""

from __future__ import annotations

from groundup.tensor import ShapeError, Tensor, axes, where
from groundup.tensor.autocast import full
from groundup.tensor.indexing import span_of
from groundup.tensor.misuse import named
from groundup.tensor.sites import Argument, argument, table

from ..waiting import wait
from .checks import known_indices, of_reals, same_shape, shapes_at_line
from .pointwise import log_softmax


def _reduced(losses: Tensor, reduction: str) -> Tensor:
    if reduction == "none":
        return losses
    i = axes(losses.ndim)
    if reduction == "mean":
        return wait(losses[*i].mean(*i).order() if i else losses.mean())
    if reduction == "sum":
        return wait(losses[*i].sum(*i).order() if i else losses.sum())
    raise ValueError(
        f"reduction is 'mean', 'sum' or 'none', not {reduction!r}; weights go by name: weight=w"
    )


@named
def mse_loss(x: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """mean (or sum, or each) of (x − target)²

    Raises ShapeError when the shapes differ: broadcasting (n, 1) against (n,) would silently make
    an (n, n) table of differences.
    """
    same_shape("mse_loss", x, target)
    if not x.ndim:
        return _reduced(mse_loss(x[None], target[None], "none")[0], reduction)
    x, target, i = full(x), full(target), axes(x.ndim)
    difference = (x[*i] - target[*i]).order(*i)
    return _reduced((difference[*i] * difference[*i]).order(*i), reduction)


@named
def l1_loss(x: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """mean (or sum, or each) of |x − target|; raises ShapeError when the shapes differ."""
    if x.is_complex() or target.is_complex():
        same_shape("l1_loss", x.real, target.real)
        return _reduced((x - target).abs(), reduction)
    same_shape("l1_loss", x, target)
    if not x.ndim:
        return _reduced(l1_loss(x[None], target[None], "none")[0], reduction)
    x, target, i = full(x), full(target), axes(x.ndim)
    return _reduced((x[*i] - target[*i]).abs().order(*i), reduction)


def _check_classes(name: str, x: Tensor, target: Tensor) -> None:
    if x.ndim < 1 or ((*x.shape[:1], *x.shape[2:]) != tuple(target.shape) and x.ndim > 1):
        first = x.ndim > 0 < target.ndim and x.shape[0] != target.shape[0]
        marks = {"input": x.ndim, "target": target.ndim} if first else {}
        raise ShapeError(
            f"{name}: expected an input (n, classes, …) and one class index for each target (n, …)"
            + shapes_at_line(marks, input=x.shape, target=target.shape)
        )
    if not target.dtype.is_int:
        raise TypeError(
            f"{name}: targets are class indices of an integer dtype, not {target.dtype.name};"
            " for probabilities write -(target * log_softmax(x, 1)).sum(1).mean()"
        )


IGNORED = -100  # PyTorch's label of what does not count


_SKIPPED = "targets that do not count are named by ignore_index"
_NLL = Argument("nll_loss", "nll_loss(log_probs, target)", "target", "log_probs", _SKIPPED, True)
_CROSS = Argument("cross_entropy", "cross_entropy(x, target)", "target", "x", _SKIPPED, True)


@named
def nll_loss(
    log_probs: Tensor,
    target: Tensor,
    reduction: str = "mean",
    *,
    weight: Tensor | None = None,
    ignore_index: int = IGNORED,
) -> Tensor:
    """ℓ[n,…] = −log_probs[n, target[n,…], …]; their mean, sum, or each.

    log_probs: (n, classes, …) or (classes,); target: (n, …) integers or a 0-d one.
    weight: one for each class; the mean is then divided by the sum of the weights that count.
    ignore_index: the label of what does not count. That of the default, −100, is looked for in up
    to 4,096 targets that are in memory; elsewhere it is no class, as any other negative number.
    Raises IndexError for a target that is no class: at once if the targets are in memory, else
    when the loss is computed.
    """
    of_reals("nll_loss", log_probs, weight)
    _check_classes("nll_loss", log_probs, target)
    log_probs = full(log_probs)
    if weight is not None or _ignored(target, ignore_index):
        with argument(_NLL):
            losses, counts = _weighted(log_probs, target, weight, ignore_index)
        return _mean_of(losses, counts, reduction)
    if not target.ndim:
        return _reduced(nll_loss(log_probs[None], target[None], "none")[0], reduction)
    n, *rest = axes(target.ndim)
    label, classes = target[n, *rest], int(log_probs.shape[1])
    with argument(_NLL):
        if not known_indices(target, classes, "label", "class"):
            # A negative label would count from the back: send it beyond the end: an error.
            label = where(label < 0, classes, label)
        losses = -log_probs[n, label, *rest].order(n, *rest)
    return _reduced(losses, reduction)


def _ignored(target: Tensor, label: int) -> bool:
    """May a target be that of what does not count?"""
    if label != IGNORED:
        return True
    known = span_of(target, "cross_entropy")
    return known is not None and known[0] <= label <= known[1]


def _weighted(
    log_probs: Tensor, target: Tensor, weight: Tensor | None, label: int
) -> tuple[Tensor, Tensor]:
    """(the weighted losses, 0 where they do not count; the weights, 0 where they do not count)"""
    rows = log_probs if target.ndim else log_probs[None]
    labels = target if target.ndim else target[None]
    classes = int(rows.shape[1])
    if weight is not None and tuple(weight.shape) != (classes,):
        raise ShapeError(
            "nll_loss: one weight for each class"
            + shapes_at_line(input=log_probs.shape, weight=weight.shape)
        )
    valid = labels != label
    # A negative label would count from the back: send it beyond the end: an error.
    chosen = where(valid, where(labels < 0, classes, labels.long()), 0)
    own = rows.gather(1, chosen.long().unsqueeze(1)).squeeze(1)
    counts = valid.to(rows.dtype)
    if weight is not None:
        with table("weight"):
            counts = where(valid, weight[chosen.long()], 0.0)
    losses = where(valid, -own * counts, 0.0)
    return (losses, counts) if target.ndim else (losses[0], counts[0])


def _mean_of(losses: Tensor, counts: Tensor, reduction: str) -> Tensor:
    """_reduced, but the mean by the sum of the weights."""
    if reduction == "mean":
        return wait(losses.sum() / counts.sum())
    return _reduced(losses, reduction)


@named
def cross_entropy(
    x: Tensor,
    target: Tensor,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
    *,
    weight: Tensor | None = None,
    ignore_index: int = IGNORED,
) -> Tensor:
    """ℓ[n,…] = −(1 − ε) · log p[n, target[n,…], …] − ε/C · Σ_c log p[n,c,…], p = softmax over c

    x: (n, C, …) scores or (C,); target: (n, …) class indices of an integer dtype, or of x's shape
    and type: the probability of each class.
    weight, ignore_index: as for nll_loss.
    label_smoothing: ε, the share of the target spread over all classes (Szegedy et al. 2016,
    section 7).
    Raises IndexError for a target that is no class: at once if the targets are in memory, else
    when the loss is computed.

    >>> round(cross_entropy(gu.zeros(2, 10), gu.tensor([3, 7])).item(), 4)
    2.3026
    """
    of_reals("cross_entropy", x, weight)
    soft = target.dtype.is_float and tuple(target.shape) == tuple(x.shape) and x.ndim > 0
    if not soft:
        _check_classes("cross_entropy", x, target)
    if not 0.0 <= label_smoothing <= 1.0:
        raise ValueError(f"label_smoothing must be between 0 and 1, not {label_smoothing}")
    classes = 1 if x.ndim > 1 else 0
    if soft:
        return _soft_cross_entropy(x, target, reduction, label_smoothing, weight, classes)
    log_probs = log_softmax(x, classes)
    if weight is not None or _ignored(target, ignore_index):
        with argument(_CROSS):
            losses, counts = _weighted(log_probs, target, weight, ignore_index)
        if label_smoothing:
            every = log_probs if weight is None else log_probs * _along_classes(weight, x)
            even = where(target != ignore_index, -every.sum(classes), 0.0) / int(x.shape[classes])
            losses = losses * (1.0 - label_smoothing) + even * label_smoothing
        return _mean_of(losses, counts, reduction)
    with argument(_CROSS):
        losses = nll_loss(log_probs, target, "none")
    if label_smoothing:
        *n, c = axes(x.ndim)  # n and all that follow the classes; the classes
        at = (*n[:1], c, *n[1:])
        even = -log_probs[*at].mean(c).order(*n)
        losses = losses * (1.0 - label_smoothing) + even * label_smoothing
    return _reduced(losses, reduction)


def _along_classes(weight: Tensor, x: Tensor) -> Tensor:
    return weight.reshape(-1, *(1,) * max(0, x.ndim - 2))


def _soft_cross_entropy(
    x: Tensor, target: Tensor, reduction: str, smoothing: float, weight: Tensor | None, axis: int
) -> Tensor:
    """−Σ_c target · log p, of targets that are probabilities; the mean over all but classes"""
    if smoothing:
        target = target * (1.0 - smoothing) + smoothing / int(x.shape[axis])
    terms = log_softmax(x, axis) * target
    if weight is not None:
        terms = terms * _along_classes(weight, x)
    return _reduced(-terms.sum(axis), reduction)


@named
def binary_cross_entropy_with_logits(
    x: Tensor,
    target: Tensor,
    reduction: str = "mean",
    *,
    weight: Tensor | None = None,
    pos_weight: Tensor | None = None,
) -> Tensor:
    """max(x, 0) − x·target + log(1 + exp(−|x|)), the logistic loss without overflow.

    weight: of each loss; pos_weight: of the target's share in it; both broadcast.
    """
    same_shape("binary_cross_entropy_with_logits", x, target)
    if weight is not None or pos_weight is not None:
        more = 1.0 if pos_weight is None else 1.0 + (pos_weight - 1.0) * target
        log = (-x.abs()).exp().log1p() + (-x).relu()
        both = (1.0 - target) * x + more * log
        return _reduced(both if weight is None else both * weight, reduction)
    if not x.ndim:
        each = binary_cross_entropy_with_logits(x[None], target[None], "none")
        return _reduced(each[0], reduction)
    x, target, i = full(x), full(target), axes(x.ndim)
    losses = x[*i].relu() - x[*i] * target[*i] + ((-x[*i].abs()).exp() + 1.0).log()
    return _reduced(losses.order(*i), reduction)
