"""LU, exponentials, Householder products, and decompositions that report instead of raising."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import groundup as gu
from groundup import linalg

from .test_linalg import by_differences, compare, definite, name, numbers, well

Function = Callable[..., Any]
NAN = float("nan")


@pytest.mark.peers
@pytest.mark.parametrize("pivot", [True, False])
@pytest.mark.parametrize("shape", [(3, 3), (1, 1), (2, 4, 4), (2, 5), (5, 2), (2, 4, 3), (0, 3, 3),
                                   (3, 0), (0, 0), (2, 0, 3)])  # fmt: skip
def test_lu(shape: tuple[int, ...], pivot: bool) -> None:
    x = numbers(*shape)
    if not pivot and x.size:
        i = np.arange(min(shape[-2:]))
        x[..., i, i] += 4
    for function in ("lu", "lu_factor", "lu_factor_ex"):
        if pivot or function == "lu_factor_ex":  # torch has no LU without pivots on this processor
            compare(lambda lib, a, f=function: name(lib, "linalg", f)(a), x, tol=1e-7)
    parts = linalg.lu(gu.from_numpy(x), pivot=pivot)
    np.testing.assert_allclose((parts.P @ parts.L @ parts.U).numpy(), x, atol=1e-12)


@pytest.mark.parametrize("shape", [(3, 3), (2, 3), (3, 2)])
def test_derivatives_of_lu_are_slopes(shape: tuple[int, ...]) -> None:
    def value(x: gu.Tensor) -> gu.Tensor:
        _, low, up = linalg.lu(x)
        return low.sin().sum() + up.sin().sum()

    def along(x: gu.Tensor) -> gu.Tensor:
        return (gu.grad(value)(x) * gu.from_numpy(numbers(*shape, seed=3))).sum()

    x = numbers(*shape)
    for f in (value, along):
        got = gu.grad(f)(gu.from_numpy(x)).numpy()
        np.testing.assert_allclose(got, by_differences(f, x), rtol=1e-6, atol=1e-6)


@pytest.mark.peers
@pytest.mark.parametrize("left", [True, False])
@pytest.mark.parametrize("adjoint", [True, False])
def test_lu_solve(left: bool, adjoint: bool) -> None:
    def solve(lib: Any, a: Any, b: Any) -> Any:
        packed, pivots = lib.linalg.lu_factor(a)
        return lib.linalg.lu_solve(packed, pivots, b, left=left, adjoint=adjoint)

    for a, b in [((3, 3), (3, 2)), ((2, 3, 3), (3, 4)), ((3, 3), (2, 3, 1)), ((1, 1), (1, 1))]:
        compare(solve, well(*a), numbers(*(b if left else (*b[:-2], b[-1], b[-2]))), tol=1e-7)


@pytest.mark.parametrize("upper", [True, False])
def test_cholesky_factors_solve(upper: bool) -> None:
    a, b = definite(gu.from_numpy(well(2, 3, 3))), gu.from_numpy(numbers(2, 3, 2))
    factor = linalg.cholesky(a, upper=upper)
    rest = gu.from_numpy(numbers(3, 3))  # the other triangle, which is not read
    factor = factor + (rest.tril(-1) if upper else rest.triu(1))
    x = gu.cholesky_solve(b, factor, upper)
    np.testing.assert_allclose(x.numpy(), linalg.solve(a, b).numpy(), rtol=1e-10)
    inverse = gu.cholesky_inverse(factor, upper)
    np.testing.assert_allclose(inverse.numpy(), linalg.inv(a).numpy(), rtol=1e-10, atol=1e-12)


def test_reports_say_which_pivot_is_zero() -> None:
    a = gu.eye(3).repeat(3, 1, 1)
    a[1, 1, 1] = 0.0
    a[2] = 0.0
    for report in (linalg.inv_ex(a), linalg.solve_ex(a, gu.ones(3, 1)), linalg.cholesky_ex(a),
                   linalg.lu_factor_ex(a)):  # fmt: skip
        assert report.info.tolist() == [0, 2, 1]
        assert report.info.dtype is gu.int32
    for report in (linalg.inv_ex(a), linalg.cholesky_ex(a)):
        assert gu.equal(report[0][0], gu.eye(3))
        assert report[0][1:].isnan().all().item()
    assert linalg.solve_ex(a, gu.ones(3, 3)).result.isnan().tolist() == [
        [False] * 3, [True] * 3, [True] * 3]  # fmt: skip


@pytest.mark.parametrize("function", [linalg.inv_ex, linalg.cholesky_ex, linalg.lu_factor_ex])
def test_reports_raise_when_told(function: Function) -> None:
    with pytest.raises(linalg.LinAlgError):
        function(gu.zeros(2, 2), check_errors=True)
    with pytest.raises(linalg.LinAlgError):
        linalg.lu_factor(gu.zeros(2, 2))


@pytest.mark.peers
@pytest.mark.parametrize("function", ["inv_ex", "cholesky_ex"])
def test_reports_have_the_derivatives_of_what_they_report(function: str) -> None:
    compare(lambda lib, x: name(lib, "linalg", function)(definite(x)), well(2, 3, 3))


def test_a_bad_matrix_leaves_the_derivatives_of_the_others() -> None:
    a = gu.from_numpy(np.stack([np.zeros((2, 2)), 2 * np.eye(2)])).requires_grad_()
    linalg.inv_ex(a).inverse[1].sum().backward()
    assert a.grad is not None
    assert a.grad.tolist() == [[[0.0, 0.0]] * 2, [[-0.25, -0.25]] * 2]


def test_wrong_pivots_are_refused() -> None:
    packed, pivots = linalg.lu_factor(gu.eye(3))
    with pytest.raises(ValueError, match="pivots are from 1 to 3, not 0 to 2"):
        linalg.lu_solve(packed, pivots - 1, gu.ones(3, 1))
    with pytest.raises(gu.ShapeError, match="pivots are integers, one for each row"):
        linalg.lu_solve(packed, pivots[:2], gu.ones(3, 1))


@pytest.mark.peers
@pytest.mark.parametrize("size", [1e-3, 1.0, 10.0])
@pytest.mark.parametrize("shape", [(1, 1), (3, 3), (2, 4, 4), (0, 0), (0, 2, 2)])
def test_matrix_exp(shape: tuple[int, ...], size: float) -> None:
    x = size * numbers(*shape)
    scale = max(1.0, float(np.exp(np.abs(x).sum(-1).max(initial=0))))
    compare(lambda lib, a: lib.linalg.matrix_exp(a) / scale, x, tol=1e-10)


def test_matrix_exp_of_a_rotation() -> None:
    for angle in (1e-9, 0.5, math.pi, 100.0):
        got = gu.tensor([[0.0, -angle], [angle, 0.0]], dtype=gu.float64).matrix_exp().numpy()
        c, s = math.cos(angle), math.sin(angle)
        np.testing.assert_allclose(got, [[c, -s], [s, c]], atol=1e-13 * max(1, angle))


@pytest.mark.peers
@pytest.mark.parametrize("shape, k", [((3, 3), 3), ((2, 4, 2), 2), ((4, 3), 1), ((3, 2), 0)])
def test_householder_product(shape: tuple[int, ...], k: int) -> None:
    compare(lambda lib, a, t: lib.linalg.householder_product(a, t), numbers(*shape),
            numbers(*shape[:-2], k), orders=2 if k == shape[-1] else 0)  # fmt: skip


def test_captured() -> None:
    def all_of_them(x: gu.Tensor) -> list[gu.Tensor]:
        packed, pivots = linalg.lu_factor(x)
        return [*linalg.lu(x), linalg.lu_solve(packed, pivots, x), *linalg.inv_ex(x),
                linalg.matrix_exp(x), *linalg.cholesky_ex(definite(x))]  # fmt: skip

    captured = gu.jit(all_of_them)
    for n in (2, 2, 2, 4):
        x = gu.from_numpy(well(n, 3, 3))
        for got, want in zip(captured(x), all_of_them(x), strict=True):
            assert gu.equal(got, want)
