"""Functions of complex matrices: PyTorch's values and gradients; what has none says so."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import groundup as gu

rng = np.random.default_rng(0)


def drawn(*shape: int) -> np.ndarray[Any, Any]:
    return rng.normal(size=shape) + 1j * rng.normal(size=shape)


A, TALL = drawn(2, 3, 3), drawn(2, 4, 3)
H = A @ A.conj().swapaxes(-1, -2) + np.eye(3)
B = drawn(2, 3, 2)


def loss(z: Any) -> Any:
    """A real number that depends on every part of a result."""
    if not z.is_complex():
        return (z * z).sum()
    return (z * z.conj()).real.sum() + (z * (1 + 0.5j)).real.sum()


def hermitian(lib: Any, f: str, x: Any, *options: Any, **more: Any) -> Any:
    """Of a Hermitian matrix made of any: its gradient is what PyTorch's is, too."""
    return getattr(lib.linalg, f)((x + x.mT.conj()) / 2, *options, **more)


CASES: dict[str, tuple[Any, Callable[[Any, Any], Any]]] = {
    "inv": (A, lambda lib, x: loss(lib.linalg.inv(x))),
    "solve": (A, lambda lib, x: loss(lib.linalg.solve(x, (x @ x)[..., :2]))),
    "solve a vector": (A[0], lambda lib, x: loss(lib.linalg.solve(x, x[0]))),
    "det": (A, lambda lib, x: loss(lib.linalg.det(x))),
    "slogdet": (A, lambda lib, x: sum(map(loss, lib.linalg.slogdet(x)))),
    "cholesky": (H, lambda lib, x: loss(hermitian(lib, "cholesky", x))),
    "cholesky upper": (H, lambda lib, x: loss(hermitian(lib, "cholesky", x, upper=True))),
    "eigvalsh": (H, lambda lib, x: loss(hermitian(lib, "eigvalsh", x))),
    "eigh": (H, lambda lib, x: (hermitian(lib, "eigh", x)[1].abs() ** 3).sum()),
    "eigh U": (H, lambda lib, x: loss(hermitian(lib, "eigh", x, "U")[0])),
    "svdvals": (TALL, lambda lib, x: loss(lib.linalg.svdvals(x))),
    "singular values of svd": (TALL, lambda lib, x: loss(lib.linalg.svd(x)[1])),
    "pinv": (TALL, lambda lib, x: loss(lib.linalg.pinv(x))),
    "matrix_power": (A, lambda lib, x: loss(lib.linalg.matrix_power(x, 3))),
    "negative power": (A, lambda lib, x: loss(lib.linalg.matrix_power(x, -2))),
    "fro": (A, lambda lib, x: lib.linalg.matrix_norm(x).sum()),
    "nuc": (A, lambda lib, x: lib.linalg.matrix_norm(x, "nuc").sum()),
    "norm 2": (A, lambda lib, x: lib.linalg.matrix_norm(x, 2).sum()),
    "norm 1": (A, lambda lib, x: lib.linalg.matrix_norm(x, 1).sum()),
    "vector_norm": (A, lambda lib, x: lib.linalg.vector_norm(x, 3, dim=1).sum()),
}


@pytest.mark.peers
@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients(name: str) -> None:
    import torch

    array, f = CASES[name]
    theirs = torch.tensor(array, requires_grad=True)
    ours = gu.tensor(array, requires_grad=True)
    want, got = f(torch, theirs), f(gu, ours)
    want.backward()
    got.backward()
    assert ours.grad is not None and theirs.grad is not None
    np.testing.assert_allclose(got.item(), want.item(), rtol=1e-10)
    np.testing.assert_allclose(ours.grad.numpy(), theirs.grad.numpy(), rtol=1e-9, atol=1e-9)


