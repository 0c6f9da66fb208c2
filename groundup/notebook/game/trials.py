"""What each function is tried on: inputs chosen for the pieces of the course, and for every other
function those of a common stock that the library's own takes. Must not know how they are compared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from inspect import isclass
from itertools import islice
from typing import Any

import groundup as gu
from groundup.tensor import Tensor

from .compare import Trial, differ
from .inputs import INF, NAN, Spec, between, built, mapped, numbers, pairs, single, special, whole
from .names import public
from .rules import names_by_key

_ENOUGH = 14  # trials of a function that is tried on the common stock
_FEW = 4  # with so few, the same shapes are tried with other values, too


def library(key: str) -> Any:
    """What the library has under a key: the first function or class that needs it."""
    values = {name: value for name, value, _ in reversed(list(public()))}
    named = sorted(names_by_key()[key], key=lambda name: name.rpartition(".")[2] != key)
    for name in named:
        if not name.startswith("Indexed.") and callable(values[name]):
            return values[name]
    raise KeyError(f"{key} names nothing that can be called")


def trials(key: str) -> list[Trial]:
    """The inputs for the function of a key; none for one that nothing here fits."""
    chosen = _COURSE.get(key)
    if chosen is not None:
        return list(chosen())
    reference = library(key)
    found = [] if isclass(reference) else list(islice(_accepted(reference), _ENOUGH))
    return found if len(found) > _FEW else [*found, *(v for t in found for v in _varied(t))]


def _varied(trial: Trial) -> Iterator[Trial]:
    """The same with floats in another order."""
    for by in (1, 2):
        yield Trial(tuple(mapped(list(trial.args), partial(_rolled, by=by))))


def _rolled(spec: Spec, by: int) -> Spec:
    if not spec.dtype.is_float or spec.view == "expand":
        return spec
    return spec._replace(values=spec.values[by:] + spec.values[:by])


def _plain(cases: Any) -> list[Trial]:
    return [Trial(args) for args in cases]


def _kept(cases: list[tuple[Any, ...]]) -> list[Trial]:
    """Of reductions: a third argument is keepdim."""
    return [Trial(args[:2], {"keepdim": args[2]} if args[2:] else {}) for args in cases]


# ---- the course ---------------------------------------------------------------------------------


def _matmul() -> Iterator[Trial]:
    for n, k, m in [(2, 3, 2), (1, 1, 1), (4, 3, 5), (1, 5, 2)]:
        yield Trial((numbers(n, k), numbers(k, m, seed=3)))
    a, b = numbers(2, 3), numbers(3, 2, seed=3)
    yield Trial((_with_value(a, 0, NAN), b))
    yield Trial((_with_value(a, 1, INF), _with_value(b, 2, 0.0)))
    for shapes in [((0, 3), (3, 2)), ((2, 0), (0, 3)), ((2, 3), (3, 0))]:
        yield Trial((numbers(*shapes[0]), numbers(*shapes[1])))
    for dtype in (gu.float64, gu.int64, gu.bfloat16):
        yield Trial((numbers(2, 3, dtype=dtype), numbers(3, 2, dtype=dtype, seed=1)))
    yield Trial((numbers(3, 2, view="t"), numbers(2, 4, view="step")))
    yield Trial((numbers(3), numbers(3, 2, seed=1)))
    yield Trial((numbers(2, 3), numbers(3, seed=1)))
    yield Trial((numbers(3), numbers(3, seed=1)))
    yield Trial((numbers(2, 2, 3), numbers(2, 3, 2, seed=1)))
    yield Trial((numbers(2, 3), numbers(2, 3, 2, seed=1)))
    yield Trial((numbers(2, 1, 2, 3), numbers(3, 3, 2, seed=1)))
    yield Trial((numbers(2, 3), numbers(4, 2)), refused=True)
    yield Trial((numbers(2, 3), numbers(2, 3)), refused=True)


def _with_value(spec: Spec, place: int, value: float) -> Spec:
    return spec._replace(values=(*spec.values[:place], value, *spec.values[place + 1 :]))


def _along() -> list[tuple[Any, ...]]:
    """For reductions: over all, over an axis, with the axis kept, of odd shapes and types."""
    x = numbers(2, 3, seed=1)
    return [
        (numbers(3),), (x,), (x, 0), (x, 1), (x, -1), (x, 1, True), (Spec((), (1.5,)),),
        (_with_value(x, 4, NAN), 0), (_with_value(x, 4, INF), 1), (numbers(2, 3, 2), 1),
        (numbers(3, dtype=gu.float64),), (numbers(2, 3, view="t"), 0),
        (numbers(2, 3, view="expand"), 0),
    ]  # fmt: skip


def _sums() -> list[tuple[Any, ...]]:
    return [*_along(), (numbers(4, dtype=gu.int64),), (numbers(4, dtype=gu.bool_),), (numbers(0),),
            (numbers(2, 0), 1), (numbers(2, 0), 0)]  # fmt: skip


def _extremes() -> list[tuple[Any, ...]]:
    return [*_along(), (numbers(4, dtype=gu.int64),), (special(),), (whole(1, 3, 3, 2), 0)]


def _einsum() -> list[tuple[Any, ...]]:
    a, b, c = numbers(2, 3), numbers(3, 2, seed=3), numbers(3, seed=1)
    return [
        ("ik,kj->ij", a, b), ("i,j->ij", c, numbers(2)), ("ij->ji", a), ("ij->", a), ("ij->i", a),
        ("i,i->", c, c), ("ij,ij->i", a, numbers(2, 3, seed=2)), ("ij,j->i", a, c),
        ("bik,bkj->bij", numbers(2, 2, 3), numbers(2, 3, 2)), ("ik,jk->ij", a, numbers(4, 3)),
        ("ik,kj->ij", _with_value(a, 0, NAN), b), ("ik,kj->ij", numbers(0, 3), b),
        ("ik,kj->ij", numbers(2, 0), numbers(0, 2)),
    ]  # fmt: skip


def _where() -> list[tuple[Any, ...]]:
    mask = numbers(2, 3, dtype=gu.bool_)
    return [
        (mask, numbers(2, 3), numbers(2, 3, seed=1)),
        (numbers(3, dtype=gu.bool_), numbers(2, 3), numbers(2, 1)),
        (numbers(8, dtype=gu.bool_), special(), special(turned=True)),
        (mask, numbers(2, 3, dtype=gu.int64), numbers(2, 3, seed=1)),
        (numbers(0, dtype=gu.bool_), numbers(0), numbers(0)),
    ]


def _clamp() -> list[tuple[Any, ...]]:
    bounds = [(-1.0, 1.0), (0.0, None), (None, 0.5), (1.0, -1.0)]
    return [(x, *b) for x in (numbers(2, 3), special(), numbers(0), numbers(4, dtype=gu.float64))
            for b in bounds]  # fmt: skip


def _losses() -> list[tuple[Any, ...]]:
    return [
        (numbers(3), numbers(3, seed=2)), (numbers(2, 3), numbers(2, 3, seed=1)),
        (_with_value(numbers(2, 3), 0, NAN), numbers(2, 3)),
        (_with_value(numbers(2, 3), 0, INF), numbers(2, 3)),
        (numbers(3, dtype=gu.float64), numbers(3, dtype=gu.float64, seed=2)),
        (numbers(2, 3, view="t"), numbers(2, 3)),
    ]


def _linear() -> list[tuple[Any, ...]]:
    w, b = numbers(4, 3, seed=1), numbers(4, seed=2)
    return [
        (numbers(2, 3), w, b), (numbers(2, 3), w), (numbers(1, 3), w, b), (numbers(0, 3), w, b),
        (numbers(3), w, b), (numbers(2, 2, 3), w, b), (_with_value(numbers(2, 3), 0, NAN), w, b),
        tuple(t._replace(dtype=gu.float64) for t in (numbers(2, 3), w, b)),
    ]  # fmt: skip


def _scores() -> list[tuple[Any, ...]]:
    big = Spec((2, 3), (1000.0, -1000.0, 0.0, 90.0, 91.0, 89.0))
    return [
        (numbers(2, 3), whole(2, 0)), (numbers(1, 4), whole(3)), (numbers(4, 2), whole(0, 1, 1, 0)),
        (big, whole(0, 2)), (numbers(2, 3, dtype=gu.float64), whole(2, 0)),
        (_with_value(numbers(2, 3), 0, NAN), whole(2, 0)), (numbers(2, 3, view="t"), whole(1, 1)),
    ]  # fmt: skip


def _shares() -> list[tuple[Any, ...]]:
    big = Spec((2, 3), (1000.0, -1000.0, 0.0, 90.0, 91.0, 89.0))
    x = numbers(2, 3, seed=1)
    return [
        (numbers(3), 0), (x, 0), (x, 1), (x, -1), (big, 1), (_with_value(x, 0, NAN), 1),
        (_with_value(x, 0, -INF), 1), (numbers(3, dtype=gu.float64), 0), (numbers(2, 2, 3), 1),
        (numbers(0, 3), 1), (numbers(2, 3, view="t"), 0),
    ]  # fmt: skip


def _stack() -> list[tuple[Any, ...]]:
    a, b = numbers(2, 3), numbers(2, 3, seed=1)
    return [
        ([numbers(3), numbers(3, seed=1)],), ([a, b], 0), ([a, b], 1), ([a, b], -1), ([a],),
        ([Spec((), (1.0,)), Spec((), (2.0,))],), ([numbers(0), numbers(0)],),
        ([numbers(3, dtype=gu.int64), numbers(3, dtype=gu.int64, seed=1)],),
    ]


def _convolutions() -> list[tuple[Any, ...]]:
    x, w = numbers(1, 2, 4, 4), numbers(3, 2, 3, 3, seed=1)
    return [
        (numbers(1, 1, 3, 3), numbers(1, 1, 2, 2, seed=1)), (x, w), (x, w, numbers(3)),
        (x, w, None, 2), (x, w, None, 1, 1), (x, w, numbers(3), 2, 1),
        (numbers(2, 1, 5, 4), numbers(2, 1, 3, 2, seed=1)), (_with_value(x, 3, NAN), w),
    ]


def _pools() -> list[tuple[Any, ...]]:
    x = numbers(1, 2, 4, 4)
    return [(numbers(1, 1, 2, 2), 2), (x, 2), (x, 2, 1), (numbers(2, 1, 5, 4), 2), (x, 3, 2),
            (_with_value(x, 3, NAN), 2)]  # fmt: skip


_COURSE: dict[str, Callable[[], Any]] = {
    "sum": lambda: _kept(_sums()),
    "matmul": _matmul,
    "norm": lambda: _plain(a[:1] for a in _losses()),
    "einsum": lambda: _plain(_einsum()),
    "mean": lambda: _kept(_along()),
    "var": lambda: _kept([a for a in _along() if a[0].shape]),
    "max": lambda: _kept(_extremes()),
    "argmax": lambda: _kept(_extremes()),
    "maximum": lambda: _plain(pairs()),
    "where": lambda: _plain(_where()),
    "clamp": lambda: _plain(_clamp()),
    "relu": lambda: _plain(single()[:12]),
    "exp": lambda: _plain(single()[:12]),
    "log": lambda: _plain([(between(0, 5, 4),), *single()[:12]]),
    "linear": lambda: _plain(_linear()),
    "mse_loss": lambda: _plain(_losses()),
    "logsumexp": lambda: _kept([*_shares(), (numbers(2, 3), 1, True)]),
    "softmax": lambda: _plain(_shares()),
    "log_softmax": lambda: _plain(_shares()),
    "nll_loss": lambda: _plain(_scores()),
    "cross_entropy": lambda: _plain(_scores()),
    "accuracy": lambda: _plain(_scores()),
    "stack": lambda: _plain(_stack()),
    "conv2d": lambda: _plain(_convolutions()),
    "max_pool2d": lambda: _plain(_pools()),
    "avg_pool2d": lambda: _plain(_pools()),
    "nonzero_static": lambda: [Trial((numbers(2, 3),), {"size": n}) for n in (1, 3, 9)],
    "solve_triangular": lambda: [
        Trial((numbers(3, 3, seed=1), numbers(3, 2)), {"upper": up}) for up in (True, False)
    ],
    "max_unpool2d": lambda: _plain(
        [(numbers(1, 1, 1, 2), whole(*at, shape=(1, 1, 1, 2)), 2) for at in [(0, 2), (5, 3)]]
    ),
}


# ---- every other function: what it takes of a common stock -------------------------------------


def stock() -> Iterator[tuple[Any, ...]]:
    """Arguments that one function or another takes, the simplest first."""
    yield from single()
    yield from pairs()
    x, square = numbers(2, 3, seed=1), Spec((2, 2), (4.0, 1.0, 1.0, 3.0))
    yield from [(square,), (square, numbers(2, 2)), (square, numbers(2)), (numbers(3, 3, 3),)]
    for more in [(0,), (1,), (2,), (-1,), (0, 1), (1, 0), (2, 0), (0, True), (2.0,), (0.5,)]:
        yield (x, *more)
    mask, cubes = numbers(2, 3, dtype=gu.bool_), (numbers(2, 2, 3), numbers(2, 3, 2))
    yield from [
        (mask, x, numbers(2, 3)), cubes, (numbers(2, 2, 2), *cubes), (numbers(2, 2), *cubes),
        (numbers(2), x, numbers(3)), ("ij,ij->i", x, x), ("i j",), (whole(1, 0, 2), numbers(3, 2)),
    ]  # fmt: skip
    yield from [([x, x],), ([x, x], 0), ([numbers(3), numbers(2)],), (x, [0, 1]), (x, (1, 0))]
    index = whole(1, 0)
    yield from [
        (x, 0, index), (x, 1, index, numbers(2, 2)), (x, 0, index, numbers(2, 3)),
        (x, 0, index, 1.5), (x, index), (x, (index,), numbers(2, 3)), (x, index, numbers(2)),
        (x, 0, whole(1, 0, 1, 0, 1, 0, shape=(2, 3)), numbers(2, 3, seed=2)),
        (x, 0, whole(1, 0, 1, 0, 1, 0, shape=(2, 3)), numbers(2, 3, seed=2), "sum"),
        (x, 0, index, numbers(2, 3), "amax"), (x, 0, whole(0), numbers(1, 3), "amax"),
        (x, numbers(3), 0, 1), (x, numbers(2), 1, 0), (x, numbers(2, 1), 1, 0, 1, 1),
        (x, numbers(2, 3), numbers(2, 3, seed=2)), (x, numbers(2, 3), 0.5), (x, 1.0, 2.0),
        (x, numbers(2, 3, dtype=gu.bool_), 1.0),
        (x, numbers(2, 3, dtype=gu.bool_), numbers(6, seed=2)), (x, numbers(2, 2), numbers(2, 3)),
        (numbers(2), numbers(3), numbers(2, 3)), (numbers(2, 2), numbers(2), numbers(2)),
        (numbers(3, seed=1), whole(0, 2)), (whole(0, 2, 1),), (whole(0, 1, 2), 3),
        (whole(3, 5), whole(2, 4)),
        (between(0, 1, 3), between(0, 1, 3)), (between(0, 1, 2, 3), numbers(2, 3, dtype=gu.bool_)),
        (between(0, 1, 2, 3), whole(1, 0)), (numbers(2, 3), numbers(2, 3), whole(1, -1)),
        (numbers(2, 3), numbers(2, 3), between(0, 1, 2, 3)), (2, 3), (3, 3), (numbers(1, 4, 4),),
        (1, x), (0, x), (2, between(1, 2, 3)),
        (between(0, 1, 3), [0.5]), (Spec((3,), (0.1, 0.5, 0.9)), numbers(2)),
        (numbers(1, 4, 4), 2), (numbers(1, 2, 4), 2), (numbers(1, 4, 2, 2), 2),
        (numbers(1, 1, 4, 4), 2), (numbers(1, 1, 4, 4, 4), 2), (numbers(1, 1, 2, 2), (4, 4)),
        (numbers(1, 2, 5), numbers(3, 2, 3)), (numbers(1, 2, 5), numbers(2, 3, 3)),
        (numbers(1, 1, 3, 3), numbers(1, 1, 2, 2)),
        (numbers(1, 1, 3, 3, 3), numbers(1, 1, 2, 2, 2)),
        (numbers(2, 4), 2), (numbers(2, 4, 3), 2), (numbers(2, 3, 4), (4,)), (numbers(2, 3), (3,)),
        (numbers(1, 1, 3, 3), numbers(1, 2, 2, 2)), (numbers(2, 3), numbers(4, 3), numbers(4, 3)),
        (numbers(2, 3), numbers(2, 4), numbers(5, 3, 4)), (numbers(2, 4, 4), whole(1, 0)),
        (numbers(2, 3), whole(2, 0), numbers(3, 3)), (numbers(2, 3), numbers(3, 4), 0, 1),
        (x, 2, 0, 1.0), (numbers(4, 4), 2, 0, 1), (numbers(6), 2, 2), (numbers(4), 4, 0.0, 1.0),
        (square, square), ([square, square],), ([x, numbers(3, 2), square],),
        (numbers(1, 1, 2, 2), whole(0, shape=(1, 1, 1, 1)), 2), (x, numbers(3, seed=2), 1),
    ]  # fmt: skip


def _accepted(reference: Callable[..., Any]) -> Iterator[Trial]:
    """What the library's function takes, and computes alike twice, with some number in it."""
    for args in stock():
        try:
            first, second = reference(*built(args)), reference(*built(args))
            worth = _tells(first) and differ(second, first) is None
        except Exception:
            continue
        if worth:
            yield Trial(args)


def _tells(result: Any) -> bool:
    """Would another function likely give another result?"""
    if isinstance(result, Tensor):
        return True
    if isinstance(result, list | tuple):
        return any(map(_tells, result))
    return isinstance(result, bool | int | float)
