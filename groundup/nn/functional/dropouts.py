"""Numbers left out at random, the others scaled: dropout of elements, or of whole channels.

Must not know about modules or training loops.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from groundup.tensor import Tensor, rand, where
from groundup.tensor.errors import at_line
from groundup.tensor.misuse import named

from .activations import SELU_ALPHA, SELU_SCALE
from .checks import of_reals


def _dropped(
    name: str, x: Tensor, p: float, training: bool, lead: int, chosen: Callable[[Tensor], Tensor]
) -> Tensor:
    """chosen(keep); keep holds with probability 1 − p, drawn for each place of the first `lead`
    axes. Where nothing is to be drawn, x or 0."""
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"{name}: the probability p must be between 0 and 1, not {p}" + at_line())
    if not training or p == 0.0:
        return x
    if p == 1.0:
        return x * 0.0
    return chosen(rand((*x.shape[:lead], *(1,) * (x.ndim - lead)), dtype=x.dtype) >= p)


def _zeroed(name: str, x: Tensor, p: float, training: bool, lead: int) -> Tensor:
    """0 in the place of what is left out; the rest is divided by 1 − p."""
    return _dropped(
        name, x, p, training, lead, lambda keep: where(keep, x * (1.0 / (1.0 - p)), 0.0)
    )


@named
def dropout(x: Tensor, p: float = 0.5, training: bool = True) -> Tensor:
    """x · m / (1 − p), m[…] = 1 with probability 1 − p, else 0.

    The division keeps the expectation, so evaluation (training=False) is the identity.
    Source: Srivastava et al. 2014, section 10. Raises ValueError for a p beyond [0, 1].

    >>> dropout(gu.ones(3), training=False).tolist()
    [1.0, 1.0, 1.0]
    """
    return _zeroed("dropout", x, p, training, x.ndim)


@named
def dropout1d(x: Tensor, p: float = 0.5, training: bool = True) -> Tensor:
    """dropout of whole channels of (n, c, l) or (c, l)

    >>> dropout1d(gu.ones(2, 3), 0.0).shape
    (2, 3)
    """
    return _zeroed("dropout1d", x, p, training, 2 if x.ndim == 3 else 1)


@named
def dropout2d(x: Tensor, p: float = 0.5, training: bool = True) -> Tensor:
    """dropout of whole channels of (n, c, h, w), (n, c, l) or (c, …): the first two axes stay

    >>> dropout2d(gu.ones(1, 2, 3, 3), 0.0).shape
    (1, 2, 3, 3)
    """
    return _zeroed("dropout2d", x, p, training, min(2, x.ndim))


@named
def dropout3d(x: Tensor, p: float = 0.5, training: bool = True) -> Tensor:
    """dropout of whole channels of (n, c, d, h, w) or (c, d, h, w)

    >>> dropout3d(gu.ones(2, 3, 3, 3), 0.0).shape
    (2, 3, 3, 3)
    """
    return _zeroed("dropout3d", x, p, training, 2 if x.ndim == 5 else min(1, x.ndim))


def _alpha(name: str, x: Tensor, p: float, training: bool, lead: int) -> Tensor:
    """−λα, what selu tends to far below 0, in the place of what is left out; then a·y + b, with
    which mean 0 and variance 1 stay (Klambauer et al. 2017, section 3)."""
    if training:
        of_reals(name, x)
    least = -SELU_SCALE * SELU_ALPHA

    def chosen(keep: Tensor) -> Tensor:
        a = 1.0 / math.sqrt((1.0 - p) * (1.0 + p * least * least))
        return where(keep, x, least) * a - a * p * least

    return _dropped(name, x, p, training, lead, chosen)


@named
def alpha_dropout(x: Tensor, p: float = 0.5, training: bool = False) -> Tensor:
    """dropout that keeps mean 0 and variance 1 after selu (Klambauer et al. 2017, section 3)

    >>> alpha_dropout(gu.ones(2), training=False).tolist()
    [1.0, 1.0]
    """
    return _alpha("alpha_dropout", x, p, training, x.ndim)


@named
def feature_alpha_dropout(x: Tensor, p: float = 0.5, training: bool = False) -> Tensor:
    """alpha_dropout of whole channels

    >>> feature_alpha_dropout(gu.ones(1, 2, 3), 1.0, training=True).tolist()
    [[[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]]
    """
    return _alpha("feature_alpha_dropout", x, p, training, min(2, x.ndim))
