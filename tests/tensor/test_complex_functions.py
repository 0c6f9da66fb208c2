"""Functions of complex numbers: NumPy's values also at zeros, infinities, NaN and beside cuts."""

from __future__ import annotations

import cmath

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import groundup as gu

NAMES = {
    "exp": np.exp, "log": np.log, "log2": np.log2, "log10": np.log10, "sqrt": np.sqrt,
    "sin": np.sin, "cos": np.cos, "tan": np.tan, "sinh": np.sinh, "cosh": np.cosh, "tanh": np.tanh,
    "asin": np.arcsin, "acos": np.arccos, "atan": np.arctan, "asinh": np.arcsinh,
    "acosh": np.arccosh, "atanh": np.arctanh, "reciprocal": np.reciprocal, "exp2": np.exp2,
}  # fmt: skip
# What is worth being tried: cuts and their ends, what overflows when squared, what is subnormal.
EDGES = [
    0.0, -0.0, 1.0, -1.0, 0.5, -2.0, 3.0, 1e-300, -1e-300, 1e-310, 1e160, -1e160, 1e300, 1.7e308,
    np.inf, -np.inf, np.nan, 709.9, -745.2, 1 - 2**-53, 1 + 2**-52,
]  # fmt: skip
GRID = np.array([complex(a, b) for a in EDGES for b in EDGES])
RNG = np.random.default_rng(3)
PLAIN = RNG.normal(0, 2, 200) + 1j * RNG.normal(0, 2, 200)


def part_differs(a: float, b: float, size: float, other: float, room: float) -> bool:
    """Is one part wrong? Where the other is NaN, C99 leaves signs of zeros and infinities open."""
    if np.isnan(b):
        return not np.isnan(a)
    if np.isinf(b) or b == 0:
        signs = np.signbit(a) == np.signbit(b) or np.isnan(other)
        tiny = b == 0 and not np.isnan(other) and 0 < abs(a) < 1e-300  # underflow of theirs
        return not ((abs(a) == abs(b) and signs) or tiny)
    return not abs(a - b) <= room * size + 1e-320


def differences(got: np.ndarray, wanted: np.ndarray, room: float = 3e-15) -> list[str]:
    """The elements that differ: each part by more than `room` times the size of the number."""
    found = []
    for i, (g, w) in enumerate(zip(got.reshape(-1), wanted.reshape(-1), strict=True)):
        with np.errstate(all="ignore"):
            size = abs(w) if np.isfinite(abs(w)) else max(
                [abs(p) for p in (w.real, w.imag) if np.isfinite(p)], default=1.0
            )
        if part_differs(g.real, w.real, size, w.imag, room) or part_differs(
            g.imag, w.imag, size, w.real, room
        ):
            found.append(f"{i}: {g}, not {w}")
    return found


@pytest.mark.parametrize("name", NAMES)
def test_values_are_numpys(name: str, engine: str) -> None:
    values = np.concatenate([GRID, PLAIN]) if engine == "compiled" else GRID[::11]
    if name == "exp2":  # both multiply the angle by log 2, and lose digits of large ones
        values = values[(abs(values) < 100)]
    # Of a subnormal distance from 1, acos keeps as many digits as it has.
    room = {"exp2": 1e-13, "acos": 5e-14, "acosh": 5e-14}.get(name, 3e-15)
    with np.errstate(all="ignore"):
        wanted = NAMES[name](values)
        if name == "exp":  # C99 leaves the signs of these zeros open
            wanted[(values.real == -np.inf) & ~np.isfinite(values.imag)] = 0
    bad = differences(getattr(gu.tensor(values), name)().numpy(), wanted, room)
    assert not bad, f"{name} of {[values[int(b.split(':')[0])] for b in bad[:3]]}: {bad[:3]}"


@pytest.mark.parametrize("name", NAMES)
def test_narrow_values_are_the_wide_ones_rounded(name: str, engine: str) -> None:
    z = PLAIN[: None if engine == "compiled" else 10].astype(np.complex64)
    got = getattr(gu.tensor(z), name)()
    assert got.dtype is gu.complex64
    wanted = NAMES[name](z.astype(np.complex128))
    assert not differences(got.numpy().astype(np.complex128), wanted, 4e-7)


