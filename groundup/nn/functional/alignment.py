"""The loss of sequences whose places in time are not known: connectionist temporal classification.

Must not know about modules or training loops.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from groundup.tensor import (
    ShapeError,
    Tensor,
    arange,
    axes,
    cat,
    full,
    gather,
    int64,
    logaddexp,
    scan,
    stack,
    tensor,
    where,
    zeros,
)
from groundup.tensor.autocast import full as in_float32
from groundup.tensor.core import value_of
from groundup.tensor.errors import at_line
from groundup.tensor.host import with_derivative
from groundup.tensor.indexing import span_of
from groundup.tensor.misuse import named
from groundup.tensor.sites import Argument, argument

from .checks import known_indices, shapes_at_line, values_known

Lengths = Tensor | Sequence[int] | int
_TARGETS = Argument("ctc_loss", "ctc_loss(log_probs, targets, …)", "targets", "log_probs", "", True)


@named
def ctc_loss(
    log_probs: Tensor, targets: Tensor, input_lengths: Lengths, target_lengths: Lengths,
    blank: int = 0, reduction: str = "mean", zero_infinity: bool = False,
) -> Tensor:  # fmt: skip
    """−log of the probability of all ways to read a target out of a longer sequence: at each time a
    label or a blank is read, runs of one label count once, then blanks are dropped.

    With l′ = (blank, l₁, blank, …, l_L, blank): α_t(s) = y_t(l′_s) · (α_{t−1}(s) + α_{t−1}(s−1) +
    α_{t−1}(s−2), the last where l′_s is a label unlike l′_{s−2}), and p = α_T(2L+1) + α_T(2L), in
    logarithms; one scan over time for each s. Source: Graves et al., Connectionist temporal
    classification (2006), eq. 6 to 8.

    log_probs (T, N, C), or (T, C); targets (N, S) with their ends filled up by anything, or all of
    them one after the other, (Σ target_lengths,), or (S,) for (T, C); integers. input_lengths and
    target_lengths: one for each sequence, a tensor or a sequence of ints. reduction "mean" divides
    each loss by the length of its target first. zero_infinity: where a target is too long for its
    input, 0 in the place of ∞. The derivative is that by log_probs as they are; PyTorch's takes
    them for a result of log_softmax, and is the same behind one.

    Raises ShapeError, IndexError for labels beyond C, ValueError for lengths beyond T or S.

    >>> log_probs = gu.full((2, 1, 2), 0.5).log()
    >>> loss = ctc_loss(log_probs, gu.tensor([[1]]), [2], [1], reduction="none")
    >>> (4 * (-loss).exp()).round().item()    # blank-1, 1-blank and 1-1: ¾
    3.0
    """
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"reduction is 'mean', 'sum' or 'none', not {reduction!r}" + at_line())
    alone = log_probs.ndim == 2
    if log_probs.ndim not in (2, 3) or not log_probs.dtype.is_float or targets.ndim not in (1, 2):
        raise ShapeError(
            "ctc_loss: expected log probabilities (time, n, classes) and targets (n, length)"
            + shapes_at_line(log_probs=log_probs.shape, targets=targets.shape)
        )
    y = in_float32(log_probs)
    y = y.unsqueeze(1) if alone else y
    time, count, classes = y.shape
    if not 0 <= blank < classes:
        raise IndexError(
            f"ctc_loss: blank is one of the classes 0 to {int(classes) - 1}, not {blank}"
            + at_line()
        )
    ends = _lengths("input_lengths", input_lengths, count, int(time), "the times")
    sizes = _lengths("target_lengths", target_lengths, count, None, "")
    labels = _labels(targets.unsqueeze(0) if alone and targets.ndim == 1 else targets, sizes)
    if values_known():  # a wrong label is known now
        labels.realize()
    with argument(_TARGETS):
        known_indices(labels, int(classes), "label", "class")
    loss = -_log_probability(y, labels, ends, sizes, blank)
    if zero_infinity:
        loss = where(loss == math.inf, 0.0, loss)
    if reduction == "mean":
        return (loss / sizes.clamp_min(1).to(loss.dtype)).mean()
    if reduction == "sum":
        return loss.sum()
    return loss.squeeze(0) if alone else loss


def _lengths(name: str, given: Lengths, count: int, most: int | None, what: str) -> Tensor:
    """Lengths as a tensor (n,), checked where they are known."""
    if isinstance(given, int):
        given = [given]
    t = given if isinstance(given, Tensor) else tensor([int(v) for v in given], dtype=int64)
    t = t.unsqueeze(0) if not t.ndim else t
    if tuple(t.shape) != (int(count),) or not t.dtype.is_int:
        raise ShapeError(
            f"ctc_loss: {name} are {int(count)} integers, one for each sequence"
            + shapes_at_line(**{name: t.shape})
        )
    span = span_of(t, name)
    if span is not None and span[0] <= span[1]:
        if span[0] < 0:
            raise ValueError(f"ctc_loss: {name} are 0 or more, not {span[0]}" + at_line())
        if most is not None and span[1] > most:
            raise ValueError(f"ctc_loss: {name} are at most {most}, {what}, not {span[1]}"
                             + at_line())  # fmt: skip
    return t.to(int64)


def _labels(targets: Tensor, sizes: Tensor) -> Tensor:
    """The targets as (n, the greatest length), 0 beyond their ends."""
    if not targets.dtype.is_int:
        raise TypeError(
            f"ctc_loss: targets are labels of an integer type, not {targets.dtype.name}" + at_line()
        )
    count = int(sizes.shape[0])
    if targets.ndim == 1:
        known = [int(v) for v in sizes.tolist()]
        if sum(known) != int(targets.shape[0]):
            raise ShapeError(
                f"ctc_loss: targets one after the other have {sum(known)} labels, the sum of "
                f"target_lengths" + shapes_at_line(1, targets=targets.shape)
            )
        longest = max(known, default=0)
        starts = sizes.cumsum(0) - sizes
        inside = arange(longest) < sizes.unsqueeze(-1)
        if not longest:
            return zeros(count, 0, dtype=int64)
        return where(inside, targets[where(inside, starts.unsqueeze(-1) + arange(longest), 0)], 0)
    width, span = int(targets.shape[1]), span_of(sizes, "target_lengths")
    if int(targets.shape[0]) != count or (span is not None and span[1] > width):
        raise ShapeError(
            "ctc_loss: each sequence has a row of targets, at least as long as target_lengths say"
            + shapes_at_line(targets=targets.shape, target_lengths=sizes.shape)
        )
    width = width if span is None else max(span[1], 0)
    targets = targets[:, :width]
    return where(arange(width) < sizes.unsqueeze(-1), targets, 0)


def _log_probability(y: Tensor, labels: Tensor, ends: Tensor, sizes: Tensor, blank: int) -> Tensor:
    """log p of each target (n,).

    Derivative: the probability that s is read at t, γ_t(s) = α_t(s) · β_t(s) / p, summed over the s
    of each class; β is α of what is left, read from its end.
    """

    def derivative(
        g: Sequence[Tensor | None], results: Sequence[Tensor], sources: Sequence[Tensor]
    ) -> Sequence[Tensor | None]:
        (given,), (x, *_) = g, sources
        assert given is not None
        return (_slope(given, x, labels, ends, sizes, blank), None, None, None)

    value = _read(_columns(y.detach(), labels, ends, blank), ends, sizes)
    parts = [y, labels, ends, sizes]
    return with_derivative("ctc_loss", [value_of(value)], parts, derivative)[0]


def _columns(y: Tensor, labels: Tensor, ends: Tensor, blank: int) -> Tensor:
    """log α (2·length + 1, n, time + 1): of each s, from before the first time on."""
    count = y.shape[1]
    longest = int(labels.shape[1])
    silent, spoken = _emitted(y, labels, ends, blank)
    start = full((count, 1), -math.inf, dtype=y.dtype)
    columns = [cat([zeros(count, 1, dtype=y.dtype), silent.cumsum(1)], 1)]
    n, t = axes("n t")
    for s in range(1, 2 * longest + 1):
        here = silent if s % 2 == 0 else spoken[s // 2]
        before = columns[-1][:, :-1]
        if s % 2 and s > 1:
            other = (labels[:, s // 2] != labels[:, s // 2 - 1]).unsqueeze(-1)
            before = logaddexp(before, where(other, columns[-2][:, :-1], -math.inf))
        column = scan(t, lambda a: logaddexp(a, before[n, t]) + here[n, t], -math.inf)  # noqa: B023
        columns.append(cat([start, column.order(n, t)], 1))
    return stack(columns)


def _emitted(y: Tensor, labels: Tensor, ends: Tensor, blank: int) -> tuple[Tensor, Tensor]:
    """log y of the blank (n, time) and of each label (length, n, time); 0 beyond a sequence's end,
    whatever lies there: it is not part of it."""
    time, count, _ = y.shape
    inside = (arange(int(time)).unsqueeze(-1) < ends).unsqueeze(-1)
    y = where(inside, y, 0.0)
    spoken = gather(y, 2, labels.expand(time, count, int(labels.shape[1]))).permute(2, 1, 0)
    return y[:, :, blank].mT, spoken


def _read(table: Tensor, ends: Tensor, sizes: Tensor) -> Tensor:
    """log p: the last label or the blank behind it at the last time."""
    each = arange(int(ends.shape[0]))
    last = table[2 * sizes, each, ends]
    if table.shape[0] == 1:
        return last
    word = table[(2 * sizes - 1).clamp_min(0), each, ends]
    return where(sizes > 0, logaddexp(last, word), last)


def _slope(
    g: Tensor, y: Tensor, labels: Tensor, ends: Tensor, sizes: Tensor, blank: int
) -> Tensor:
    """The derivative by y (time, n, class), weighted by g (n,)."""
    time, count, classes = (int(v) for v in y.shape)
    longest = int(labels.shape[1])
    forth = _columns(y, labels, ends, blank)
    p = _read(forth, ends, sizes)
    # The same from the end on: times and labels of each sequence the other way round.
    turned_t = (ends - 1 - arange(time).unsqueeze(-1)).clamp_min(0)  # (time, n)
    turned_k = (sizes.unsqueeze(-1) - 1 - arange(longest)).clamp_min(0)  # (n, length)
    y_back = gather(y, 0, turned_t.unsqueeze(-1).expand(time, count, classes))
    back = _columns(y_back, gather(labels, 1, turned_k), ends, blank)
    places = arange(2 * longest + 1).unsqueeze(-1).unsqueeze(-1)
    times = arange(time).unsqueeze(0)
    s_back = (2 * sizes.unsqueeze(-1) - places).clamp_min(0)  # (s, n, 1)
    t_back = (ends.unsqueeze(-1) - times).clamp_min(0)  # (n, time), one more than in y
    each = arange(count).unsqueeze(-1)
    back = back[s_back, each, t_back]  # (s, n, time)
    forth = forth[:, :, 1:]
    silent, spoken = _emitted(y, labels, ends, blank)
    live = (times < ends.unsqueeze(-1)) & (places <= 2 * sizes.unsqueeze(-1))
    live = live & (forth > -math.inf) & (back > -math.inf)
    reads = stack([silent if s % 2 == 0 else spoken[s // 2] for s in range(2 * longest + 1)])
    share = where(live, forth, -math.inf) + where(live, back - reads, 0.0) - p.unsqueeze(-1)
    # Of a target without any probability the share is NaN, unless nothing asks for it.
    g = g.unsqueeze(-1)
    share = where((g == 0) | (times >= ends.unsqueeze(-1)), 0.0, share.exp() * g)
    result = zeros(time, count, classes, dtype=y.dtype)
    result = result.scatter_add(2, full((time, count, 1), blank, dtype=int64),
                                share[::2].sum(0).mT.unsqueeze(-1))  # fmt: skip
    if not longest:
        return result
    return result.scatter_add(2, labels.expand(time, count, longest), share[1::2].permute(2, 1, 0))
