"""What operations of complex numbers become: one expression, one kernel, in vectors of elements."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import groundup as gu
from groundup.emit.kernel import Nest
from groundup.ir.transform import toposort
from groundup.schedule import Plan, Signature

Made = Callable[..., gu.Tensor]
FORMS: dict[str, Made] = {
    "add": lambda z, w, x: z + w,
    "add a real tensor": lambda z, w, x: x + z,
    "subtract from a number": lambda z, w, x: (1 - 2j) - z,
    "multiply": lambda z, w, x: z * w,
    "multiply by a number": lambda z, w, x: z * 2j,
    "divide": lambda z, w, x: z / w,
    "divide a real tensor": lambda z, w, x: x / z,
    "power": lambda z, w, x: z**w,
    "conj": lambda z, w, x: z.conj(),
    "abs": lambda z, w, x: z.abs(),
    "angle": lambda z, w, x: z.angle(),
    "exp": lambda z, w, x: z.exp(),
    "asin": lambda z, w, x: z.asin(),
    "equal": lambda z, w, x: z == w,
}


def given(n: int = 50, name: str = "complex64") -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    z, w = (rng.standard_normal(n) + 1j * rng.standard_normal(n) for _ in range(2))
    return z.astype(name), w.astype(name), rng.standard_normal(n).astype(z.astype(name).real.dtype)


def stored(y: gu.Tensor) -> gu.Tensor:
    return gu.view_as_real(y) if y.is_complex() else y


@pytest.mark.parametrize("form", FORMS)
def test_one_expression_and_one_loop_over_elements(form: str) -> None:
    y = stored(FORMS[form](*(gu.tensor(a).realize() for a in given())))
    if form != "add" and y.dim() == 2:  # seen as pairs, which the operation made
        assert sum(n.op == "loops" for n in toposort([y.node])) <= 2
    node = y.node
    (step,) = Plan(Signature([node]), [node], [None]).steps
    assert isinstance(step.kernel, Nest) and len(step.kernel.loops) == 1
    assert step.kernel.vector == 0


def test_a_matrix_is_transposed_in_squares() -> None:
    a = given(35 * 18)[0].reshape(35, 18)
    y = gu.tensor(a).realize().mT.contiguous()
    node = gu.view_as_real(y).node
    (step,) = Plan(Signature([node]), [node], [None]).steps
    assert isinstance(step.kernel, Nest) and step.kernel.square
    assert np.array_equal(y.numpy(), a.T)


@pytest.mark.parametrize("form", ["multiply", "add a real tensor", "multiply by a number"])
def test_the_same_bits_where_a_derivative_is_asked_for(form: str) -> None:
    arrays = given(name="complex128")
    plain = FORMS[form](*(gu.tensor(a) for a in arrays))
    z, w, x = (gu.tensor(a, requires_grad=True) for a in arrays)
    tracked = FORMS[form](z, w, x)
    assert tracked.requires_grad and not plain.requires_grad
    assert plain.tolist() == tracked.tolist()
    with gu.no_grad():
        assert not FORMS[form](z, w, x).requires_grad


@pytest.mark.parametrize("shapes", [((3, 1), (1, 4)), ((2, 3), (3,)), ((), (5,)), ((0, 2), (2,))])
def test_operands_broadcast(shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal(s) + 1j * rng.standard_normal(s) for s in shapes)
    x, y = gu.tensor(np.asarray(a)), gu.tensor(np.asarray(b))
    for got, wanted in ((x * y, a * b), (x / y, a / b), (x == y, a == b), (x * y.real, a * b.real)):
        assert tuple(got.shape) == np.shape(wanted)
        np.testing.assert_allclose(got.numpy(), wanted, rtol=1e-14)


def test_conj_has_a_derivative_of_its_own() -> None:
    z = gu.tensor([1 + 2j, 3 - 1j], requires_grad=True)
    (z.conj() * gu.tensor([1j, 2.0])).real.sum().backward()
    assert z.grad is not None and z.grad.tolist() == [1j, 2]


def test_a_captured_function_of_complex_tensors_is_called_in_straight_code() -> None:
    z, w, x = given(6, "complex128")
    a, b, c = gu.tensor(z), gu.tensor(w), gu.tensor(x)
    f = gu.jit(lambda p, q: p * q)
    for i in range(80):
        a = gu.tensor(z + i)
        got = f(a, b)
        assert got.is_complex()
        np.testing.assert_allclose(got.numpy(), (z + i) * w, rtol=1e-14)
    latest = f._latest  # type: ignore[attr-defined]
    assert latest is None or latest.straight is not None  # None: plain loops compute
    pairs = f(gu.view_as_real(a), gu.view_as_real(b))  # of the same form, but no complex numbers
    assert not pairs.is_complex()
    for p, q in ((a, c), (a.flip(0), b), (a, a)):
        np.testing.assert_allclose(f(p, q).numpy(), p.numpy() * q.numpy(), rtol=1e-14)
    size = gu.jit(lambda p: p.abs())
    for i in range(80):
        np.testing.assert_allclose(size(gu.tensor(z * i)).numpy(), np.abs(z * i), rtol=1e-15)
