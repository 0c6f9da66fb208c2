"""Inputs of trials: described, so that a smaller one can be made of each; built anew for each call.

Values are small fractions of powers of two: sums of them are exact, in whichever order. Must not
know what is tried.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import groundup as gu
from groundup.tensor import DType, Tensor

NAN, INF = math.nan, math.inf
SPECIAL = (NAN, INF, -INF, -0.0, 0.0, 1.0, -2.5, 1e-30)


class Spec(NamedTuple):
    """A tensor to be made: its values in row-major order, and whether it is a view of others.

    view: '' (rows of its own), 't' (a transposed matrix), 'expand' (rows that are one row) or
    'step' (every second element).
    """

    shape: tuple[int, ...]
    values: tuple[Any, ...]
    dtype: DType = gu.float32
    view: str = ""

    def build(self) -> Tensor:
        """The tensor."""
        if self.view == "t":
            rows, columns = self.shape
            turned = [self.values[i * columns + j] for j in range(columns) for i in range(rows)]
            return gu.tensor(turned, dtype=self.dtype).reshape(columns, rows).t()
        if self.view == "expand":
            row = gu.tensor(list(self.values[: math.prod(self.shape[1:])]), dtype=self.dtype)
            return row.reshape(1, *self.shape[1:]).expand(*self.shape)
        flat = gu.tensor(list(self.values), dtype=self.dtype)
        if self.view == "step":
            wide = gu.zeros(len(self.values) * 2, dtype=self.dtype)
            wide[::2] = flat
            flat = wide[::2]
        return flat.reshape(*self.shape)

    def cut(self, size: int, new: int, end: bool) -> Spec:
        """With all axes of one size cut to the first (or last) few."""
        if size not in self.shape:
            return self
        values, shape = list(self.values), list(self.shape)
        for axis, old in enumerate(self.shape):
            if old != size:
                continue
            inner = math.prod(shape[axis + 1 :])
            start = old - new if end else 0
            values = [
                v for at in range(0, len(values), max(1, old * inner))
                for v in values[at + start * inner : at + (start + new) * inner]
            ]  # fmt: skip
            shape[axis] = new
        return self._replace(shape=tuple(shape), values=tuple(values), view="")


def numbers(*shape: int, dtype: DType = gu.float32, view: str = "", seed: int = 0) -> Spec:
    """Quarters from −2.5 to 2.5 in an order of their own (whole numbers for integers)."""
    count = math.prod(shape)
    if view == "expand":
        count = math.prod(shape[1:])
    steps = [((i + seed) * 7 + 3 * seed) % 21 - 10 for i in range(count)]
    if dtype is gu.bool_:
        values: list[Any] = [s % 2 == 0 for s in steps]
    elif dtype.is_float:
        values = [s / 4 for s in steps]
    else:
        values = [s % 8 if dtype.kind == "u" else s % 8 - 3 for s in steps]
    if view == "expand":
        values = values * shape[0]
    return Spec(shape, tuple(values), dtype, view)


def special(*, dtype: DType = gu.float32, turned: bool = False) -> Spec:
    """NaN, infinities, zeros of both signs and others."""
    values = SPECIAL[3:] + SPECIAL[:3] if turned else SPECIAL
    return Spec((len(values),), values, dtype)


def between(low: float, high: float, *shape: int) -> Spec:
    """Values strictly between two numbers."""
    count = math.prod(shape)
    step = (high - low) / (count + 1)
    return Spec(shape, tuple(low + step * (i + 1) for i in range(count)))


def whole(*values: int, shape: tuple[int, ...] | None = None) -> Spec:
    """Integers, as indices and classes are."""
    return Spec(shape or (len(values),), values, gu.int64)


def single() -> list[tuple[Any, ...]]:
    """What a function of one tensor is tried on, the simplest first."""
    return [
        (numbers(3),), (numbers(2, 3, seed=1),), (Spec((), (1.5,)),), (between(0, 1, 4),),
        (special(),), (numbers(3, dtype=gu.float64),), (numbers(4, dtype=gu.int64),),
        (numbers(2, 3, view="t"),), (numbers(2, 3, view="expand"),), (numbers(3, view="step"),),
        (numbers(0),), (numbers(2, 0, 3),), (numbers(3, dtype=gu.bool_),),
        (numbers(3, dtype=gu.bfloat16),),
    ]  # fmt: skip


def pairs() -> list[tuple[Any, ...]]:
    """What a function of two tensors is tried on, broadcast and of different types, too."""
    return [
        (numbers(3), numbers(3, seed=2)), (numbers(2, 3), numbers(3, seed=1)),
        (numbers(2, 1), numbers(1, 3, seed=1)), (Spec((), (1.5,)), numbers(3)),
        (special(), special(turned=True)),
        (numbers(3, dtype=gu.float64), numbers(3, dtype=gu.float64, seed=2)),
        (numbers(3, dtype=gu.int64), numbers(3, dtype=gu.int64, seed=1)),
        (numbers(3), numbers(3, dtype=gu.int64, seed=1)), (numbers(0), numbers(0)),
        (numbers(2, 3, view="t"), numbers(2, 3, seed=2)),
    ]  # fmt: skip


def mapped(value: Any, change: Callable[[Spec], Any]) -> Any:
    """Arguments with each description replaced, in lists, tuples and dicts too."""
    if isinstance(value, Spec):  # a tuple itself
        return change(value)
    if isinstance(value, list | tuple):
        return type(value)(mapped(v, change) for v in value)
    if isinstance(value, dict):
        return {k: mapped(v, change) for k, v in value.items()}
    return value


def built(args: tuple[Any, ...]) -> tuple[Any, ...]:
    """Arguments with tensors in the place of their descriptions."""
    return tuple(mapped(list(args), Spec.build))


def specs(value: Any) -> list[Spec]:
    """All descriptions in arguments."""
    if isinstance(value, Spec):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    return [s for v in value for s in specs(v)] if isinstance(value, list | tuple) else []


def smaller(args: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    """Arguments that are simpler than these: smaller first, then with plainer values."""
    tensors = specs(args)
    for size in sorted({n for spec in tensors for n in spec.shape if n > 1}, reverse=True):
        for new in dict.fromkeys((1, size // 2, size - 1)):
            for end in (False, True):
                yield mapped(args, partial(Spec.cut, size=size, new=new, end=end))
    if any(spec.view for spec in tensors):
        yield mapped(args, lambda spec: spec._replace(view=""))
    for which in range(len(tensors)):
        for values in _plainer(tensors[which]):
            yield _with(args, which, values)


def _plainer(spec: Spec) -> Iterator[tuple[Any, ...]]:
    """Values of which more are 0 or 1."""
    n = len(spec.values)
    zero, one = (False, True) if spec.dtype is gu.bool_ else (0, 1)
    for plain in (zero, one):
        if any(v != plain for v in spec.values):
            yield (plain,) * n
    if n > 12:
        return
    for i, value in enumerate(spec.values):
        for plain in (zero, one):
            simple = value in (zero, one) and not (value == 0 and math.copysign(1, value) < 0)
            if not simple:
                yield (*spec.values[:i], plain, *spec.values[i + 1 :])


def _with(args: tuple[Any, ...], which: int, values: tuple[Any, ...]) -> tuple[Any, ...]:
    """Arguments with the values of one of their tensors replaced."""
    count = iter(range(1 << 30))

    def change(spec: Spec) -> Spec:
        return spec._replace(values=values, view="") if next(count) == which else spec

    return tuple(mapped(list(args), change))