def test_what_numpy_has_not_or_loses() -> None:
    z = np.array([1e-20 + 1e-18j, 1e-9j, -1e-12 + 1e-13j, 0.25 - 0.5j, -1 + 1e-8j])
    # Near 0 log(1 + z) is its series; NumPy's loses all digits there.
    series = [z[0], 5e-19 + 1e-9j, z[2] - z[2] ** 2 / 2, cmath.log(1 + z[3]), cmath.log(1 + z[4])]
    np.testing.assert_allclose(gu.tensor(z).log1p().numpy(), series, rtol=1e-13)
    np.testing.assert_allclose(gu.tensor(z[:3]).expm1().numpy(), z[:3] + z[:3] ** 2 / 2, rtol=1e-13)
    on_circle = np.exp(1j * np.linspace(0.1, 3, 9))  # |z| is 1 but for rounding
    exact = [float(_log_size(v)) for v in on_circle]
    np.testing.assert_allclose(gu.tensor(on_circle).log().real.numpy(), exact, rtol=1e-12)
    w = gu.tensor([-800.0 + 1j, 800 - 1j, 0j])
    np.testing.assert_allclose(w.sigmoid().numpy(), [0, 1, 0.5], atol=1e-300)
    np.testing.assert_allclose(gu.tensor(PLAIN).sigmoid().numpy(), 1 / (1 + np.exp(-PLAIN)))
    np.testing.assert_allclose(gu.tensor(PLAIN).rsqrt().numpy(), 1 / np.sqrt(PLAIN))
    np.testing.assert_allclose(gu.tensor(PLAIN).square().numpy(), PLAIN**2)
    pi_z = np.pi * PLAIN
    np.testing.assert_allclose(gu.tensor(PLAIN).sinc().numpy(), np.sin(pi_z) / pi_z, rtol=1e-13)
    assert gu.tensor(0j).sinc().item() == 1


def _log_size(v: complex) -> float:
    """log |v| from the exact |v|² − 1."""
    from fractions import Fraction

    excess = Fraction(v.real) ** 2 + Fraction(v.imag) ** 2 - 1
    return float(excess) / 2


def test_sizes_and_angles() -> None:
    z = gu.tensor(GRID)
    np.testing.assert_allclose(abs(z).numpy(), np.abs(GRID), rtol=3e-16)
    assert abs(z).dtype is gu.float64 and abs(gu.tensor(1j)).dtype is gu.float32
    np.testing.assert_allclose(gu.angle(z).numpy(), np.angle(GRID), rtol=3e-16)
    assert gu.tensor([3 + 4j, 0]).sgn().tolist() == [pytest.approx(0.6 + 0.8j), 0]
    assert gu.sgn(gu.tensor([-2.0])).tolist() == [-1]
    p = gu.polar(gu.tensor([2.0, 1.0]), gu.tensor([0.0, np.pi / 2]))
    np.testing.assert_allclose(p.numpy(), [2, 1j], atol=1e-7)
    with pytest.raises(TypeError, match="one type"):
        gu.polar(gu.ones(1), gu.ones(1, dtype=gu.float64))


def test_questions() -> None:
    z = gu.tensor([1 + 0j, complex(np.nan, 1), complex(1, np.inf), 2j])
    assert z.isnan().tolist() == [False, True, False, False]
    assert z.isinf().tolist() == [False, False, True, False]
    assert z.isfinite().tolist() == [True, False, False, True]
    assert gu.isreal(z).tolist() == [True, False, False, False]
    assert gu.isclose(z, z * (1 + 1e-7)).tolist() == [True, False, False, True]
    assert gu.allclose(z[::3], z[::3])
    assert gu.tensor([0j, 1j]).logical_not().tolist() == [True, False]
    assert gu.tensor([0j, 1j]).to(gu.bool).tolist() == [False, True]


