"""Decompositions in packed form: L D Lᵀ of matrices that are not positive definite, reflections.

torch's list of operations (tests/oracles) has positive definite ones only.
"""

from __future__ import annotations

import numpy as np
import pytest

import groundup as gu

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.peers


@pytest.mark.parametrize("n", [1, 2, 5, 7])
@pytest.mark.parametrize("hollow", [False, True])  # hollow: only blocks of two can be pivots
def test_ldl_of_indefinite_matrices_is_lapacks(n: int, hollow: bool) -> None:
    rng = np.random.default_rng(n)
    a = rng.standard_normal((6, n, n))
    a += a.swapaxes(-1, -2)
    if hollow:
        a[:, range(n), range(n)] = 0
        a[0] = 0
    theirs = torch.linalg.ldl_factor_ex(torch.from_numpy(a))
    ours = gu.linalg.ldl_factor_ex(gu.from_numpy(a))
    np.testing.assert_array_equal(ours.pivots.numpy(), theirs.pivots.numpy())
    np.testing.assert_array_equal(ours.info.numpy(), theirs.info.numpy())
    np.testing.assert_allclose(ours.LD.numpy(), theirs.LD.numpy(), atol=1e-11)
    sound = ours.info.numpy() == 0
    b = rng.standard_normal((6, n, 3))
    x = gu.linalg.ldl_solve(ours.LD, ours.pivots, gu.from_numpy(b)).numpy()
    np.testing.assert_allclose(a[sound] @ x[sound], b[sound], atol=1e-7)


def test_a_singular_matrix_has_no_ldl() -> None:
    with pytest.raises(gu.linalg.LinAlgError, match=r"matrix \[1\] of the batch \(2,\) is"):
        gu.linalg.ldl_factor(gu.tensor([[[1.0]], [[0.0]]]))
    with pytest.raises(gu.linalg.LinAlgError, match="pivots are from 1 to 2"):
        gu.linalg.ldl_solve(gu.ones(2, 2), gu.tensor([1, 7]), gu.ones(2, 1))
    with pytest.raises(gu.linalg.LinAlgError, match="lacks a row"):
        gu.linalg.ldl_solve(gu.ones(2, 2), gu.tensor([1, -2]), gu.ones(2, 1))


def test_what_has_no_derivative_says_so() -> None:
    a = gu.tensor([[2.0, 1.0], [1.0, 3.0]], requires_grad=True)
    for made in (gu.geqrf(a).a, gu.linalg.ldl_factor(a).LD):
        with pytest.raises(gu.GradError, match="has no derivative"):
            made.sum().backward()


def test_truncated_decompositions_of_low_rank_are_exact() -> None:
    a = gu.randn(7, 2, generator=gu.Generator(1)) @ gu.randn(2, 5, generator=gu.Generator(2))
    u, s, v = gu.svd_lowrank(a, q=2)
    assert gu.allclose((u * s) @ v.mT, a, atol=1e-5)
    u, s, v = gu.pca_lowrank(a, q=2)
    assert gu.allclose((u * s) @ v.mT, a - a.mean(0), atol=1e-5)
    with pytest.raises(ValueError, match="q is from 0 to the lesser size of a matrix, 5"):
        gu.svd_lowrank(a, q=6)
