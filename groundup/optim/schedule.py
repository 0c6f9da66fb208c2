"""Schedules: a number as a pure function of progress, from 0 at the start to 1 at the end.

A schedule knows neither optimizer nor loop: whoever trains computes progress and writes the number,
for example `opt.param_groups[0]["lr"] = schedule(step / steps)`.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence

from groundup.tensor import door
from groundup.tensor.misuse import named

Schedule = Callable[[float], float]


def _at(progress: float) -> float:
    if not -1e-9 <= progress <= 1.0 + 1e-9:
        raise ValueError(f"progress runs from 0 to 1, not {progress}")
    return min(max(progress, 0.0), 1.0)


def _mix(a: float, b: float, share: float) -> float:
    """(1 − share) · a + share · b, exactly a and b at the ends"""
    return (1.0 - share) * a + share * b


@named
def constant(value: float) -> Schedule:
    """s(t) = value"""
    door.passing()
    return lambda progress: value


@named
def linear(start: float, end: float) -> Schedule:
    """s(t) = (1 − t) · start + t · end

    >>> linear(1.0, 0.0)(0.25)
    0.75
    """
    door.passing()
    return lambda progress: _mix(start, end, _at(progress))


@named
def cosine(start: float, end: float) -> Schedule:
    """s(t) = end + (start − end) · (1 + cos πt) / 2  (Loshchilov & Hutter 2017, eq. 5)

    >>> cosine(1.0, 0.0)(0.5)
    0.5
    """
    door.passing()
    return lambda progress: _mix(end, start, (1.0 + math.cos(math.pi * _at(progress))) / 2.0)


@named
def exponential(start: float, end: float) -> Schedule:
    """s(t) = start · (end / start)^t; both must have the same sign and not be 0."""
    door.passing()
    if start * end <= 0.0:
        raise ValueError(f"an exponential cannot run from {start} to {end}: it never crosses 0")
    return lambda progress: start * (end / start) ** _at(progress)


@named
def combine(shares: Sequence[float], schedules: Sequence[Schedule]) -> Schedule:
    """One schedule after another, each over its share of the progress and from its own 0 to 1.

    shares: one positive number for each schedule; their sum is 1. Raises ValueError otherwise.

    >>> combine([0.3, 0.7], [linear(0.0, 1.0), cosine(1.0, 0.0)])(0.3)
    1.0
    """
    door.passing()
    if len(shares) != len(schedules) or not shares:
        raise ValueError(f"{len(shares)} shares for {len(schedules)} schedules: one for each")
    if min(shares) <= 0.0 or abs(math.fsum(shares) - 1.0) > 1e-6:
        raise ValueError(f"shares must be positive with a sum of 1, not {list(shares)}")
    starts = [math.fsum(shares[:i]) for i in range(len(shares))]

    def schedule(progress: float) -> float:
        progress = _at(progress)
        i = bisect_right(starts, progress) - 1
        return schedules[i](min(1.0, (progress - starts[i]) / shares[i]))

    return schedule


@named
def one_cycle(
    max_lr: float, pct_start: float = 0.25, div: float = 25.0, final_div: float = 1e4
) -> Schedule:
    """Up by a cosine from max_lr / div to max_lr, then down to max_lr / div / final_div.

    pct_start: the share of the steps that go up. Source: Smith & Topin, "Super-convergence", 2018;
    the cosines in place of their lines and 25 are fastai's, final_div as PyTorch's OneCycleLR.

    >>> s = one_cycle(1.0)
    >>> s(0.0), s(0.25)
    (0.04, 1.0)
    """
    if not 0.0 < pct_start < 1.0:
        raise ValueError(f"pct_start is a share of the steps, between 0 and 1, not {pct_start}")
    low = max_lr / div
    up, down = cosine(low, max_lr), cosine(max_lr, low / final_div)
    return combine([pct_start, 1.0 - pct_start], [up, down])


@named
def one_cycle_momentum(high: float = 0.95, low: float = 0.85, pct_start: float = 0.25) -> Schedule:
    """The momentum that goes with `one_cycle`: down while the rate goes up, then up again.

    0.95 and 0.85 are the values of Smith, "A disciplined approach to neural network
    hyper-parameters", 2018, section 4.3.
    """
    return combine([pct_start, 1.0 - pct_start], [cosine(high, low), cosine(low, high)])
