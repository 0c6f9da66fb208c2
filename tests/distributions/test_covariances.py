"""Wishart, LKJCholesky and LogisticNormal: torch's densities, entropies, moments and gradients by
all parameters; draws with the moments that they should have; derivatives through draws."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import groundup as gu
from groundup import distributions as D

V = [[[2.0, 0.5, 0.1], [0.5, 1.0, -0.2], [0.1, -0.2, 0.7]]] * 2
X = [[[3.0, 1.0, 0.2], [1.0, 2.0, 0.1], [0.2, 0.1, 0.9]]]
L = [[1.0, 0.0, 0.0], [0.6, 0.8, 0.0], [0.5, -0.5, math.sqrt(0.5)]]


def both(name: str, options: dict[str, Any], **given: Any) -> list[tuple[Any, list[Any], Any]]:
    import torch

    made = []
    for lib, room in ((gu, D), (torch, torch.distributions)):
        leaves = {
            k: lib.tensor(v, dtype=lib.float64).requires_grad_() for k, v in given.items()
        }  # fmt: skip
        made.append((getattr(room, name)(**leaves, **options), list(leaves.values()), lib))
    return made


CASES: list[tuple[str, dict[str, Any], dict[str, Any], Any]] = [
    ("Wishart", {}, {"df": [4.0, 3.5], "covariance_matrix": V}, X),
    ("Wishart", {}, {"df": [4.5], "precision_matrix": V[0]}, X),
    ("LKJCholesky", {"dim": 3}, {"concentration": [0.5, 1.0, 3.0]}, L),
    ("LogisticNormal", {}, {"loc": [[0.3, -0.7], [1.0, 0.0]], "scale": [0.5, 2.0]},
     [[0.2, 0.5, 0.3], [0.7, 0.1, 0.2]]),
]  # fmt: skip


@pytest.mark.peers
@pytest.mark.parametrize("case", range(len(CASES)))
def test_densities_moments_and_gradients_are_those_of_torch(case: int) -> None:
    name, options, given, value = CASES[case]
    found = []
    for law, leaves, lib in both(name, options, **given):
        x = lib.tensor(value, dtype=lib.float64).requires_grad_()
        density = law.log_prob(x)
        parts = [density]
        if name == "Wishart":
            parts += [law.entropy(), law.mean, law.variance]
        total = sum((p * p).sum() for p in parts)
        total.backward()
        numbers = [*parts, x.grad.tril(), *(leaf.grad for leaf in leaves)]
        if "precision_matrix" in given or "covariance_matrix" in given:
            numbers[-1] = numbers[-1] + numbers[-1].mT  # of a symmetric matrix, either half serves
            numbers[len(parts)] = x.grad + x.grad.mT
        shapes = (tuple(law.batch_shape), tuple(law.event_shape), law.has_rsample)
        wide = law.expand((3, *law.batch_shape))
        shapes += (tuple(wide.batch_shape), tuple(wide.sample((2,)).shape))
        found.append((shapes, [np.array(n.tolist()) for n in numbers]))
    assert found[0][0] == found[1][0]
    for ours, theirs in zip(found[0][1], found[1][1], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-8, atol=1e-10)


def test_draws_have_their_moments() -> None:
    v = gu.tensor(V[0], dtype=gu.float64)
    law = D.Wishart(gu.tensor(4.0, dtype=gu.float64), covariance_matrix=v)
    x = law.sample((20_000,), gu.Generator(3))
    error = (law.variance / 20_000).sqrt()
    assert bool(((x.mean(0) - law.mean).abs() < 5 * error).all())
    assert bool(((x.var(0) / law.variance - 1).abs() < 0.15).all())

    lkj = D.LKJCholesky(3, gu.tensor(1.0, dtype=gu.float64))
    factors = lkj.sample((20_000,), gu.Generator(4))
    assert bool(D.constraints.corr_cholesky.check(factors).all())
    r = factors @ factors.mT
    # Each correlation is 2·Beta(d/2, d/2) − 1 at concentration 1: of variance 1 / (d + 1).
    for i, j in ((0, 1), (0, 2), (1, 2)):
        assert abs(r[:, i, j].mean().item()) < 0.02
        assert abs(r[:, i, j].var().item() - 0.25) < 0.01

    stick = D.LogisticNormal(gu.zeros(2), gu.full((2,), 1e-3))
    assert stick.sample((3,)).tolist() == pytest.approx(np.full((3, 3), 1 / 3), abs=2e-3)


def test_derivatives_flow_through_draws() -> None:
    v = gu.eye(2, dtype=gu.float64).requires_grad_()
    x = D.Wishart(gu.tensor(5.0, dtype=gu.float64), scale_tril=v).rsample((4,), gu.Generator(1))
    x.sum().backward()
    assert v.grad is not None and bool(v.grad.isfinite().all())
    s = gu.ones(2, requires_grad=True)
    y = D.LogisticNormal(gu.zeros(2), s).rsample((), gu.Generator(2))
    y[0].backward()
    assert s.grad is not None and s.grad[0].item() != 0
    with pytest.raises(NotImplementedError, match="no rsample"):
        D.LKJCholesky(2).rsample()


def test_what_is_not_right_is_refused() -> None:
    with pytest.raises(ValueError, match="less than df"):
        D.Wishart(gu.tensor(1.5), covariance_matrix=gu.eye(3))
    with pytest.raises(ValueError, match="one of covariance_matrix"):
        D.Wishart(gu.tensor(3.0))
    with pytest.raises(ValueError, match="dim is 2 or more"):
        D.LKJCholesky(1)
    with pytest.raises(ValueError, match="rows of length 1"):
        D.LKJCholesky(2).log_prob(gu.eye(2) * 2)
    with pytest.raises(ValueError, match="add up to 1"):
        D.LogisticNormal(gu.zeros(2), gu.ones(2)).log_prob(gu.tensor([0.5, 0.4, 0.4]))
    assert D.Wishart(gu.tensor(2.0), covariance_matrix=gu.eye(2)).mode.isnan().all()
