"""What is given to a captured function: any nesting, numbers of any kind, objects of any class."""

from __future__ import annotations

import collections
import dataclasses
import decimal
import enum
import math
import pathlib
import sys
from typing import Any

import numpy as np
import pytest

import groundup as gu

from .scenarios import as_plain, refused, row, values


@as_plain
def test_an_object_with_slots_is_looked_into(jit: Any) -> Any:

    class P:
        __slots__ = ("a",)

    p = P()
    p.a = 2.0
    g = jit(lambda x, p: x * p.a)
    r = [values(g(row(1), p)) for _ in range(3)]
    p.a = 3.0
    return [*r, values(g(row(1), p))]


@as_plain
def test_equal_frozen_dataclasses_of_other_types_are_told_apart(jit: Any) -> Any:

    @dataclasses.dataclass(frozen=True)
    class C:
        k: object

    g = jit(lambda x, c: x * c.k)
    k = gu.tensor([1, 2])
    return [(values(g(k, C(v))), g(k, C(v)).dtype.name) for v in (1, 1, 1, 1.0, True, 2)]


@as_plain
def test_a_dataclass_is_read_anew(jit: Any) -> Any:

    @dataclasses.dataclass
    class C:
        k: object
        w: object

    g = jit(lambda x, c: x * c.k + c.w)
    return [values(g(row(1), C(v, row(w)))) for v, w in ((1, 1), (1, 2), (1, 3), (2, 4))]


@as_plain
def test_zeros_of_numpy_s_doubles_are_told_apart(jit: Any) -> Any:
    g = jit(lambda x, a: x * float(a))
    return [
        repr(values(g(row(1), np.float64(v))))
        for v in (0.0, 0.0, 0.0, -0.0, math.nan, math.nan, math.nan, 1.0)
    ]


@as_plain
def test_zeros_of_numpy_s_floats_are_told_apart(jit: Any) -> Any:
    g = jit(lambda x, a: x * float(a))
    return [
        repr(values(g(row(1), np.float32(v))))
        for v in (0.0, 0.0, 0.0, -0.0, math.nan, math.nan, math.nan, 1.0)
    ]


@as_plain
def test_equal_decimals_that_print_differently_are_told_apart(jit: Any) -> Any:
    D = decimal.Decimal
    g = jit(lambda x, a: x * len(str(a)))
    return [repr(values(g(row(1), D(v)))) for v in ("1.0", "1.0", "1.0", "1.00")]


@as_plain
def test_frozen_sets_of_other_types_are_told_apart(jit: Any) -> Any:
    g = jit(lambda k, a: k * next(iter(a)))
    return [g(gu.tensor([1]), frozenset({v})).dtype.name for v in (1, 1, 1, 1.0, True)]


@as_plain
def test_empty_ranges_are_told_apart(jit: Any) -> Any:
    g = jit(lambda k, a: k * (a.start + 1))
    return [values(g(gu.tensor([1]), a)) for a in (range(0), range(0), range(0), range(2, 2))]


@as_plain
def test_slices_may_be_given(jit: Any) -> Any:
    g = jit(lambda k, a: k[a] * 2)
    return [
        values(g(row(1, 2, 3), a))
        for a in (slice(0, 2), slice(0, 2), slice(0, 2), slice(1, 3), slice(None))
    ]


@as_plain
def test_indices_may_be_given(jit: Any) -> Any:
    g = jit(lambda k, a: k[a] * 2)
    return [values(g(row(1, 2, 3), a)) for a in (..., ..., ..., None, 0, 0, 0)]


@as_plain
def test_members_of_an_enum_may_be_given(jit: Any) -> Any:

    class E(enum.Enum):
        A = 1.0
        B = 2.0

    g = jit(lambda k, a: k * a.value)
    return [values(g(row(1), a)) for a in (E.A, E.A, E.A, E.B, E.B, E.A)]


@as_plain
def test_members_of_an_int_enum_may_be_given(jit: Any) -> Any:

    class E(enum.IntEnum):
        A = 1
        B = 2

    g = jit(lambda k, a: k * a)
    return [values(g(row(1), a)) for a in (E.A, E.A, E.A, E.B, E.B, E.A, 1, 2)]


@as_plain
def test_paths_may_be_given(jit: Any) -> Any:
    g = jit(lambda k, a: k * len(str(a)))
    return [values(g(row(1), pathlib.Path(a))) for a in ("a", "a", "a", "ab")]


@refused("argument of type ndarray")
def test_an_array_is_refused(jit: Any) -> Any:
    g = jit(lambda k, a: k * gu.from_numpy(a))
    return [values(g(row(1), np.array([v], np.float32))) for v in (1, 1, 1, 2)]


@as_plain
def test_numbers_of_every_kind_keep_their_types(jit: Any) -> Any:
    g = jit(lambda x, a: x * a)
    r = []
    for a in (
        1,
        1,
        1,
        1.0,
        True,
        2**40,
        1e300,
        -0.0,
        0.0,
        float("nan"),
        float("inf"),
        gu.tensor(1.0),
        gu.tensor(2.0),
        gu.tensor(2),
        gu.tensor(True),
        gu.tensor([2.0]),
    ):
        y = g(row(1), a)
        r.append((repr(values(y)), y.dtype.name))
        y = g(gu.tensor([1]), a) if a != 1e300 else g(row(1), a)
        r.append((repr(values(y)), y.dtype.name))
    return r