def test_the_parts_multiply_to_the_whole() -> None:
    z = gu.tensor(TALL)
    for mode in ("reduced", "complete"):
        q, r = gu.linalg.qr(z, mode)
        np.testing.assert_allclose((q @ r).numpy(), TALL, atol=1e-12)
    for full in (False, True):
        u, s, vh = gu.linalg.svd(z, full)
        again = (u[..., :3] * s.unsqueeze(-2)) @ vh
        np.testing.assert_allclose(again.numpy(), TALL, atol=1e-12)
        assert u.shape == ((2, 4, 4) if full else (2, 4, 3)) and s.dtype is gu.float64
    p = gu.linalg.pinv(z)
    np.testing.assert_allclose((z @ p @ z).numpy(), TALL, atol=1e-12)
    np.testing.assert_allclose(gu.linalg.pinv(gu.tensor(H), hermitian=True).numpy(),
                               np.linalg.inv(H), atol=1e-12)  # fmt: skip
    assert gu.linalg.matrix_rank(z).tolist() == [3, 3]
    single = gu.tensor(A, dtype=gu.complex64)
    assert gu.linalg.inv(single).dtype is gu.complex64
    assert gu.linalg.det(gu.zeros(2, 0, 0, dtype=gu.complex64)).tolist() == [1, 1]
    one = np.broadcast_to(np.eye(3), A.shape)
    assert gu.linalg.matrix_power(single, 0).tolist() == one.tolist()


def test_in_a_captured_function() -> None:
    f = gu.jit(lambda x, y: gu.linalg.solve(x, y) * 2)
    for k in (1, 2, 3):
        got = f(gu.tensor(A * k), gu.tensor(B))
        np.testing.assert_allclose(got.numpy(), 2 * np.linalg.solve(A * k, B), atol=1e-12)


def test_what_cannot_be_is_said() -> None:
    z = gu.tensor(A, requires_grad=True)
    for part in (gu.linalg.qr(z).Q, gu.linalg.svd(z).U):
        with pytest.raises(gu.GradError, match=r"no derivative here by"):
            loss(part).backward()
    with pytest.raises(RuntimeError, match=r"matrix \[1\] of the batch \(2,\) is singular"):
        gu.linalg.inv(gu.tensor(np.stack([np.eye(2) + 0j, np.zeros((2, 2))])))
    with pytest.raises(TypeError, match="one type expected"):
        gu.linalg.solve(gu.tensor(A), gu.tensor(B.real))
    with pytest.raises(RuntimeError, match="square"):
        gu.linalg.det(gu.tensor(TALL))
    with pytest.raises(TypeError, match="float32 or float64 expected, not complex128"):
        gu.linalg.lu(gu.tensor(A))


@pytest.mark.parametrize("kind", ["float32", "float64", "complex64", "complex128"])
def test_eigenvalues_of_any_matrix(kind: str) -> None:
    rng = np.random.default_rng(3)
    a = rng.standard_normal((2, 4, 4)) + (1j * rng.standard_normal((2, 4, 4)) if "c" in kind else 0)
    x = gu.from_numpy(a.astype(kind))
    values, vectors = gu.linalg.eig(x)
    tolerance = 1e-5 if kind in ("float32", "complex64") else 1e-12
    assert values.dtype is vectors.dtype is x.dtype.to_complex()
    assert ((x.to(values.dtype) @ vectors) - vectors * values.unsqueeze(-2)).abs().max() < tolerance
    assert (vectors.abs().square().sum(-2) - 1).abs().max() < tolerance
    assert (gu.linalg.eigvals(x) - values).abs().max() < tolerance
    if "c" not in kind:  # conjugate pairs, exactly
        assert sorted(map(abs, values.imag.flatten().tolist())) == sorted(
            map(abs, (-values.imag).flatten().tolist())
        )
        assert values.imag.sum().item() == 0


def test_eigenvalues_are_differentiated_captured_and_refused_where_there_are_none() -> None:
    x = gu.randn(3, 3, dtype=gu.float64).requires_grad_()

    def turned_by_nothing(a: gu.Tensor) -> gu.Tensor:
        values, vectors = gu.linalg.eig(a)
        return (values.abs() ** 2).sum() + (vectors.abs() ** 2 * gu.arange(3.0).double()).prod()

    assert gu.autograd.gradcheck(turned_by_nothing, (x,))
    seen = gu.jit(gu.linalg.eigvals)
    for _ in range(3):
        a = gu.randn(3, 3)
        assert gu.equal(seen(a), gu.linalg.eigvals(a))
    assert gu.linalg.eig(gu.zeros(2, 0, 0)).eigenvalues.shape == (2, 0)
    with pytest.raises(gu.linalg.LinAlgError, match="holds a NaN"):
        gu.linalg.eigvals(gu.full((2, 2), float("nan"))).tolist()
    with pytest.raises(gu.ShapeError, match="square"):
        gu.linalg.eig(gu.ones(2, 3))
