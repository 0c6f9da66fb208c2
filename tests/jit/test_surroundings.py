"""What surrounds a captured function beside values of its own: random numbers of Python and NumPy,
the environment, weak references, views of dictionaries, memory of C, names in strings: right as the
plain call, or refused."""

from __future__ import annotations

import collections
import ctypes
import io
import operator
import os
import random
import sys
import types
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import groundup as gu

from .scenarios import as_plain, refused, row, values

GLOBAL = 1.0


class Thing:
    """An object with attributes."""

    def __init__(self, **attributes: Any) -> None:
        vars(self).update(attributes)


def followed(jit: Any, factor: Callable[[], Any], change: Callable[[float], Any]) -> Any:
    f = jit(lambda x: x * factor())
    seen = []
    for k in (1, 1, 2, 3):
        change(k)
        seen.append(values(f(row(1))))
    return seen


DRAWS: dict[str, Callable[[], float]] = {
    "the module": lambda: random.random(),
    "an instance": random.Random(3).random,
    "a choice": lambda: random.choice([1.0, 1.0]),
    "numpy": lambda: float(np.random.rand()),
    "a generator of numpy's": np.random.default_rng(3).random,
    "an older one": np.random.RandomState(3).rand,
}


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
def test_numbers_drawn_by_others_are_refused_though_graphs_be_equal(draw: Any) -> None:
    f = gu.jit(lambda x: x * 2 if draw() < 2 else x)
    random.seed(0)
    np.random.seed(0)
    with pytest.raises(gu.JitError, match="draws from a"):
        f(row(1))
    first = draw()
    random.seed(0)
    np.random.seed(0)
    assert random.random() == 0.8444218515250481  # an error leaves everything as it was
    assert 0 <= first <= 1


@as_plain
def test_the_environment_is_seen(jit: Any) -> Any:
    name = "GROUNDUP_TEST_FACTOR"

    def change(k: float) -> None:
        os.environ[name] = str(k)

    ways = (lambda: float(os.environ[name]), lambda: float(os.getenv(name, "0")))
    try:
        return [followed(jit, way, change) for way in ways]
    finally:
        del os.environ[name]


@as_plain
def test_what_looks_at_other_values_is_looked_through(jit: Any) -> Any:
    seen = []
    for kind in (dict, collections.OrderedDict, collections.UserDict):
        d: Any = kind(k=1.0)
        v, get = d.values(), d.get

        def change(k: float, d: Any = d) -> None:
            d["k"] = k

        seen.append(followed(jit, lambda v=v: sum(v), change))
        seen.append(followed(jit, lambda get=get: get("k"), change))
    items = [1.0]
    first = items.__getitem__
    seen.append(followed(jit, lambda: first(0), lambda k: operator.setitem(items, 0, k)))
    thing = Thing(k=1.0)
    weak = weakref.ref(thing)
    seen.append(followed(jit, lambda: weak().k, lambda k: setattr(thing, "k", k)))  # type: ignore[union-attr]
    return seen


@as_plain
def test_what_is_given_and_looks_at_other_values_is_looked_through(jit: Any) -> Any:
    d, thing = {"k": 1.0}, Thing(k=1.0)
    get, weak = d.get, weakref.ref(thing)
    f = jit(lambda x, g, w: x * g("k") * w().k)
    seen = []
    for k in (1.0, 1.0, 2.0, 3.0):
        d["k"] = thing.k = k
        seen.append(values(f(row(1), get, weak)))
    return seen


@as_plain
def test_memory_of_any_kind_is_seen_and_written(jit: Any) -> Any:
    seen = []
    numbers, raw = (ctypes.c_int * 2)(1, 2), bytearray(b"\1\2")
    for memory in (numbers, memoryview(raw)):

        def change(k: float, m: Any = memory) -> None:
            m[0] = k

        seen.append(followed(jit, lambda m=memory: m[0], change))

        def count(x: gu.Tensor, m: Any = memory) -> gu.Tensor:
            m[0] += 1
            return x * m[0]

        counting = jit(count)
        seen.append([values(counting(row(1))) for _ in range(4)])
        seen.append(memory[0])
    return seen


@as_plain
def test_names_in_strings_are_followed(jit: Any) -> Any:
    module = types.ModuleType("groundup_test_module")
    vars(module)["k"] = 1.0
    sys.modules[module.__name__] = module

    def change(k: float) -> None:
        vars(module)["k"] = globals()["GLOBAL"] = k

    ways = (
        lambda: globals()["GLOBAL"],
        lambda: globals()["GLO" + "BAL".strip()],
        lambda: eval("GLOBAL * 2"),
        lambda: getattr(module, "k"),  # noqa: B009
        lambda: sys.modules["groundup_test_module"].k,
    )
    try:
        return [followed(jit, way, change) for way in ways]
    finally:
        del sys.modules[module.__name__]


@as_plain
def test_an_object_that_becomes_one_of_another_class_is_seen(jit: Any) -> Any:
    class Double:
        def of(self, x: gu.Tensor) -> gu.Tensor:
            return x * 2

    class Triple(Double):
        def of(self, x: gu.Tensor) -> gu.Tensor:
            return x * 3

    thing = Double()
    f = jit(lambda x: thing.of(x))
    seen = [values(f(row(1))) for _ in range(100)]
    thing.__class__ = Triple
    return [*seen, values(f(row(1)))]


@as_plain
def test_attributes_are_seen_whatever_they_are_called_and_however_found(jit: Any) -> Any:
    class Refusing:
        def __getattr__(self, name: str) -> Any:
            raise ValueError(name)

    refusing: Any = Refusing()
    things = [Thing(captured=[1], k=1.0), refusing]
    return [
        followed(jit, lambda t=t: t.k, lambda k, t=t: setattr(t, "k", k)) for t in things
    ]


@as_plain
def test_attributes_of_numbers_and_strings_are_seen(jit: Any) -> Any:
    class Number(float):
        k = 1.0

    class Text(str):
        k = 1.0

    seen = []
    for value in (Number(1), Text("a")):
        seen.append(followed(jit, lambda v=value: v.k, lambda k, v=value: setattr(v, "k", k)))
    f = jit(lambda x, n: x * n.k)
    for k in (1.0, 1.0, 2.0):
        n = Number(1)
        n.k = k
        seen.append(values(f(row(1), n)))
    return seen


@refused("takes items from a BytesIO")
def test_a_file_that_is_read_is_refused(jit: Any) -> Any:
    file = io.BytesIO(b"\1" * 9)
    f = jit(lambda x: x * file.read(1)[0])
    return [values(f(row(1))) for _ in range(3)]


@as_plain
def test_a_slot_that_is_a_property_is_none_of_the_objects(jit: Any) -> Any:
    class Slotted:
        __slots__ = ("made", "value")

        def __init__(self, value: float) -> None:
            self.value = value

    class Computed(Slotted):
        @property
        def made(self) -> tuple[float]:  # type: ignore[override]
            return (self.value,)

    thing = Computed(2.0)
    f = jit(lambda x: x * thing.made[0])
    seen = [values(f(row(1))) for _ in range(3)]
    thing.value = 3.0
    return [*seen, values(f(row(1)))]


def test_asking_for_globals_walks_through_none_that_is_not_named() -> None:
    """The globals of a session hold all that was ever made in it."""
    f = gu.jit(lambda x: x * eval("GLOBAL"))
    f(row(1))
    assert f._reach is not None
    assert len(f._reach.slots) < 100