@as_plain
def test_every_type_and_shape_is_a_capture_of_its_own(jit: Any) -> Any:
    g = jit(lambda x: (x * 2).sum(0))
    r = []
    for x in (
        gu.ones(2, 3),
        gu.ones(2, 3, dtype=gu.float64),
        gu.ones(3, 2),
        gu.ones(0, 3),
        gu.ones(1, 3),
        gu.ones(2, 3).to(gu.int32),
        gu.ones(2, 3) > 0,
        gu.ones(2, 3).bfloat16(),
        gu.ones(2, 3).t(),
        gu.ones(2, 1).expand(2, 3),
        gu.ones(())[None],
        gu.ones(2, 3, 4),
        gu.ones(2, 3),
    ):
        y = g(x)
        r.append((repr(values(y)), y.dtype.name, tuple(y.shape)))
    return r * 1


@as_plain
def test_keywords_defaults_and_their_order_are_right(jit: Any) -> Any:

    def f(x, *args, a=1, b=2, **kw):
        return x * a - b + sum(args) + sum(kw.values())

    g = jit(f)
    return [
        values(z)
        for z in (
            g(row(1), a=3, b=4),
            g(row(1), b=4, a=3),
            g(row(1), b=3, a=4),
            g(row(1), 5, 6, b=3),
            g(row(1), 5.0, z=1, b=3),
            g(row(1)),
            g(x=row(1)),
            g(row(1)),
            g(row(1), a=3, b=4),
            g(row(1), a=3, b=4),
        )
    ]


@as_plain
def test_missing_arguments_are_a_type_error(jit: Any) -> Any:
    g = jit(lambda x: x)
    r = []
    for a in ((), (row(1), 2)):
        try:
            g(*a)
        except TypeError:
            r.append("TypeError")
    return r


@refused("hold themselves")
def test_a_list_that_holds_itself_is_refused(jit: Any) -> Any:
    g = jit(lambda items: items[0] * 2)
    a = [row(1)]
    a.append(a)
    try:
        return values(g(a))
    except RecursionError:
        raise


@refused("changes a dict that is an argument")
def test_a_write_into_a_dictionary_that_is_given_is_refused(jit: Any) -> Any:

    def f(d):
        d["out"] = d["x"] * 2

    g = jit(f)
    r = []
    for v in (1, 2, 3, 4):
        d = {"x": row(v)}
        g(d)
        r.append(values(d))
    return r


@refused("changes a list that is an argument")
def test_an_item_put_into_a_list_that_is_given_is_refused(jit: Any) -> Any:

    def f(d):
        d.append(d[0] * 2)

    g = jit(f)
    r = []
    for v in (1, 2, 3, 4):
        d = [row(v)]
        g(d)
        r.append(values(d))
    return r


@refused("changes a defaultdict")
def test_a_default_that_is_made_in_an_argument_is_refused(jit: Any) -> Any:

    def f(d):
        return d["x"] * 2 + d["missing"]

    g = jit(f)
    r = []
    for v in (1, 2, 3, 4):
        d = collections.defaultdict(lambda: 1.0, {"x": row(v)})
        r.append(values(g(d)))
    return r


@as_plain
def test_complex_tensors_go_in_and_out(jit: Any) -> Any:
    w = gu.tensor([2 + 1j])
    p = gu.tensor([1 + 1j], requires_grad=True)

    def f(z: Any, x: Any) -> Any:
        (z * p).abs().sum().backward()
        return z * w, {"conj": w.conj() * x}, z

    g = jit(f)
    found = []
    for n in (1, 2, 3, 4):
        z = gu.tensor([n + 1j])
        product, rest, same = g(z, row(n))
        found.append((values([product, rest, p.grad]), same.tolist()))
        w = w if n < 3 else gu.tensor([n - 2j])
    return found


@as_plain
def test_which_of_the_arguments_is_given_again_is_known(jit: Any) -> Any:
    a, b = row(1), row(10)
    p, q = row(100).requires_grad_(), row(1000).requires_grad_()
    g = jit(lambda x, y, z: (x + 2 * y + 3 * z).detach())
    calls = ((a, p, p), (a, p, a), (a, b, a), (a, b, b), (a, a, b), (p, q, p), (p, q, q))
    return [values(g(*args)) for args in (*calls, *calls, *calls)]


def test_what_is_remembered_of_plain_calls_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["groundup.tensor.jit"], "MAX_CAPTURES", 4)
    box = [0.0]
    g = gu.jit(lambda x: x * box[0])
    w = row(1).requires_grad_()
    for n in range(20):
        box[0] = float(n)
        assert values(g(w * 2)) == [2.0 * n * v for v in values(row(1))]
    assert len(g._plain) <= 4 and len(g._numbers) <= 5


def test_memory_without_elements_is_the_same_whatever_its_byte_is() -> None:
    @gu.jit
    def f(x: gu.Tensor) -> gu.Tensor:
        return gu.cat([gu.tensor([]), gu.from_numpy(np.zeros((0, 4), np.float32)).sum(1), x])

    for n in range(3):
        dirty = [gu.full((64,), 255 - n, dtype=gu.uint8).realize() for _ in range(100)]
        del dirty
        assert f(row(n)).tolist() == [n]
