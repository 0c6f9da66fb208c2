"""How far the compiled transcendental functions are from the exact values, and that a value has the
same bits at every vector width. `-m slow` goes through all 2^32 numbers of float32."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import scipy.special

from groundup.emit.builder import Function, module
from groundup.emit.operations import Writer, write_operation
from groundup.emit.scalar_math import FLOAT32
from groundup.ir import dtype as dt
from groundup.ir.bounds import ULPS
from groundup.ir.node import make
from groundup.runtime import function
from groundup.runtime.target import host

UNARY: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "exp": np.exp, "expm1": np.expm1, "log": np.log, "log1p": np.log1p, "sin": np.sin,
    "cos": np.cos, "tan": np.tan, "tanh": np.tanh, "erf": scipy.special.erf,
}  # fmt: skip
WIDTHS = (0, 4, 8, 16)
STEP = 4093  # a prime: about 2^20 numbers of every exponent and both signs
CHUNK = 1 << 22
DIFFICULT = np.array(
    [0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 2.0, -2.0, 3.0, -3.0, 1.5, 2.5, -2.5, 1e-45, -1e-45, 1e-40,
     np.inf, -np.inf, np.nan, 3.4e38, -3.4e38, 2**23 + 1, 2**24 + 1, -(2**24), 0.99999994,
     1.0000001, -0.99999994, 1e-30, 127, 128, -126, -149, -150, 1 / 3, 88.72283, 88.72284,
     -103.97208, -87.33655, np.pi, np.pi / 2, 65536.0, 65537.0, 1e22, -1e10, 0.3, 0.92, 9.2, 4.0],
    np.float32,
)  # fmt: skip


def compiled(op: str, lanes: int, dtype: dt.DType = dt.float32) -> Callable[..., np.ndarray]:
    """The operation over arrays whose length is a multiple of 16, in vectors of `lanes`."""
    fn = Function("apply", "ptr %to, ptr %a, ptr %b, i64 %n")
    names = ["%a"] if op in UNARY else ["%a", "%b"]
    holes = tuple(make("hole", dtype, (), (), i) for i in range(len(names)))
    node = make(op, dtype, (), holes, None)
    element = dtype.llvm
    t = f"<{lanes} x {element}>" if lanes else element

    def body(at: str, _: list[str]) -> None:
        w = Writer(fn, fn.region, lanes)
        given = [fn.put(f"load {t}, ptr {fn.gep(name, at, element)}, align 4") for name in names]
        result = write_operation(w, op, node, given)
        fn.do(f"store {t} {result}, ptr {fn.gep('%to', at, element)}, align 4")

    fn.counted(0, "%n", lanes or 1, body)
    address = function(module([fn.text()], fn.declared), "apply")
    call = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 3, ctypes.c_int64)(address)

    def apply(*x: np.ndarray) -> np.ndarray:
        assert all(v.size % 16 == 0 and v.dtype == np.dtype(dtype.name) for v in x)
        result = np.empty_like(x[0])
        call(result.ctypes.data, x[0].ctypes.data, x[-1].ctypes.data, result.size)
        return result

    return apply


def whole(x: np.ndarray) -> np.ndarray:
    """As many elements as fill vectors, the first ones again at the end."""
    return np.resize(np.ascontiguousarray(x), -(-x.size // 16) * 16)


def errors(got: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """Distances in units in the last place; Inf where NaN, Inf or the sign of 0 is wrong. `exact`
    is of a wider type."""
    info = np.finfo(got.dtype)
    with np.errstate(all="ignore"):
        nearest = exact.astype(got.dtype)
        _, exponent = np.frexp(np.abs(exact))
        least = int(info.minexp) - info.nmant
        unit = np.ldexp(exact.dtype.type(1), np.maximum(exponent - info.nmant - 1, least))
        result = np.abs(got.astype(exact.dtype) - exact) / unit
    special = ~np.isfinite(nearest) | ~np.isfinite(got)
    same = (got == nearest) | (np.isnan(got) & np.isnan(nearest))
    zero = (nearest == 0) & (got == 0) & (np.signbit(nearest) != np.signbit(got))
    result[special] = np.where(same[special], 0.0, np.inf)
    result[zero] = np.inf
    return result


def check(op: str, apply: Callable[..., np.ndarray], x: np.ndarray) -> None:
    with np.errstate(all="ignore"):
        exact = UNARY[op](x.astype(np.float64))
    error = errors(apply(x), exact)
    worst = int(error.argmax())
    assert error[worst] <= ULPS[op], (
        f"{op}({x[worst]!r}) is {exact[worst]!r}: {error[worst]:.3f} units off"
    )


def samples(step: int) -> Iterator[np.ndarray]:
    for start in range(0, 1 << 32, CHUNK * step):
        stop = min(start + CHUNK * step, 1 << 32)
        yield whole(np.arange(start, stop, step, dtype=np.uint64).astype(np.uint32)).view("f4")


def test_every_formula_has_a_stated_error() -> None:
    assert set(FLOAT32) == set(ULPS) == {*UNARY, "pow", "hypot"}
    assert max(ULPS.values()) <= 2.0


@pytest.mark.parametrize("op", UNARY)
def test_a_sample_of_all_exponents(op: str) -> None:
    apply = compiled(op, host().vector_bits // 32)
    check(op, apply, whole(DIFFICULT))
    for x in samples(STEP):
        check(op, apply, x)


@pytest.mark.slow
@pytest.mark.parametrize("op", UNARY)
def test_every_number(op: str) -> None:
    apply = compiled(op, host().vector_bits // 32)
    for x in samples(1):
        check(op, apply, x)


@pytest.mark.parametrize("op", FLOAT32)
def test_the_same_bits_at_every_width(op: str) -> None:
    rng = np.random.default_rng(0)
    anything = rng.integers(0, 1 << 32, 1 << 14, dtype=np.uint32).view(np.float32)
    usual = rng.standard_normal(1 << 14, dtype=np.float32) * 10
    x = whole(np.concatenate([DIFFICULT, anything, usual]))
    given = (x,) if op in UNARY else (x, rng.permutation(x))
    results = [compiled(op, lanes)(*given) for lanes in WIDTHS]
    for other in results[1:]:
        number = ~np.isnan(results[0])
        assert np.array_equal(np.isnan(other), ~number)
        assert np.array_equal(other[number].view("u4"), results[0][number].view("u4"))


@pytest.mark.parametrize("seed", range(3))
def test_powers(seed: int) -> None:
    apply = compiled("pow", host().vector_bits // 32)
    rng = np.random.default_rng(seed)
    n = 1 << 18
    pairs = [
        (rng.integers(0, 1 << 32, n, dtype=np.uint32).view("f4"),
         rng.integers(0, 1 << 32, n, dtype=np.uint32).view("f4")),
        (np.exp(rng.standard_normal(n) * 2), rng.standard_normal(n) * 40),
        (1 + rng.standard_normal(n) * 0.01, rng.standard_normal(n) * 8000),
        (rng.standard_normal(n), rng.integers(-9, 10, n)),
    ]  # fmt: skip
    grid = np.meshgrid(DIFFICULT, DIFFICULT)
    for a, b in [*pairs, (grid[0].ravel(), grid[1].ravel())]:
        x, y = whole(a.astype(np.float32)), whole(b.astype(np.float32))
        with np.errstate(all="ignore"):
            exact = np.power(x.astype(np.float64), y.astype(np.float64))
        error = errors(apply(x, y), exact)
        worst = int(error.argmax())
        assert error[worst] <= ULPS["pow"], (x[worst], y[worst], exact[worst], error[worst])


LENGTHS = {"float32": (dt.float32, np.float64), "float64": (dt.float64, np.longdouble)}


@pytest.mark.parametrize("name", LENGTHS)
def test_lengths_of_all_sizes(name: str) -> None:
    dtype, wide = LENGTHS[name]
    info, rng, n = np.finfo(name), np.random.default_rng(0), 1 << 16
    low, high = int(info.minexp) - info.nmant, int(info.maxexp)
    sizes = rng.uniform(low, high, n)
    near = np.clip(sizes + rng.uniform(-15, 15, n), low, high)
    difficult = [0.0, -0.0, 1.0, -1.0, 3.0, -4.0, np.inf, -np.inf, np.nan, info.max, -info.max,
                 info.tiny, info.smallest_subnormal, 2.0**40, 2.0**-40]  # fmt: skip
    grid = np.meshgrid(difficult, difficult)
    with np.errstate(all="ignore"):
        pairs = [
            (rng.standard_normal(n), rng.standard_normal(n)),
            (np.exp2(sizes), np.exp2(near) * rng.uniform(0.5, 1, n)),
            (rng.uniform(1, 2, n), np.exp2(rng.uniform(-30, 0, n))),
            (rng.integers(-4000, 4000, n), rng.integers(-4000, 4000, n)),
            (grid[0].ravel(), grid[1].ravel()),
        ]  # fmt: skip
    applied = [compiled("hypot", lanes, dtype) for lanes in (0, 4, host().vector_bits // 32)]
    for a, b in pairs:
        x, y = whole(a.astype(name)), whole(b.astype(name))
        with np.errstate(all="ignore"):
            exact = np.hypot(x.astype(wide), y.astype(wide))
        results = [apply(x, y) for apply in applied]
        error = errors(results[0], exact)
        worst = int(error.argmax())
        assert error[worst] <= ULPS["hypot"], (x[worst], y[worst], exact[worst], error[worst])
        normal = (exact >= info.tiny) & (exact <= info.max)
        assert error[normal].max(initial=0) <= 0.51
        for other in results[1:]:
            assert np.array_equal(other, results[0], equal_nan=True)


def test_whole_powers_of_two_are_exact() -> None:
    n = whole(np.arange(-160, 130).astype(np.float32))
    two = np.full_like(n, 2.0)
    with np.errstate(over="ignore"):
        wanted = np.exp2(n.astype(np.float64)).astype(np.float32)
    assert np.array_equal(compiled("pow", host().vector_bits // 32)(two, n), wanted)