FINITE = st.floats(-1e3, 1e3, allow_subnormal=False)
# Not those whose products overflow: where NumPy multiplies and adds in one step, ∞ − ∞ is ∞.
ANY = st.one_of(FINITE, st.sampled_from([e for e in EDGES if not 1e100 < abs(e) < np.inf]))
COUNT = 8  # one shape: one plan


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(st.builds(complex, ANY, ANY), min_size=COUNT, max_size=COUNT),
    st.lists(st.builds(complex, ANY, ANY), min_size=COUNT, max_size=COUNT),
)
def test_arithmetic_is_numpys_for_any_values(
    engine: str, a: list[complex], b: list[complex]
) -> None:
    if engine == "python" and a[0] != a[1]:
        return  # the Python engine has no plans to keep: a few values are enough
    x, y = np.array(a), np.array(b)
    s, t = gu.tensor(x), gu.tensor(y)
    with np.errstate(all="ignore"):
        for got, wanted in ((s + t, x + y), (s - t, x - y), (s * t, x * y), (s / t, x / y)):
            rounded = differences(got.numpy(), wanted, 1e-12)
            # Of a product whose parts cancel, the order of two roundings may show.
            assert not [d for d in rounded if "nan" in d or "inf" in d], rounded
        np.testing.assert_array_equal((s == t).numpy(), x == y)
        np.testing.assert_array_equal((s != t).numpy(), x != y)
        np.testing.assert_allclose(abs(s).numpy(), np.abs(x), rtol=3e-16)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.builds(complex, FINITE, FINITE), min_size=COUNT, max_size=COUNT))
def test_inverses_undo(engine: str, values: list[complex]) -> None:
    if engine == "python" and values[0] != values[1]:
        return
    z = np.array(values)
    w = gu.tensor(z)
    for there, back in (("sqrt", "square"), ("log", "exp"), ("asinh", "sinh"), ("acos", "cos")):
        again = getattr(getattr(w, there)(), back)().numpy()
        np.testing.assert_allclose(again, z, rtol=1e-12, atol=1e-15)


def test_powers() -> None:
    z, w = PLAIN[:50], PLAIN[50:100]
    a, b = gu.tensor(z), gu.tensor(w)
    np.testing.assert_allclose((a**b).numpy(), z**w, rtol=1e-13)
    np.testing.assert_allclose((2**b).numpy(), 2**w, rtol=1e-13)
    for e in (0, 1, 2, -1, 7, 0.5, -0.5, 2.5, 1 - 2j, 65):
        np.testing.assert_allclose((a**e).numpy(), z**e, rtol=1e-12)
    zero = gu.tensor([0j, 0j, 0j, 0j])
    e = gu.tensor([0j, 2 + 0j, 0.5 + 1j, -1 + 0j])
    got = (zero**e).tolist()
    assert got[:3] == [1, 0, 0] and cmath.isnan(got[3])


OTHERS = ["expm1", "log1p", "sigmoid", "sinc", "abs", "angle", "sgn"]


@pytest.mark.parametrize("name", [*NAMES, *OTHERS])
def test_gradients_are_those_of_finite_differences(name: str, engine: str) -> None:
    if engine == "python":
        pytest.skip("the expressions are the same, and their values are compared above")
    z = PLAIN[100:106] / 3
    w = gu.tensor(z, requires_grad=True)
    seed = gu.tensor(PLAIN[:6])
    f = lambda v: getattr(v, name)()  # noqa: E731
    y = f(w)
    loss = (y * seed).real.sum() if y.is_complex() else (y * seed.real).sum()
    loss.backward()
    assert w.grad is not None

    def value(v: np.ndarray) -> np.ndarray:
        y = f(gu.tensor(v)).numpy()
        return (y * PLAIN[:6]).real if np.iscomplexobj(y) else y * PLAIN[:6].real

    h = 1e-6
    re = (value(z + h) - value(z - h)) / (2 * h)
    im = (value(z + 1j * h) - value(z - 1j * h)) / (2 * h)
    np.testing.assert_allclose(w.grad.numpy(), re + 1j * im, rtol=1e-5, atol=1e-6)


def test_second_derivatives() -> None:
    z = gu.tensor(PLAIN[:4] / 3, requires_grad=True)
    (first,) = gu.derivatives((z.exp() * z).real.sum(), z, create_graph=True)
    (second,) = gu.derivatives(first.real.sum(), z)
    # f = z·e^z: the gradient is conj f′, that of its real part conj f″.
    w = z.detach().numpy()
    np.testing.assert_allclose(first.detach().numpy(), np.conj((1 + w) * np.exp(w)))
    np.testing.assert_allclose(second.numpy(), np.conj((2 + w) * np.exp(w)))
