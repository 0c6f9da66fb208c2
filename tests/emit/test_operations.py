"""Every operation on every type: the compiled code equals the Python reference, and both the
definition in ir.scalar, on values chosen to be difficult."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from groundup.emit.elements import load, store
from groundup.emit.python import values
from groundup.ir import dtype as dt
from groundup.ir.bounds import LIBM, NEAR_ZERO, ULPS, ulps
from groundup.ir.node import Node, alu, buffer, cast, loops, outs, read
from groundup.ir.scalar import BOOL, COMPARE, FLOAT, INTEGER, Number, apply
from groundup.ir.scalar import cast as cast_value
from groundup.ir.verify import _UNARY
from groundup.runtime import allocate
from groundup.schedule.execute import execute

from .. import build as B

REALS = (
    0.0, -0.0, 1.0, -1.0, 0.1, 0.3, -0.3, 0.5, -0.5, 1.5, 2.5, -2.5, 3.0, 7.0, -7.0, 1e-3, 1e-7,
    88.0, -100.0, 1e10, -1e10, 65504.0, 65520.0, 1e-30, 1e-41, 3.4e38, 1e300, 2.0**31, 2.0**63,
    -(2.0**63), math.pi, -math.pi / 2, math.inf, -math.inf, math.nan,
)  # fmt: skip
WHOLE = (
    0, 1, -1, 2, -2, 3, 7, -7, 31, 63, 100, 127, -128, 255, 2**15, 2**24 + 1, 2**31 - 1, -(2**31),
    2**53 + 1, 2**62 + 2**38 + 1, 9007199791611905, 2**63 - 1, -(2**63), 2**64 - 1,
)  # fmt: skip


def numbers(dtype: dt.DType) -> list[Number]:
    """The values above as far as a type has them, each once."""
    source = REALS if dtype.is_float else WHOLE
    found = {repr(v): v for v in (cast_value(v, dtype) for v in source)}
    return list(found.values())


def tensor(data: list[Number], dtype: dt.DType) -> Node:
    memory = allocate(max(1, len(data) * dtype.itemsize))
    store(memory, data, dtype)
    return buffer(memory, (len(data),), dtype)


def same(a: Number, b: Number, ulps: float = 0.0) -> bool:
    if a == b or (a != a and b != b):
        return True
    return math.isfinite(a) and math.isfinite(b) and abs(a - b) <= ulps


def ulp(x: Number, dtype: dt.DType) -> float:
    """The gap between a number and the next of its type."""
    least = {"float64": 5e-324, "float32": 2.0**-149, "float16": 2.0**-24}
    size = 2.0 ** math.floor(math.log2(abs(x))) * dtype.eps if x and math.isfinite(x) else 0.0
    return max(size, least.get(dtype.name, 2.0**-133))


def compare(
    node: Node, wanted: list[Number], ulps: float, given: list[object], least: float = 0.0
) -> None:
    assert all(same(a, b) for a, b in zip(values([node])[0], wanted, strict=True))
    (memory,) = execute([node])
    got = load(memory, node.dtype, len(wanted))
    wrong = [
        f"{g}: {a!r}, not {w!r}"
        for g, a, w in zip(given, got, wanted, strict=True)
        if not same(a, w, max(least, ulps * ulp(w, node.dtype)) if ulps else 0.0)
    ]
    assert not wrong, f"{len(wrong)} of {len(wanted)}: " + "; ".join(wrong[:8])


def operations(dtype: dt.DType) -> list[str]:
    return [*(FLOAT if dtype.is_float else BOOL if dtype.kind == "b" else INTEGER), *COMPARE]


ALL = [(op, d) for d in dt.ALL for op in operations(d)]


@pytest.mark.parametrize(("op", "dtype"), ALL, ids=lambda p: p if isinstance(p, str) else p.name)
def test_operation(op: str, dtype: dt.DType) -> None:
    data = numbers(dtype)
    i = outs(1)[0]
    if op in _UNARY:
        given: list[tuple[Number, ...]] = [(v,) for v in data]
    else:
        given = list(itertools.product(data, data))
    columns = [tensor([g[k] for g in given], dtype) for k in range(len(given[0]))]
    node = loops((len(given),), alu(op, *(read(c, i) for c in columns)))
    wanted = [apply(op, dtype, g) for g in given]
    # The reference is rounded too, to half a unit.
    allowed = ulps(op, dtype.bits) + 0.5 if op in ULPS or op in LIBM else 0
    compare(node, wanted, allowed, list(given), NEAR_ZERO.get(op, 0.0))


@pytest.mark.parametrize("source", dt.ALL, ids=lambda d: d.name)
@pytest.mark.parametrize("to", dt.ALL, ids=lambda d: d.name)
def test_cast(source: dt.DType, to: dt.DType) -> None:
    data = numbers(source)
    node = loops((len(data),), cast(read(tensor(data, source), outs(1)[0]), to))
    compare(node, [cast_value(v, to) for v in data], 0, list(data))


@pytest.mark.parametrize(
    ("value", "near"),
    [
        (2**62 + 2**38 + 1, 2.0**62 + 2.0**39),
        (-(2**62) - 2**38 - 1, -(2.0**62) - 2.0**39),
        (2**62 + 2**38, 2.0**62),
        (2**24 + 1, 2.0**24),
        (2**64 - 1, 2.0**64),
    ],
)
def test_integers_round_once_to_float32(value: int, near: float) -> None:
    assert cast_value(value, dt.float32) == near


def test_floor_division_floors_the_rounded_quotient() -> None:
    tenth = cast_value(0.1, dt.float32)
    assert apply("floordiv", dt.float32, (1.0, tenth)) == 10.0
    assert apply("floordiv", dt.float64, (-7.0, 2.0)) == -4.0


@pytest.mark.parametrize("count", [1, 16])
def test_every_float16_and_what_lies_between(count: int) -> None:
    """All float16 are widened exactly; float32 beside and between them go to the nearest, ties to
    even, as NumPy rounds; with and without instructions for it."""
    every = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    wide = B.to(B.tensor(every[:: 1 if count > 1 else 97]), dt.float32)
    (got,) = execute([wide])
    want = every[:: 1 if count > 1 else 97].astype(np.float32)
    assert np.array_equal(B.array(got, wide), want, equal_nan=True)
    finite = every[np.isfinite(every)].astype(np.float32)
    middle = np.float32(0.5) * (finite[:-1] + finite[1:])
    edges = np.array([65519.99, 65520.0, 1e30, np.inf, np.nan, 1e-45, 2.0**-25], np.float32)
    x = np.concatenate([finite, middle, edges])
    x = np.concatenate([f(x, np.float32(d)) for f in (np.nextafter,) for d in (-9e9, 9e9)] + [x])
    narrow = B.to(B.tensor(x), dt.float16)
    (got,) = execute([narrow])
    with np.errstate(over="ignore"):
        want16 = x.astype(np.float16)
    found = B.array(got, narrow)
    assert np.array_equal(found, want16, equal_nan=True)
    assert np.array_equal(np.signbit(found), np.signbit(want16))
