"""Complex tensors in shapes, at places, in sums and products, against NumPy and torch."""

from __future__ import annotations

import copy
import pickle
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import groundup as gu

RNG = np.random.default_rng(11)


def draw(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape) + 1j * RNG.standard_normal(shape)


A = draw(3, 4)
B = draw(2, 3, 4)


def same(ours: gu.Tensor, theirs: Any) -> None:
    wanted = np.asarray(theirs)
    assert ours.dtype.name == wanted.dtype.name, (ours.dtype, wanted.dtype)
    assert tuple(ours.shape) == wanted.shape
    np.testing.assert_allclose(ours.numpy(), wanted, rtol=1e-13, atol=1e-14)


# ---- shapes --------------------------------------------------------------------------------------

SHAPES: dict[str, tuple[Callable[[gu.Tensor], gu.Tensor], Callable[[np.ndarray], Any]]] = {
    "reshape": (lambda z: z.reshape(4, -1), lambda a: a.reshape(4, -1)),
    "of a transpose": (lambda z: z.T.reshape(6, 2), lambda a: a.T.reshape(6, 2)),
    "permute": (lambda z: z.permute(1, 0), lambda a: a.T),
    "H": (lambda z: z.H, lambda a: a.T.conj()),
    "mT": (lambda z: z.mT, lambda a: a.T),
    "unsqueeze": (lambda z: z.unsqueeze(-1).squeeze(), lambda a: a),
    "expand": (lambda z: z[:1].expand(2, 4), lambda a: np.broadcast_to(a[:1], (2, 4))),
    "flip": (lambda z: z.flip(0, -1), lambda a: a[::-1, ::-1]),
    "roll": (lambda z: z.roll(2), lambda a: np.roll(a, 2)),
    "roll of axes": (lambda z: z.roll((1, -1), (0, -1)), lambda a: np.roll(a, (1, -1), (0, 1))),
    "movedim": (lambda z: z.movedim(0, -1), lambda a: np.moveaxis(a, 0, -1)),
    "diagonal": (lambda z: z.diagonal(1), lambda a: a.diagonal(1)),
    "diag": (lambda z: gu.diag(z[0], 1), lambda a: np.diag(a[0], 1)),
    "tril": (lambda z: z.tril(-1), lambda a: np.tril(a, -1)),
    "triu": (lambda z: z.triu(), np.triu),
    "repeat": (lambda z: z.repeat(2, 1, 2), lambda a: np.tile(a, (2, 1, 2))),
    "tile": (lambda z: z.tile(2), lambda a: np.tile(a, 2)),
    "repeat_interleave": (lambda z: z.repeat_interleave(2, 0), lambda a: np.repeat(a, 2, 0)),
    "rot90": (lambda z: z.rot90(), lambda a: np.rot90(a, axes=(0, 1))),
    "flatten": (lambda z: z.flatten(), lambda a: a.ravel()),
    "unfold": (lambda z: z.unfold(1, 2, 2), lambda a: a.reshape(3, 2, 2)),
    "pad": (lambda z: gu.pad(z, (1, 2)), lambda a: np.pad(a, ((0, 0), (1, 2)))),
    "pad with": (
        lambda z: gu.pad(z, (1, 0), value=2 - 1j),
        lambda a: np.pad(a, ((0, 0), (1, 0)), constant_values=2 - 1j),
    ),
    "chunk": (lambda z: gu.cat(z.chunk(2, 1)[::-1], 1), lambda a: np.roll(a, 2, 1)),
    "cat": (lambda z: gu.cat([z, gu.ones(1, 4)]), lambda a: np.concatenate([a, np.ones((1, 4))])),
    "stack": (lambda z: gu.stack([z, z * 2], -1), lambda a: np.stack([a, a * 2], -1)),
    "where": (lambda z: gu.where(z.real > 0, z, 1j), lambda a: np.where(a.real > 0, a, 1j)),
    "kron": (lambda z: gu.kron(z, z), lambda a: np.kron(a, a)),
    "diff": (lambda z: z.diff(), lambda a: np.diff(a)),
}


