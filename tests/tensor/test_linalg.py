"""gu.linalg: values and derivatives compared with torch, what decompositions promise, errors."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import groundup as gu
from groundup import linalg

from .support import same, torch

Array = np.ndarray[Any, Any]
Function = Callable[..., Any]
INF = float("inf")
SQUARE = [(3, 3), (1, 1), (2, 3, 3), (2, 2, 4, 4)]
ANY = [(3, 3), (5, 2), (2, 4), (2, 5, 3), (2, 3, 5), (1, 3), (3, 1)]
EMPTY_SQUARE = [(0, 0), (0, 3, 3), (2, 0, 0), (0, 0, 0)]
EMPTY = [(0, 0), (0, 3), (3, 0), (0, 2, 3), (2, 0, 3), (2, 3, 0), (0, 3, 2)]


def numbers(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng([seed, *shape]).normal(size=shape)


def well(*shape: int, seed: int = 0) -> Array:
    """Square matrices far from singular."""
    return numbers(*shape, seed=seed) + 2 * np.eye(shape[-1])


def name(lib: Any, *path: str) -> Any:
    for part in path:
        lib = getattr(lib, part)
    return lib


def symmetric(x: Any) -> Any:
    return x @ x.mT + 0.5 * (x + x.mT)


def definite(x: Any) -> Any:
    return x @ x.mT + 0.25 * (x.mT @ x)


def flat(results: Any) -> list[Any]:
    return list(results) if isinstance(results, tuple | list) else [results]


def weighted(results: list[Any]) -> Any:
    """A number that depends on every element in its own way."""
    total: Any = 0
    for k, r in enumerate(results):
        if r.requires_grad:
            total = total + ((k + 1) * r * r + r).sum()
    return total


def compare(function: Function, *arrays: Array, tol: float = 1e-8, orders: int = 2) -> None:
    """function(gu, *tensors) = function(torch, *tensors), and so are its derivatives."""
    t = torch()
    ours = [gu.from_numpy(a) for a in arrays]
    theirs = [t.from_numpy(a.copy()) for a in arrays]
    if orders:
        ours = [x.requires_grad_() for x in ours]
        theirs = [x.requires_grad_() for x in theirs]
    mine, his = flat(function(gu, *ours)), flat(function(t, *theirs))
    same(mine, his, tol, tol)
    for order in range(1, orders + 1):
        if not any(m.requires_grad for m in mine):
            return
        more = order < orders
        mine = [*gu.derivatives(weighted(mine), ours, create_graph=more, allow_unused=True)]
        his = [*t.autograd.grad(weighted(his), theirs, create_graph=more, allow_unused=True)]
        pairs = [(m, h) for m, h in zip(mine, his, strict=True) if h is not None]
        for m, h in pairs:
            same(m, h, tol * 10**order, tol * 10**order, f"derivative {order}")
        mine, his = [m for m, _ in pairs], [h for _, h in pairs]


def vectors(lib: Any, found: Any) -> Any:
    """Of singular vectors what does not depend on their sign."""
    u, s, vh = found
    k = s.shape[-1]
    return u[..., :k] ** 2, s, vh[..., :k, :] ** 2


# ---- values and derivatives ----------------------------------------------------------------------

ON_SQUARES: dict[str, Function] = {
    "cholesky": lambda lib, x: lib.linalg.cholesky(definite(x)),
    "cholesky, upper": lambda lib, x: lib.linalg.cholesky(definite(x), upper=True),
    "inv": lambda lib, x: lib.linalg.inv(x),
    "det": lambda lib, x: lib.linalg.det(x),
    "slogdet": lambda lib, x: lib.linalg.slogdet(x),
    "logdet": lambda lib, x: lib.logdet(definite(x)),
    "eigvalsh": lambda lib, x: lib.linalg.eigvalsh(symmetric(x)),
    "eigvalsh, as read": lambda lib, x: lib.linalg.eigvalsh(x, UPLO="U"),
    "eigh": lambda lib, x: [p**2 for p in lib.linalg.eigh(symmetric(x))],
    "matrix_power": lambda lib, x: lib.linalg.matrix_power(x, 5),
    "matrix_power, negative": lambda lib, x: lib.linalg.matrix_power(x, -3),
    "method inverse": lambda lib, x: x.inverse() + x.det().sum() + x.pinverse(1e-12),
    "methods": lambda lib, x: (x.slogdet()[1] + x.matrix_power(2).sum(), definite(x).inverse(),
                               definite(x).logdet()),
}  # fmt: skip


@pytest.mark.peers
@pytest.mark.parametrize("shape", SQUARE)
@pytest.mark.parametrize("function", ON_SQUARES)
def test_functions_of_square_matrices(function: str, shape: tuple[int, ...]) -> None:
    compare(ON_SQUARES[function], well(*shape))


ON_ANY: dict[str, Function] = {
    "qr": lambda lib, x: lib.linalg.qr(x),
    "svd": lambda lib, x: vectors(lib, lib.linalg.svd(x, full_matrices=False)),
    "svd, full": lambda lib, x: vectors(lib, lib.linalg.svd(x)),
    "svd, vectors together": lambda lib, x: (lambda f: f[0] @ f[2])(lib.linalg.svd(x, False)),
    "svdvals": lambda lib, x: lib.linalg.svdvals(x),
    "pinv": lambda lib, x: lib.linalg.pinv(x),
    "pinv, truncated": lambda lib, x: lib.linalg.pinv(x, rtol=0.5),
    "pinverse": lambda lib, x: lib.pinverse(x),
    "diagonal": lambda lib, x: lib.linalg.diagonal(x, offset=1),
}


@pytest.mark.peers
@pytest.mark.parametrize("shape", ANY)
@pytest.mark.parametrize("function", ON_ANY)
def test_functions_of_any_matrices(function: str, shape: tuple[int, ...]) -> None:
    compare(ON_ANY[function], numbers(*shape), tol=1e-7)


@pytest.mark.peers
@pytest.mark.parametrize("shape", ANY)
def test_qr_in_every_mode(shape: tuple[int, ...]) -> None:
    orders = 2 if shape[-2] <= shape[-1] else 0
    compare(lambda lib, x: lib.linalg.qr(x, mode="complete"), numbers(*shape), orders=orders)
    compare(lambda lib, x: lib.linalg.qr(x, mode="r"), numbers(*shape), orders=0)


def test_r_alone_has_the_derivative_of_r() -> None:
    x = gu.from_numpy(numbers(5, 3)).requires_grad_()
    alone = gu.linalg.qr(x, "r").R
    (got,) = gu.derivatives(weighted([alone]), x)
    (want,) = gu.derivatives(weighted([gu.linalg.qr(x).R]), x)
    np.testing.assert_array_equal(got.numpy(), want.numpy())


@pytest.mark.peers
@pytest.mark.parametrize("left", [True, False])
@pytest.mark.parametrize("a, b", [
    ((3, 3), (3, 2)), ((3, 3), (3,)), ((2, 3, 3), (2, 3)), ((2, 3, 3), (3, 4)), ((1, 1), (1,)),
    ((3, 3), (2, 3, 4)), ((2, 1, 3, 3), (4, 3, 1)), ((2, 2), (2, 2)), ((2, 2, 2), (2, 2)),
])  # fmt: skip
def test_solve(a: tuple[int, ...], b: tuple[int, ...], left: bool) -> None:
    if not left:
        if len(b) < 2 or b == a[:-1]:
            return
        b = (*b[:-2], b[-1], b[-2])
    compare(lambda lib, x, y: lib.linalg.solve(x, y, left=left), well(*a), numbers(*b, seed=1))


@pytest.mark.peers
@pytest.mark.parametrize("upper", [True, False])
@pytest.mark.parametrize("one", [True, False])
def test_solve_triangular(upper: bool, one: bool) -> None:
    for left, a, b in [(True, (2, 3, 3), (3, 2)), (False, (3, 3), (2, 2, 3))]:
        compare(lambda lib, x, y, side=left: lib.linalg.solve_triangular(
            x, y, upper=upper, left=side, unitriangular=one), well(*a), numbers(*b))  # fmt: skip


@pytest.mark.peers
@pytest.mark.parametrize("shape", ANY)
@pytest.mark.parametrize("driver", [None, "gels", "gelsd", "gelss", "gelsy"])
def test_lstsq(shape: tuple[int, ...], driver: str | None) -> None:
    def solution(lib: Any, x: Any, y: Any) -> Any:
        return lib.linalg.lstsq(x, y, driver=driver)

    a, b = numbers(*shape), numbers(*shape[:-1], 2, seed=1)
    compare(solution, a, b, orders=0)
    compare(solution, a, b[..., 0].copy(), orders=0)
    compare(lambda lib, x, y: solution(lib, x, y)[:2], a, b, tol=1e-7)


def test_lstsq_of_dependent_columns_has_least_norm() -> None:
    a = numbers(5, 3)
    a[:, 2] = a[:, 0] - a[:, 1]
    b = numbers(5, 2, seed=1)
    x, residuals, rank, s = gu.linalg.lstsq(gu.from_numpy(a), gu.from_numpy(b), driver="gelsd")
    want, _, _, values = np.linalg.lstsq(a, b, rcond=None)
    np.testing.assert_allclose(x.numpy(), want, rtol=1e-12)
    np.testing.assert_allclose(s.numpy(), values, atol=1e-14)
    assert rank.item() == 2
    assert residuals.shape == (0,)


@pytest.mark.peers
@pytest.mark.parametrize(
    "tolerance", [{}, {"atol": 0.5}, {"rtol": 0.5}, {"atol": 1.0, "rtol": 1e-3}]
)
def test_matrix_rank(tolerance: dict[str, float]) -> None:
    a = numbers(4, 5, 3)
    a[1, :, 2] = a[1, :, 0]
    a[2] = 0
    compare(lambda lib, x: lib.linalg.matrix_rank(x, **tolerance), a, orders=0)
    square = a[:, :3] + a[:, :3].swapaxes(-1, -2)
    compare(lambda lib, x: lib.linalg.matrix_rank(x, hermitian=True, **tolerance), square, orders=0)
    compare(lambda lib, x: lib.linalg.pinv(x, hermitian=True, **tolerance), square, orders=0)


@pytest.mark.peers
@pytest.mark.parametrize("shape", [(3, 3), (2, 4, 3)])
@pytest.mark.parametrize("ord", ["fro", "nuc", 1, -1, 2, -2, INF, -INF])
def test_matrix_norm(shape: tuple[int, ...], ord: Any) -> None:
    compare(lambda lib, x: lib.linalg.matrix_norm(x, ord), numbers(*shape))
    compare(lambda lib, x: lib.linalg.matrix_norm(x, ord, (-1, 0), True), numbers(*shape))
    compare(lambda lib, x: lib.linalg.norm(x, ord, (0, 1)), numbers(*shape))


@pytest.mark.peers
@pytest.mark.parametrize("ord", [2, 1, 0, 3, 1.5, 0.5, -1, -2, INF, -INF])
def test_vector_norm(ord: float) -> None:
    for dim in (None, 0, -1, (0, 1)):
        for keep in (False, True):
            compare(lambda lib, x, d=dim, k=keep: lib.linalg.vector_norm(x, ord, d, k),
                    numbers(3, 4))  # fmt: skip
    compare(lambda lib, x: lib.linalg.norm(x, ord), numbers(5))
    zeros = numbers(3, 4)
    zeros[1] = 0
    compare(lambda lib, x: lib.linalg.vector_norm(x, ord, 1), zeros, orders=0)
    wide = numbers(3).astype("float32")
    compare(lambda lib, x: lib.linalg.vector_norm(x, ord, dtype=lib.float64), wide, orders=0)


@pytest.mark.parametrize("ord", [2, 1, 3, 1.5])
def test_the_derivative_of_a_norm_of_zeros_is_zero(ord: float) -> None:
    x = gu.tensor([0.0, 0.0, 0.0], requires_grad=True)
    gu.linalg.vector_norm(x, ord).backward()
    assert x.grad is not None
    assert x.grad.tolist() == [0.0, 0.0, 0.0]


@pytest.mark.peers
@pytest.mark.parametrize("p", [None, 2, -2, "fro", "nuc", 1, -1, INF, -INF])
def test_cond(p: Any) -> None:
    compare(lambda lib, x: lib.linalg.cond(x, p), well(2, 3, 3), orders=0)
    singular = well(2, 3, 3)
    singular[1, :, 0] = 0
    if p not in (None, 2, -2):
        compare(lambda lib, x: lib.linalg.cond(x, p), singular, orders=0)


@pytest.mark.peers
def test_products() -> None:
    compare(lambda lib, *t: lib.linalg.multi_dot(t), numbers(3), numbers(3, 5), numbers(5, 2),
            numbers(2))  # fmt: skip
    compare(lambda lib, *t: lib.linalg.multi_dot(t), *(numbers(*s) for s in [
        (2, 7), (7, 1), (1, 6), (6, 3)]))  # fmt: skip
    compare(lambda lib, a, b: lib.linalg.cross(a, b), numbers(2, 3), numbers(2, 3, seed=1))
    compare(lambda lib, a, b: lib.linalg.cross(a, b, dim=0), numbers(3, 1, 2), numbers(3, 4, 2))
    compare(lambda lib, a, b: lib.linalg.vecdot(a, b), numbers(2, 3), numbers(3))
    compare(lambda lib, a, b: lib.linalg.vecdot(a, b, dim=0), numbers(2, 3), numbers(2, 1))
    compare(lambda lib, a: lib.linalg.vander(a, N=5), numbers(2, 3))
    compare(lambda lib, a: lib.linalg.vander(a), numbers(4))
    compare(lambda lib, a: lib.linalg.vander(a, N=3), np.asarray(2.5))
    compare(lambda lib, a: lib.linalg.tensorinv(a), numbers(2, 3, 6))
    compare(lambda lib, a: lib.linalg.tensorinv(a, ind=1), numbers(6, 3, 2))
    compare(lambda lib, a, b: lib.linalg.tensorsolve(a, b), numbers(2, 3, 6), numbers(2, 3))
    compare(lambda lib, a, b: lib.linalg.tensorsolve(a, b, dims=(0,)), numbers(6, 2, 3),
            numbers(2, 3))  # fmt: skip
    compare(lambda lib, a, b: lib.linalg.tensorsolve(a, b, dims=(0, 2)), numbers(2, 3, 6),
            numbers(2, 3))  # fmt: skip
    assert linalg.matmul is gu.matmul


@pytest.mark.peers
@pytest.mark.parametrize("function", ["inv", "det", "slogdet", "qr", "svdvals", "eigvalsh", "pinv"])
def test_float32(function: str) -> None:
    x = well(2, 3, 3)
    x = (x + x.swapaxes(-1, -2)).astype("float32")
    compare(lambda lib, a: name(lib, "linalg", function)(a), x, tol=2e-5, orders=1)


# ---- derivatives, by differences -----------------------------------------------------------------


def by_differences(function: Function, x: Array, step: float = 1e-6) -> Array:
    slope = np.zeros_like(x)
    for at in np.ndindex(*x.shape):
        ends = []
        for sign in (1, -1):
            moved = x.copy()
            moved[at] += sign * step
            ends.append(function(gu.from_numpy(moved)).item())
        slope[at] = (ends[0] - ends[1]) / (2 * step)
    return slope


SLOPES: dict[str, Function] = {
    "cholesky": lambda x: linalg.cholesky(definite(x)).sin().sum(),
    "qr": lambda x: sum(p.sin().sum() for p in linalg.qr(x)),
    "qr, wide": lambda x: sum(p.sin().sum() for p in linalg.qr(x[..., :2, :])),
    "svd": lambda x: sum(p.sin().sum() for p in vectors(gu, linalg.svd(x[..., :2], False))),
    "eigh": lambda x: sum((p * p).sin().sum() for p in linalg.eigh(symmetric(x))),
    "pinv": lambda x: linalg.pinv(x[..., :2]).sin().sum(),
    "lstsq": lambda x: linalg.lstsq(x[..., :2], x[..., 1:]).solution.sin().sum(),
    "det": lambda x: linalg.det(x).sin().sum(),
    "cond, 1": lambda x: linalg.cond(x, 1).sum(),
    "cond, fro": lambda x: linalg.cond(x, "fro").sum(),
    "cond, nuc": lambda x: linalg.cond(x, "nuc").sum(),
    "solve": lambda x: linalg.solve(x, x.mT + x * x).sin().sum(),
}


@pytest.mark.parametrize("function", SLOPES)
def test_first_and_second_derivatives_are_slopes(function: str) -> None:
    f, x = SLOPES[function], well(1, 3, 3)
    slope = gu.grad(f)
    np.testing.assert_allclose(
        slope(gu.from_numpy(x)).numpy(), by_differences(f, x), rtol=1e-6, atol=1e-7
    )

    def along(t: gu.Tensor) -> gu.Tensor:
        return (gu.grad(f)(t) * gu.from_numpy(numbers(1, 3, 3, seed=5))).sum()

    np.testing.assert_allclose(
        gu.grad(along)(gu.from_numpy(x)).numpy(), by_differences(along, x), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_the_determinant_of_a_singular_matrix_has_a_derivative(n: int) -> None:
    x = numbers(n, n)
    x[-1] = x[0] * 0.5 if n > 1 else 0
    got = gu.grad(linalg.det)(gu.from_numpy(x)).numpy()
    np.testing.assert_allclose(got, by_differences(linalg.det, x), rtol=1e-6, atol=1e-9)


# ---- what decompositions promise -----------------------------------------------------------------

sizes = st.integers(0, 5)
leads = st.lists(st.integers(0, 3), max_size=2)


@settings(max_examples=40, deadline=None)
@given(leads, sizes, sizes, st.sampled_from(["float32", "float64"]))
def test_decompositions_give_the_matrix_back(lead: list[int], m: int, n: int, dtype: str) -> None:
    x = numbers(*lead, m, n).astype(dtype)
    a, k = gu.from_numpy(x), min(m, n)
    close = {"atol": 50 * np.finfo(dtype).eps * max(1.0, float(np.abs(x).max(initial=0)))}
    for mode, wide in (("reduced", k), ("complete", m)):
        q, r = linalg.qr(a, mode)
        assert q.shape == (*lead, m, wide) and r.shape == (*lead, wide, n)
        np.testing.assert_allclose((q @ r).numpy(), x, **close)
        unit = np.broadcast_to(np.eye(wide), (*lead, wide, wide))
        np.testing.assert_allclose((q.mT @ q).numpy(), unit, **close)
        np.testing.assert_array_equal(r.numpy(), np.triu(r.numpy()))
    u, s, vh = linalg.svd(a, full_matrices=False)
    assert (s.shape, u.shape, vh.shape) == ((*lead, k), (*lead, m, k), (*lead, k, n))
    np.testing.assert_allclose((u * s.unsqueeze(-2) @ vh).numpy(), x, **close)
    assert np.all(np.diff(s.numpy(), axis=-1) <= 0)
    whole = linalg.svd(a)
    assert whole.U.shape == (*lead, m, m) and whole.Vh.shape == (*lead, n, n)
    p = linalg.pinv(a)
    loose = {"atol": close["atol"] * (1 + float(np.abs(p.numpy()).max(initial=0)) ** 2)}
    np.testing.assert_allclose((a @ p @ a).numpy(), x, **loose)
    np.testing.assert_allclose((p @ a @ p).numpy(), p.numpy(), **loose)
    np.testing.assert_allclose((a @ p).numpy(), (a @ p).mT.numpy(), **loose)
    np.testing.assert_allclose((p @ a).numpy(), (p @ a).mT.numpy(), **loose)


@settings(max_examples=40, deadline=None)
@given(leads, sizes, sizes)
def test_square_matrices_are_solved_and_given_back(lead: list[int], n: int, k: int) -> None:
    x, y = well(*lead, n, n), numbers(*lead, n, k)
    x = x @ x.swapaxes(-1, -2) + np.eye(n)
    a, b = gu.from_numpy(x), gu.from_numpy(y)
    low = linalg.cholesky(a)
    close = {"rtol": 1e-10, "atol": 1e-10}
    np.testing.assert_allclose((low @ low.mT).numpy(), x, **close)
    np.testing.assert_allclose((linalg.cholesky(a, upper=True) - low.mT).numpy(), 0 * x, **close)
    if lead == [] or k != n:  # else b may be vectors
        np.testing.assert_allclose((a @ linalg.solve(a, b)).numpy(), y, **close)
    values, v = linalg.eigh(a)
    np.testing.assert_allclose((v * values.unsqueeze(-2) @ v.mT).numpy(), x, **close)
    np.testing.assert_allclose((linalg.inv(a) @ a).numpy(), x * 0 + np.eye(n), **close)
    sign, log = linalg.slogdet(a)
    np.testing.assert_allclose((sign * log.exp()).numpy(), linalg.det(a).numpy(), **close)
    np.testing.assert_allclose(linalg.det(a).numpy(), values.prod(-1).numpy(), **close)


def without_memory_in_order(a: gu.Tensor) -> list[gu.Tensor]:
    """The same matrices, differently in memory."""
    wide = gu.zeros(*a.shape[:-1], 2 * a.shape[-1], dtype=a.dtype)
    wide[..., ::2] = a
    return [a.mT.contiguous().mT, wide[..., ::2], a.clone().expand(2, *a.shape)[1]]


def test_views_are_read_as_they_look() -> None:
    a = gu.from_numpy(well(2, 3, 3))
    want = linalg.inv(a).numpy()
    for view in without_memory_in_order(a):
        np.testing.assert_array_equal(linalg.inv(view).numpy(), want)


def test_a_later_write_changes_no_result() -> None:
    a = gu.from_numpy(well(3, 3)).requires_grad_()
    x = a * 1
    found = linalg.inv(x)
    want = found.detach().clone().numpy()
    with gu.no_grad():
        a.mul_(2)
    np.testing.assert_array_equal(found.detach().numpy(), want)
    found.sum().backward()
    assert a.grad is not None
    np.testing.assert_allclose(a.grad.numpy(), -want.T @ np.ones((3, 3)) @ want.T, rtol=1e-12)


def test_nothing_is_tracked_without_grad_mode() -> None:
    a = gu.from_numpy(well(3, 3)).requires_grad_()
    with gu.no_grad():
        results = [linalg.inv(a), *linalg.svd(a), linalg.det(a), *linalg.slogdet(a)]
    assert not any(r.requires_grad for r in results)
    assert linalg.inv(a).requires_grad
    linalg.slogdet(a).sign.backward()
    assert a.grad is not None
    assert not np.any(a.grad.numpy())


# ---- empty matrices, and errors ------------------------------------------------------------------


@pytest.mark.peers
@pytest.mark.parametrize("shape", EMPTY_SQUARE)
@pytest.mark.parametrize("function", ["cholesky", "inv", "det", "slogdet", "eigh", "eigvalsh"])
def test_empty_square_matrices(function: str, shape: tuple[int, ...]) -> None:
    compare(lambda lib, x: name(lib, "linalg", function)(x), np.zeros(shape), orders=1)
    compare(lambda lib, x: lib.linalg.matrix_power(x, 0), np.zeros(shape), orders=0)


@pytest.mark.peers
@pytest.mark.parametrize("shape", EMPTY)
@pytest.mark.parametrize("function", ["svdvals", "qr", "pinv", "matrix_rank", "norm"])
def test_empty_matrices(function: str, shape: tuple[int, ...]) -> None:
    compare(lambda lib, x: name(lib, "linalg", function)(x), np.zeros(shape), orders=1)
    compare(lambda lib, x: lib.linalg.svd(x), np.zeros(shape), orders=0)
    compare(lambda lib, x: lib.linalg.svd(x, False), np.zeros(shape), orders=1)
    compare(lambda lib, x: lib.linalg.qr(x, "complete"), np.zeros(shape), orders=0)
    compare(lambda lib, x, y: lib.linalg.lstsq(x, y), np.zeros(shape), np.zeros((*shape[:-1], 2)),
            orders=0)  # fmt: skip


WRONG: dict[str, tuple[Function, list[tuple[int, ...]]]] = {
    "inv: not square": (lambda lib, a: lib.linalg.inv(a), [(2, 3)]),
    "inv: a vector": (lambda lib, a: lib.linalg.inv(a), [(3,)]),
    "cholesky: not square": (lambda lib, a: lib.linalg.cholesky(a), [(2, 3)]),
    "cholesky: zeros": (lambda lib, a: lib.linalg.cholesky(a), [(2, 2)]),
    "inv: zeros": (lambda lib, a: lib.linalg.inv(a), [(2, 2)]),
    "eigh: UPLO": (lambda lib, a: lib.linalg.eigh(a, UPLO="X"), [(2, 2)]),
    "qr: mode": (lambda lib, a: lib.linalg.qr(a, mode="full"), [(2, 2)]),
    "solve: rows": (lambda lib, a, b: lib.linalg.solve(a, b), [(3, 3), (2, 2)]),
    "solve: vector": (lambda lib, a, b: lib.linalg.solve(a, b), [(3, 3), (2,)]),
    "solve: batch": (lambda lib, a, b: lib.linalg.solve(a, b), [(2, 3, 3), (5, 3, 1)]),
    "solve: 0-d": (lambda lib, a, b: lib.linalg.solve(a, b), [(3, 3), ()]),
    "solve: singular": (lambda lib, a, b: lib.linalg.solve(a, b), [(2, 2), (2, 1)]),
    "lstsq: rows": (lambda lib, a, b: lib.linalg.lstsq(a, b), [(3, 2), (2, 2)]),
    "lstsq: driver": (lambda lib, a, b: lib.linalg.lstsq(a, b, driver="x"), [(2, 2), (2, 2)]),
    "matrix_norm: a vector": (lambda lib, a: lib.linalg.matrix_norm(a), [(3,)]),
    "matrix_norm: one axis": (lambda lib, a: lib.linalg.matrix_norm(a, dim=(0, 0)), [(3, 3)]),
    "matrix_norm: ord": (lambda lib, a: lib.linalg.matrix_norm(a, "f"), [(3, 3)]),
    "matrix_norm: empty": (lambda lib, a: lib.linalg.matrix_norm(a, -1), [(0, 0)]),
    "vector_norm: empty": (lambda lib, a: lib.linalg.vector_norm(a, -1), [(0,)]),
    "norm: axes": (lambda lib, a: lib.linalg.norm(a, 2), [(2, 2, 2)]),
    "cross: no 3": (lambda lib, a, b: lib.linalg.cross(a, b), [(2,), (2,)]),
    "cross: axes": (lambda lib, a, b: lib.linalg.cross(a, b), [(3,), (2, 3)]),
    "multi_dot: one": (lambda lib, a: lib.linalg.multi_dot([a]), [(2, 2)]),
    "multi_dot: sizes": (lambda lib, a, b: lib.linalg.multi_dot([a, b]), [(2, 2), (3, 2)]),
    "tensorinv": (lambda lib, a: lib.linalg.tensorinv(a), [(2, 3)]),
    "tensorsolve": (lambda lib, a, b: lib.linalg.tensorsolve(a, b), [(2, 3), (2,)]),
    "vander": (lambda lib, a: lib.linalg.vander(a), [(2, 1)]),
}


@pytest.mark.peers
@pytest.mark.parametrize("count", [2, 3, 12])
def test_a_chain_of_matrices(count: int) -> None:
    sizes = [3, 1, 5, 2, 4, 1, 3, 2, 5, 4, 1, 2, 3]
    matrices = [numbers(sizes[i], sizes[i + 1], seed=i) for i in range(count)]
    exact = torch().linalg.multi_dot([torch().tensor(m) for m in matrices]).numpy()
    for function in (linalg.multi_dot, gu.chain_matmul):
        found = function([gu.tensor(m) for m in matrices]).numpy()
        assert np.allclose(found, exact, rtol=1e-12, atol=1e-13)
    with pytest.raises(gu.ShapeError, match="chain_matmul: matrices 0 and 1 do not fit"):
        gu.chain_matmul([gu.ones(2, 3), gu.ones(2, 3)])


@pytest.mark.peers
@pytest.mark.parametrize("case", WRONG)
def test_what_torch_refuses_is_refused(case: str) -> None:
    function, shapes = WRONG[case]
    t = torch()
    with pytest.raises((RuntimeError, IndexError)):  # LinAlgError is a RuntimeError in torch, too
        function(t, *(t.zeros(s) for s in shapes))
    form = r"(?s)^\w+: .*\n  at .*test_linalg"  # the operation first, the user's line last
    with pytest.raises((RuntimeError, ValueError), match=form) as error:
        function(gu, *(gu.zeros(*s) for s in shapes))
    assert str(error.value).startswith(case.partition(":")[0])


@pytest.mark.parametrize("dtype", [gu.int64, gu.float16, gu.bfloat16, gu.bool])
def test_other_types_are_refused(dtype: gu.DType) -> None:
    x = gu.eye(2).to(dtype)
    for f in (linalg.inv, linalg.svd, linalg.cholesky, linalg.det, linalg.eigh, linalg.qr):
        with pytest.raises(TypeError, match=f"float32 or float64 expected, not {dtype.name}"):
            f(x)
    with pytest.raises(TypeError, match="one type expected, not float32 and float64"):
        linalg.solve(gu.eye(2), gu.eye(2, dtype=gu.float64))
    with pytest.raises(TypeError, match="inv: a tensor expected, not a list"):
        linalg.inv([[1.0]])  # type: ignore[arg-type]


def test_an_error_names_the_matrix_of_the_batch() -> None:
    batch = gu.eye(2).repeat(2, 3, 1, 1)
    batch[1, 2, 1, 1] = 0.0
    for f in (linalg.inv, linalg.cholesky, lambda a: linalg.solve(a, gu.ones(2, 1))):
        with pytest.raises(linalg.LinAlgError, match=r"matrix \[1, 2\] of the batch \(2, 3\) is"):
            f(batch)


@pytest.mark.parametrize("value", [float("nan"), INF])
def test_what_iterates_refuses_nan(value: float) -> None:
    x = gu.eye(3).repeat(2, 1, 1)
    x[1, 2, 0] = value
    for f in (linalg.svd, linalg.svdvals, linalg.eigh, linalg.eigvalsh, linalg.pinv,
              linalg.cholesky, linalg.matrix_rank):  # fmt: skip
        with pytest.raises(linalg.LinAlgError, match=r"matrix \[1\] .* holds a NaN or an infinity"):
            f(x)
    np.testing.assert_array_equal(linalg.eigvalsh(x, UPLO="U").numpy(), np.ones((2, 3)))


def test_what_is_not_determined_has_no_derivative() -> None:
    x = gu.from_numpy(numbers(3, 2)).requires_grad_()
    with pytest.raises(gu.GradError, match="vectors beyond the first 2 have no derivative"):
        gu.derivatives(linalg.svd(x).U.sin().sum(), x)
    with pytest.raises(gu.GradError, match="does not determine the last columns of Q"):
        gu.derivatives(linalg.qr(x, "complete").R.sum(), x)
