"""Losses: how far a prediction is from its target.

Must not know about modules or training loops.
"""

from __future__ import annotations

from groundup.tensor import ShapeError, Tensor, axes, where
from groundup.tensor.autocast import full

from ..waiting import wait
from .checks import known_indices, same_shape, shapes_at_line
from .pointwise import log_softmax


def _reduced(losses: Tensor, reduction: str) -> Tensor:
    if reduction == "none":
        return losses
    if reduction == "mean":
        return wait(losses.mean())
    if reduction == "sum":
        return wait(losses.sum())
    raise ValueError(f"reduction is 'mean', 'sum' or 'none', not {reduction!r}")


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


def l1_loss(x: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """mean (or sum, or each) of |x − target|; raises ShapeError when the shapes differ."""
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


def nll_loss(log_probs: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """ℓ[n,…] = −log_probs[n, target[n,…], …]; their mean, sum, or each.

    log_probs: (n, classes, …) or (classes,); target: (n, …) integers or a 0-d one.
    Raises IndexError for a target that is no class: at once if the targets are in memory, else
    when the loss is computed.
    """
    _check_classes("nll_loss", log_probs, target)
    log_probs = full(log_probs)
    if not target.ndim:
        return _reduced(nll_loss(log_probs[None], target[None], "none")[0], reduction)
    n, *rest = axes(target.ndim)
    label, classes = target[n, *rest], int(log_probs.shape[1])
    if not known_indices(target, classes, "label", "class"):
        # A negative label would count from the back: send it beyond the end, which is an error.
        label = where(label < 0, classes, label)
    return _reduced(-log_probs[n, label, *rest].order(n, *rest), reduction)


def cross_entropy(
    x: Tensor, target: Tensor, reduction: str = "mean", label_smoothing: float = 0.0
) -> Tensor:
    """ℓ[n,…] = −(1 − ε) · log p[n, target[n,…], …] − ε/C · Σ_c log p[n,c,…], p = softmax over c

    x: (n, C, …) scores or (C,); target: (n, …) class indices of an integer dtype.
    label_smoothing: ε, the share of the target spread over all classes (Szegedy et al. 2016,
    section 7).
    Raises IndexError for a target that is no class: at once if the targets are in memory, else
    when the loss is computed.

    >>> round(cross_entropy(gu.zeros(2, 10), gu.tensor([3, 7])).item(), 4)
    2.3026
    """
    _check_classes("cross_entropy", x, target)
    if not 0.0 <= label_smoothing <= 1.0:
        raise ValueError(f"label_smoothing must be between 0 and 1, not {label_smoothing}")
    classes = 1 if x.ndim > 1 else 0
    log_probs = log_softmax(x, classes)
    losses = nll_loss(log_probs, target, "none")
    if label_smoothing:
        even = -log_probs.mean(classes)
        losses = losses * (1.0 - label_smoothing) + even * label_smoothing
    return _reduced(losses, reduction)


def binary_cross_entropy_with_logits(x: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """max(x, 0) − x·target + log(1 + exp(−|x|)), the logistic loss without overflow."""
    same_shape("binary_cross_entropy_with_logits", x, target)
    if not x.ndim:
        each = binary_cross_entropy_with_logits(x[None], target[None], "none")
        return _reduced(each[0], reduction)
    x, target, i = full(x), full(target), axes(x.ndim)
    losses = x[*i].relu() - x[*i] * target[*i] + ((-x[*i].abs()).exp() + 1.0).log()
    return _reduced(losses.order(*i), reduction)