@pytest.mark.parametrize("name", SHAPES)
def test_shapes(name: str) -> None:
    ours, theirs = SHAPES[name]
    same(ours(gu.tensor(A)), theirs(A))


def test_views_share_memory_and_writes_reach_it() -> None:
    z = gu.tensor(A)
    z.T[0, 1] = 5j
    z.reshape(-1)[-1] = 7.0
    z[1].imag.zero_()
    wanted = A.copy()
    wanted[1, 0], wanted[2, 3] = 5j, 7
    wanted[1].imag = 0
    same(z, wanted)
    assert z.T.stride() == (1, 4) and z[:, 1].storage_offset() == 1
    assert not z.T.is_contiguous() and z.T.contiguous().is_contiguous()


# ---- indexing ------------------------------------------------------------------------------------

KEYS = [
    0, -1, (1, 2), slice(None, None, 2), (slice(1, None), 2), (Ellipsis, 0), (None, 1), [0, 2],
    ([0, 1], [3, 2]), (slice(None), [1, 1]), (1, Ellipsis, None), [True, False, True],
]  # fmt: skip


@pytest.mark.parametrize("key", KEYS, ids=str)
def test_reads_and_writes_at(key: Any) -> None:
    z = gu.tensor(A)
    same(z[key], A[key])
    for value in (2 - 3j, 4.0, draw(*A[key].shape)):
        z, wanted = gu.tensor(A), A.copy()
        z[key] = gu.tensor(value) if isinstance(value, np.ndarray) else value
        wanted[key] = value
        same(z, wanted)


def test_masks_and_named_forms() -> None:
    z, mask = gu.tensor(A), gu.tensor(A.real > 0)
    same(z[mask], A[A.real > 0])
    same(z.masked_fill(mask, 1j), np.where(A.real > 0, 1j, A))
    same(z.masked_select(mask), A[A.real > 0])
    index = gu.tensor([[2, 0, 1, 1]])
    same(z.gather(0, index), np.take_along_axis(A, index.numpy(), 0))
    same(z.index_select(1, gu.tensor([3, 0])), A[:, [3, 0]])
    same(z.take_along_dim(index, 0), np.take_along_axis(A, index.numpy(), 0))
    same(gu.take(z, gu.tensor([5, -1])), A.ravel()[[5, -1]])
    at, more = gu.tensor([2, 2, 0]), draw(3, 4)
    wanted = A.copy()
    np.add.at(wanted, [2, 2, 0], 2j * more)
    same(z.index_add(0, at, gu.tensor(more), alpha=2j), wanted)
    wanted = A.copy()
    wanted[[2, 0]] = more[:2]
    same(z.index_copy(0, gu.tensor([2, 0]), gu.tensor(more[:2])), wanted)
    same(z.scatter(0, index, 3j)[2], np.where([1, 0, 0, 0], 3j, A[2]))
    summed = A.copy()
    np.add.at(summed, ([2, 0, 1, 1], range(4)), more[0])
    same(z.scatter_add(0, index, gu.tensor(more[:1])), summed)
    put = A.copy()
    np.add.at(put, ([1, 1], [0, 0]), [1j, 2j])
    places = (gu.tensor([1, 1]), gu.tensor([0, 0]))
    same(z.index_put(places, gu.tensor([1j, 2j], dtype=gu.complex128), accumulate=True), put)
    assert z.nonzero().shape == (12, 2) and gu.tensor([0j, 1j]).nonzero().tolist() == [[1]]


def test_indices_are_no_complex_numbers() -> None:
    with pytest.raises(IndexError, match="complex64"):
        gu.ones(3)[gu.tensor([1j])]
    with pytest.raises(IndexError):
        gu.tensor(A)[1, 2, 0]  # the parts are no axis
    with pytest.raises(IndexError):
        gu.tensor(A).sum(2)


# ---- in place ------------------------------------------------------------------------------------


def test_arithmetic_in_place() -> None:
    z, w = gu.tensor(A), A.copy()
    z += 1j
    z *= gu.tensor(A[0])
    z -= 2
    z /= 1 + 1j
    w += 1j
    w *= A[0]
    w -= 2
    w /= 1 + 1j
    same(z, w)
    z.copy_(gu.ones(4))
    assert z.tolist() == [[1 + 0j] * 4] * 3
    assert z.fill_(2j).tolist()[0] == [2j] * 4 and z.zero_().sum().item() == 0
    with pytest.raises(TypeError, match="cannot be written in place"):
        x = gu.ones(2)
        x += 1j
    with pytest.raises(TypeError, match="cannot hold the complex number"):
        gu.ones(2)[0] = 1j
    with pytest.warns(UserWarning, match="discards the imaginary parts") as seen:
        assert gu.zeros(2).copy_(gu.tensor([1 + 2j, 3j])).tolist() == [1, 0]
    assert seen[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gu.tensor([1j]).to(gu.bool)


# ---- sums and products ---------------------------------------------------------------------------


@pytest.mark.parametrize("dim", [None, 0, -1, (0, 2)])
def test_reductions(dim: Any) -> None:
    z = gu.tensor(B)
    same(z.sum(dim), B.sum(dim))
    same(z.mean(dim, keepdim=True), B.mean(dim, keepdims=True))
    same(z.var(dim), B.var(dim, ddof=1))
    same(z.std(dim, correction=0), B.std(dim))
    same(z.prod(dim), B.prod(dim))
    same(z.norm(dim=dim), np.sqrt((abs(B) ** 2).sum(dim)))
    assert z.any().item() and z.all().item() and z.count_nonzero().item() == 24


@pytest.mark.parametrize("shape", [(), (0,), (1,), (5,), (2, 0, 3)])
def test_reductions_of_awkward_shapes(shape: tuple[int, ...]) -> None:
    a = draw(*shape)
    z = gu.tensor(np.asarray(a))
    same(z.sum(), a.sum())
    same(z.prod(), a.prod())
    if shape:
        same(z.cumsum(0), a.cumsum(0))
        same(z.cumprod(0), a.cumprod(0))


PRODUCTS = [((3, 4), (4, 2)), ((4,), (4,)), ((3, 4), (4,)), ((4,), (4, 2)), ((2, 3, 4), (4, 5)),
            ((2, 1, 3, 4), (5, 4, 2)), ((0, 4), (4, 2)), ((3, 0), (0, 2))]  # fmt: skip


@pytest.mark.parametrize("shapes", PRODUCTS, ids=str)
def test_matmul(shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    a, b = (draw(*s) for s in shapes)
    same(gu.tensor(a) @ gu.tensor(b), a @ b)


def test_other_products() -> None:
    a, b, c = draw(3, 4), draw(4, 5), draw(5)
    x, y, z = gu.tensor(a), gu.tensor(b), gu.tensor(c)
    for equation, ours, theirs in [
        ("ik,kj->ji", (x, y), (a, b)), ("ik,kj,j->i", (x, y, z), (a, b, c)), ("ij->", (x,), (a,)),
        ("ij,ij->j", (x, x), (a, a)), ("i,j->ij", (z, z), (c, c)), ("...k,kj", (x, y), (a, b)),
    ]:  # fmt: skip
        same(gu.einsum(equation, *ours), np.einsum(equation, *theirs))
    same(gu.tensordot(x, y, 1), np.tensordot(a, b, 1))
    same(gu.outer(z, z), np.outer(c, c))
    same(gu.inner(x, x), np.inner(a, a))
    same(gu.vdot(z, z), np.vdot(c, c))
    same(z.dot(z), np.dot(c, c))
    same(gu.linalg.vecdot(x, x), (a.conj() * a).sum(-1))
    same(gu.bmm(x[None], y[None]), (a @ b)[None])
    same(x[:, :3].trace(), a[:, :3].trace())
    same(gu.cov(x), np.cov(a))
    with pytest.raises(TypeError, match="one type"):
        x @ gu.ones(4, 2, dtype=gu.float64)


@pytest.mark.peers
def test_derivatives_through_places_and_products_are_torchs(engine: str) -> None:
    if engine == "python":
        pytest.skip("the expressions are the same, and their values are compared above")
    import torch

    def f(z: Any, w: Any, cat: Any, where: Any) -> Any:
        y = cat([z @ w, z.T.reshape(-1, 3)[:, :2]], 0)[[0, 1, 1]] * z.mean()
        y = where(y.real > 0, y, y.conj() * 2j)
        return (y / (1 + z[:, :2] ** 2)).prod(0).cumsum(0).abs().sum()

    a, b = draw(3, 3), draw(3, 2)
    z, w = (gu.tensor(v, requires_grad=True) for v in (a, b))
    s, t = (torch.tensor(v, requires_grad=True) for v in (a, b))
    f(z, w, gu.cat, gu.where).backward()
    f(s, t, torch.cat, torch.where).backward()
    for ours, theirs in ((z, s), (w, t)):
        assert ours.grad is not None and theirs.grad is not None
        np.testing.assert_allclose(ours.grad.numpy(), theirs.grad.numpy(), rtol=1e-10)


# ---- made, kept, captured ------------------------------------------------------------------------


def test_creation() -> None:
    assert gu.zeros(2, dtype=gu.complex64).tolist() == [0, 0]
    assert gu.full((2,), 1 - 2j).tolist() == [1 - 2j] * 2
    assert str(gu.full((1,), complex(0.0, -0.0)).item()) == "-0j"
    z = gu.tensor(A)
    assert gu.ones_like(z).dtype is gu.complex128 and z.new_full((1,), 2j).tolist() == [2j]
    same(gu.eye(2, 3, dtype=gu.complex128), np.eye(2, 3, dtype=complex))
    same(gu.linspace(0, 1 + 1j, 5, dtype=gu.complex128), np.linspace(0, 1 + 1j, 5))
    with pytest.raises(TypeError, match="arange: real numbers"):
        gu.arange(3, dtype=gu.complex64)
    with pytest.raises(TypeError, match="give dtype=gu.complex64"):
        gu.full((2,), 1j, dtype=gu.float32)


def test_random_numbers_have_variance_one_over_both_parts(engine: str) -> None:
    if engine == "python":
        pytest.skip("thousands of numbers take the plain loops seconds")
    z = gu.randn(4000, dtype=gu.complex64, generator=gu.Generator(1))
    assert abs(z.var().item() - 1) < 0.1 and abs(z.real.var().item() - 0.5) < 0.05
    u = gu.rand(100, dtype=gu.complex128, generator=gu.Generator(1)).numpy()
    assert u.real.min() >= 0 and u.imag.max() < 1 and u.imag.std() > 0.2


def test_promotion_is_torchs() -> None:
    f64, f32, i64 = (gu.ones(2, dtype=d) for d in (gu.float64, gu.float32, gu.int64))
    assert (f64 + 1j).dtype is gu.complex128 and (f32 * 1j).dtype is gu.complex64
    assert (i64 - 1j).dtype is gu.complex64 and (True * gu.tensor([1j])).dtype is gu.complex64
    assert (f64 + gu.tensor(1j)).dtype is gu.complex128
    assert (f32 + gu.tensor(1j, dtype=gu.complex128)).dtype is gu.complex64
    assert (f64 + gu.tensor([1j])).dtype is gu.complex128
    assert gu.promote_types(gu.complex64, gu.float64) is gu.complex128


def test_pickle_and_deepcopy() -> None:
    z = gu.tensor(A, requires_grad=True)
    for again in (pickle.loads(pickle.dumps(z)), copy.deepcopy(z)):
        same(again.detach(), A)
        assert again.requires_grad and again.is_leaf


def test_a_captured_function_has_the_values_of_the_plain_one() -> None:
    def f(z: gu.Tensor, w: gu.Tensor) -> tuple[gu.Tensor, gu.Tensor]:
        return (z @ w).exp() * z.mean(), z.prod(0)

    quick = gu.jit(f)
    w = gu.tensor(draw(4, 4))
    for n in (2, 3, 5, 2):
        z = gu.tensor(draw(4, 4) if n == 2 else draw(n, 4))
        for ours, theirs in zip(quick(z, w), f(z, w), strict=True):
            np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-12)
