"""gu.distributions: densities, moments, divergences and their gradients as torch's; draws as
SciPy's; arguments refused; in jit."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import stats

import groundup as gu
from groundup import distributions as D
from groundup.distributions import transforms as t

from .test_samplers import counted, fits

F64 = gu.float64
N = 20_000


class Law:
    """Parameters of a batch, values to ask, and SciPy's law of its first row."""

    def __init__(self, name: str, given: dict[str, Any], values: Any, scipy: Any = None) -> None:
        self.name, self.given, self.values, self.scipy = name, given, values, scipy

    def ours(self, requires_grad: bool = False) -> tuple[D.Distribution, list[gu.Tensor]]:
        leaves = {
            k: gu.tensor(v, dtype=F64, requires_grad=requires_grad) if isinstance(v, list) else v
            for k, v in self.given.items()
        }
        made = getattr(D, self.name)(**leaves)
        return made, [v for v in leaves.values() if isinstance(v, gu.Tensor)]

    def theirs(self, torch: Any, requires_grad: bool = False) -> tuple[Any, list[Any]]:
        leaves = {
            k: torch.tensor(v, dtype=torch.float64, requires_grad=requires_grad)
            if isinstance(v, list) else v
            for k, v in self.given.items()
        }  # fmt: skip
        made = getattr(torch.distributions, self.name)(**leaves)
        return made, [v for v in leaves.values() if isinstance(v, torch.Tensor)]


REAL = [[-1.3, 0.2, 4.0]]
POSITIVE = [[0.3, 1.0, 2.7]]
SHARES = [[0.1, 0.5, 0.9]]
WHOLE = [[0.0, 1.0, 3.0]]
PLACE = {"loc": [[0.5], [-1.0]], "scale": [[2.0], [0.3]]}
LAWS = {
    law.name + str(k): law
    for k, law in enumerate([
        Law("Normal", PLACE, REAL, stats.norm(0.5, 2)),
        Law("Laplace", PLACE, REAL, stats.laplace(0.5, 2)),
        Law("Cauchy", PLACE, REAL, stats.cauchy(0.5, 2)),
        Law("Gumbel", PLACE, REAL, stats.gumbel_r(0.5, 2)),
        Law("LogNormal", PLACE, POSITIVE, stats.lognorm(2, scale=math.exp(0.5))),
        Law("Uniform", {"low": [[-2.0], [-3.0]], "high": [[5.0], [4.5]]}, REAL,
            stats.uniform(-2, 7)),
        Law("HalfNormal", {"scale": [[2.0], [0.3]]}, POSITIVE, stats.halfnorm(scale=2)),
        Law("HalfCauchy", {"scale": [[2.0], [0.3]]}, POSITIVE, stats.halfcauchy(scale=2)),
        Law("Exponential", {"rate": [[2.0], [0.3]]}, POSITIVE, stats.expon(scale=0.5)),
        Law("Gamma", {"concentration": [[0.4], [3.0]], "rate": [[2.0], [0.3]]}, POSITIVE,
            stats.gamma(0.4, scale=0.5)),
        Law("Chi2", {"df": [[3.0], [0.5]]}, POSITIVE, stats.chi2(3)),
        Law("StudentT", {"df": [[4.5], [1.5]], **PLACE}, REAL, stats.t(4.5, 0.5, 2)),
        Law("FisherSnedecor", {"df1": [[3.0], [1.0]], "df2": [[5.0], [4.5]]}, POSITIVE,
            stats.f(3, 5)),
        Law("Beta", {"concentration1": [[0.5], [3.0]], "concentration0": [[2.0], [1.5]]}, SHARES,
            stats.beta(0.5, 2)),
        Law("Weibull", {"scale": [[2.0], [0.3]], "concentration": [[1.5], [1.2]]}, POSITIVE,
            stats.weibull_min(1.5, scale=2)),
        Law("Pareto", {"scale": [[0.2], [0.1]], "alpha": [[3.0], [2.5]]}, POSITIVE,
            stats.pareto(3, scale=0.2)),
        Law("Bernoulli", {"probs": [[0.3], [0.9]]}, [[0.0, 1.0]], stats.bernoulli(0.3)),
        Law("Bernoulli", {"logits": [[-1.5], [40.0]]}, [[0.0, 1.0]]),
        Law("Geometric", {"probs": [[0.3], [0.9]]}, WHOLE, stats.geom(0.3, loc=-1)),
        Law("Geometric", {"logits": [[-1.5], [1.0]]}, WHOLE),
        Law("Binomial", {"total_count": 4, "probs": [[0.3], [0.9]]}, WHOLE, stats.binom(4, 0.3)),
        Law("Binomial", {"total_count": 3, "logits": [[-1.5], [2.0]]}, WHOLE),
        Law("NegativeBinomial", {"total_count": 4, "probs": [[0.3], [0.8]]}, WHOLE,
            stats.nbinom(4, 0.7)),
        Law("NegativeBinomial", {"total_count": 2, "logits": [[-1.5], [0.4]]}, WHOLE),
        Law("Poisson", {"rate": [[0.7], [3.0]]}, WHOLE, stats.poisson(0.7)),
        Law("Categorical", {"probs": [[0.2, 0.3, 0.5], [1.0, 2.0, 0.5]]}, [2.0, 0.0]),
        Law("Categorical", {"logits": [[0.2, -3.0, 0.5], [1.0, 2.0, 0.5]]}, [2.0, 0.0]),
        Law("OneHotCategorical", {"probs": [[0.2, 0.3, 0.5]]}, [[0.0, 0.0, 1.0]]),
        Law("OneHotCategorical", {"logits": [[0.2, 0.3, 0.5]]}, [[0.0, 1.0, 0.0]]),
        Law("Multinomial", {"total_count": 4, "probs": [[0.2, 0.3, 0.5]]}, [[1.0, 0.0, 3.0]]),
        Law("Multinomial", {"total_count": 4, "logits": [[0.2, 0.3, 0.5]]}, [[1.0, 0.0, 3.0]]),
        Law("Dirichlet", {"concentration": [[0.5, 2.0, 3.0], [0.2, 0.5, 1.9]]},
            [[0.2, 0.3, 0.5]]),
        Law("MultivariateNormal", {"loc": [[0.5, 1.0], [0.0, -1.0]],
            "covariance_matrix": [[2.0, 0.5], [0.5, 1.0]]}, [[0.1, 0.3]]),
        Law("MultivariateNormal", {"loc": [0.5, 1.0],
            "precision_matrix": [[2.0, 0.5], [0.5, 1.0]]}, [[0.1, 0.3]]),
        Law("MultivariateNormal", {"loc": [0.5, 1.0], "scale_tril": [[2.0, 0.0], [0.5, 1.0]]},
            [[0.1, 0.3]]),
        Law("LowRankMultivariateNormal", {"loc": [0.5, 1.0], "cov_factor": [[2.0], [0.5]],
            "cov_diag": [0.5, 1.0]}, [[0.1, 0.3]]),
        Law("InverseGamma", {"concentration": [[2.5], [3.0]], "rate": [[2.0], [0.3]]}, POSITIVE,
            stats.invgamma(2.5, scale=2)),
        Law("Kumaraswamy", {"concentration1": [[1.5], [3.0]], "concentration0": [[2.0], [1.5]]},
            SHARES),
        Law("VonMises", {"loc": [[0.5], [-1.0]], "concentration": [[2.0], [0.3]]}, REAL,
            stats.vonmises(2.0, 0.5)),
        Law("RelaxedBernoulli", {"temperature": [0.7], "probs": [[0.3], [0.9]]}, SHARES),
        Law("RelaxedBernoulli", {"temperature": [0.7], "logits": [[0.3], [0.9]]}, SHARES),
        Law("ContinuousBernoulli", {"probs": [[0.3], [0.9]]}, SHARES),
        Law("ContinuousBernoulli", {"logits": [[-3.0], [1.0]]}, SHARES),
    ])
}  # fmt: skip


# The laws that CI runs; the others are marked slow.
QUICK = ("Normal0", "Uniform5", "Gamma9", "StudentT11", "Bernoulli17", "Binomial20",
         "Categorical26", "MultivariateNormal32")  # fmt: skip


def cases(keys: Any) -> list[Any]:
    """These laws as cases of a test, all but a few marked slow."""
    return [pytest.param(k, marks=() if k in QUICK else pytest.mark.slow) for k in keys]


def agree(ours: gu.Tensor, theirs: Any, a: list[gu.Tensor], b: list[Any], room: float) -> None:
    """Values, and gradients of Σ wᵢ·yᵢ by all parameters; these to 2e-9, for torch's trigamma,
    which the derivatives of digamma are, is right to nine digits."""
    expected = theirs.detach().numpy()
    assert tuple(ours.shape) == expected.shape
    np.testing.assert_allclose(ours.detach().numpy(), expected, rtol=room, atol=room)
    if not theirs.requires_grad:
        return
    import torch

    keep = np.isfinite(expected)
    if not keep.any():
        return
    weights = np.where(keep, np.random.default_rng(1).standard_normal(expected.shape), 0.0)
    want = torch.autograd.grad(theirs, b, torch.from_numpy(weights), True,
                               allow_unused=True)  # fmt: skip
    got = gu.derivatives(ours, a, gu.from_numpy(weights), allow_unused=True)
    for mine, his in zip(got, want, strict=True):
        none = np.zeros(())
        g = none if mine is None else mine.numpy()
        h = none if his is None else his.numpy()
        np.testing.assert_allclose(g, h, rtol=max(10 * room, 2e-9), atol=max(10 * room, 2e-9))


@pytest.mark.peers
@pytest.mark.parametrize("key", cases(LAWS))
def test_densities_and_moments_as_torchs(key: str) -> None:
    torch = pytest.importorskip("torch")
    law = LAWS[key]
    (p, a), (q, b) = law.ours(True), law.theirs(torch, True)
    assert tuple(p.batch_shape) == tuple(q.batch_shape)
    assert tuple(p.event_shape) == tuple(q.event_shape)
    assert p.has_rsample == q.has_rsample
    x, y = gu.tensor(law.values, dtype=F64), torch.tensor(law.values, dtype=torch.float64)
    # torch's Bessel functions are polynomials, right to seven digits.
    room = 1e-7 if law.name == "VonMises" else 1e-12
    agree(p.log_prob(x), q.log_prob(y), a, b, room)
    if not p.event_shape and law.name not in ("Categorical", "Gamma", "Chi2", "StudentT", "Beta",
                                              "FisherSnedecor", "InverseGamma", "VonMises",
                                              "RelaxedBernoulli"):  # fmt: skip
        try:
            expected = q.cdf(y)
        except NotImplementedError:
            with pytest.raises(NotImplementedError, match="no cdf"):
                p.cdf(x)
        else:
            agree(p.cdf(x), expected, a, b, 1e-12)
            shares = torch.tensor(SHARES, dtype=torch.float64)
            agree(p.icdf(gu.tensor(SHARES, dtype=F64)), q.icdf(shares), a, b, 1e-11)
    for what in ("mean", "variance", "stddev", "mode"):
        try:
            expected = getattr(q, what)
        except NotImplementedError:
            continue
        if law.name == "Categorical" and what == "mode":
            assert getattr(p, what).tolist() == expected.tolist()
            continue
        if (law.name, what) == ("Kumaraswamy", "mode"):
            continue  # torch has NaN for all of them
        agree(getattr(p, what), expected, a, b, room)
    try:
        expected = q.entropy()
    except NotImplementedError:
        with pytest.raises(NotImplementedError, match="no entropy"):
            p.entropy()
    else:
        # torch has log n! of a Multinomial in float32: that is right to seven digits.
        room = 1e-7 if law.name == "Multinomial" else 1e-11
        agree(p.entropy(), expected, a, b, room)
        agree(p.perplexity(), q.perplexity(), a, b, 10 * room)
    if p.has_enumerate_support:
        for expand in (True, False):
            assert p.enumerate_support(expand).tolist() == q.enumerate_support(expand).tolist()
    shape = (3, *p.batch_shape)
    wide = p.expand(shape)
    assert tuple(wide.batch_shape) == shape and wide.event_shape == p.event_shape
    np.testing.assert_allclose(
        wide.log_prob(x).detach().numpy()[1], p.log_prob(x).detach().numpy(), rtol=1e-12
    )
    assert type(p).__name__ in repr(p)


@pytest.mark.peers
@pytest.mark.parametrize("key", [k for k, law in LAWS.items()
                                 if law.name in ("Gamma", "Chi2", "InverseGamma")])  # fmt: skip
def test_shares_below_of_the_gamma_laws(key: str) -> None:
    """cdf beside SciPy's and torch's, with the derivative by a rate (torch has none by α)."""
    torch = pytest.importorskip("torch")
    law = LAWS[key]
    (p, a), (q, b) = law.ours(True), law.theirs(torch)
    x, y = gu.tensor(law.values, dtype=F64), torch.tensor(law.values, dtype=torch.float64)
    if len(b) == 2:  # df of Chi2 is a shape
        b[1].requires_grad_()
        q = getattr(torch.distributions, law.name)(*b)
    found, expected = p.cdf(x), q.cdf(y)
    np.testing.assert_allclose(found.detach().numpy(), expected.detach().numpy(), rtol=1e-12)
    np.testing.assert_allclose(found[0].detach().numpy(), law.scipy.cdf(law.values[0]), rtol=1e-12)
    slopes = gu.derivatives(found.sum(), a)
    if len(b) == 2:
        (theirs,) = torch.autograd.grad(expected.sum(), b[1:])
        np.testing.assert_allclose(slopes[1].numpy(), theirs.numpy(), rtol=1e-11)
    h, first = 1e-5, next(iter(law.given))
    rows = [
        getattr(D, law.name)(**{
            k: gu.tensor(v, dtype=F64) + (step if k == first else 0) for k, v in law.given.items()
        }).cdf(x).sum(1)
        for step in (h, -h)
    ]  # fmt: skip
    np.testing.assert_allclose(slopes[0][:, 0].numpy(), ((rows[0] - rows[1]) / (2 * h)).numpy(),
                               rtol=1e-6)  # fmt: skip


@pytest.mark.parametrize("key", cases(k for k, law in LAWS.items() if law.scipy))
def test_draws_fit(key: str) -> None:
    law = LAWS[key]
    p, _ = law.ours()
    x = p.sample((N,), gu.Generator(11))
    assert x.shape == (N, *p.batch_shape) and not x.requires_grad
    assert (counted if hasattr(law.scipy.dist, "pmf") else fits)(x[:, 0], law.scipy)
    again = p.sample((N,), gu.Generator(11))
    assert gu.equal(x, again)


@pytest.mark.slow
def test_draws_of_vectors_have_their_moments() -> None:
    for key, law in LAWS.items():
        p, _ = law.ours()
        if not p.event_shape and law.name != "Categorical":
            continue
        x = p.sample((N,), gu.Generator(3)).double()
        assert x.shape == (N, *p.batch_shape, *p.event_shape), key
        if law.name == "Categorical":
            shares = (x.unsqueeze(-1) == gu.arange(3)).double().mean(0)
            wanted = p.probs  # type: ignore[attr-defined]
            np.testing.assert_allclose(shares.numpy(), wanted.numpy(), atol=4 / math.sqrt(N))
            continue
        size = p.stddev.numpy()
        np.testing.assert_array_less(abs((x.mean(0) - p.mean).numpy()), 5 * size / math.sqrt(N))
        np.testing.assert_allclose(x.std(0).numpy(), size, rtol=0.05)
        if law.name == "MultivariateNormal":
            first = x[:, 0] if p.batch_shape else x
            mean = p.mean[0] if p.batch_shape else p.mean
            own = p.covariance_matrix  # type: ignore[attr-defined]
            covariance = ((first - mean).T @ (first - mean) / N).numpy()
            np.testing.assert_allclose(
                covariance, (own[0] if own.ndim == 3 else own).numpy(), atol=0.1
            )


@pytest.mark.parametrize("key", cases(k for k in LAWS if getattr(D, LAWS[k].name).has_rsample))
def test_draws_move_with_their_parameters(key: str) -> None:
    """d E[f(x)]/dθ by rsample's derivatives, f smooth, against finite differences of the mean over
    many draws of the same random words (of gamma's kin: of the expectation by quadrature)."""
    law = LAWS[key]
    p, leaves = law.ours(True)
    x = p.rsample((N,), gu.Generator(4))
    assert x.requires_grad
    y = (0.5 * x).tanh() if not p.event_shape else (0.5 * x[..., 0]).tanh()
    found = gu.derivatives(y.mean(0).sum(), leaves)
    for leaf, g in zip(leaves, found, strict=True):
        assert g is not None and g.isfinite().all().item()
        if law.scipy is None or law.name in ("Cauchy", "HalfCauchy"):
            continue
        name = next(k for k, v in law.given.items() if np.shape(v) == tuple(leaf.shape)
                    and np.allclose(np.asarray(v, float), leaf.detach().numpy()))  # fmt: skip

        def expected(value: float, name: str = name) -> float:
            given = {k: gu.tensor(v[0], dtype=F64) for k, v in law.given.items()}
            given[name] = gu.tensor([value], dtype=F64)
            one = getattr(D, law.name)(**given, validate_args=False)
            grid = np.linspace(1e-6, 1 - 1e-6, 200_001)
            span = law.scipy.ppf([1e-7, 1 - 1e-7])
            if law.name in ("Gamma", "Chi2", "Beta", "FisherSnedecor"):
                nodes = span[0] + (span[1] - span[0]) * grid**6  # dense at 0
            else:
                nodes = span[0] + (span[1] - span[0]) * grid
            density = np.exp(one.log_prob(gu.from_numpy(nodes)).numpy())
            return float(np.trapezoid(density * np.tanh(0.5 * nodes), nodes))

        if law.name in ("Uniform", "Pareto"):
            continue  # their support moves with them
        value = float(leaf.detach()[0, 0].item())
        h = 1e-4 * abs(value)
        slope = (expected(value + h) - expected(value - h)) / (2 * h)
        spread = 12 / math.sqrt(N) * max(1.0, abs(slope))
        assert abs(float(g[0, 0].item()) - slope) < spread, (name, g[0, 0].item(), slope)


PAIRS: list[tuple[Callable[[Any, Any], Any], Callable[[Any, Any], Any]]] = [
    (lambda d, v: d.Normal(v(0.5), v(2.0)), lambda d, v: d.Normal(v(-1.0), v(0.7))),
    (lambda d, v: d.LogNormal(v(0.5), v(2.0)), lambda d, v: d.LogNormal(v(-1.0), v(0.7))),
    (lambda d, v: d.HalfNormal(v(2.0)), lambda d, v: d.HalfNormal(v(0.7))),
    (lambda d, v: d.Laplace(v(0.5), v(2.0)), lambda d, v: d.Laplace(v(-1.0), v(0.7))),
    (lambda d, v: d.Cauchy(v(0.5), v(2.0)), lambda d, v: d.Cauchy(v(-1.0), v(0.7))),
    (lambda d, v: d.Gumbel(v(0.5), v(2.0)), lambda d, v: d.Gumbel(v(-1.0), v(0.7))),
    (lambda d, v: d.Uniform(v(0.5), v(2.0)), lambda d, v: d.Uniform(v(-1.0), v(2.7))),
    (lambda d, v: d.Uniform(v(0.5), v(2.0)), lambda d, v: d.Uniform(v(1.0), v(2.7))),
    (lambda d, v: d.Exponential(v(0.5)), lambda d, v: d.Exponential(v(2.0))),
    (lambda d, v: d.Gamma(v(0.5), v(2.0)), lambda d, v: d.Gamma(v(3.0), v(1.0))),
    (lambda d, v: d.Chi2(v(3.0)), lambda d, v: d.Chi2(v(5.0))),
    (lambda d, v: d.Beta(v(0.5), v(2.0)), lambda d, v: d.Beta(v(3.0), v(1.0))),
    (lambda d, v: d.Pareto(v(0.5), v(2.0)), lambda d, v: d.Pareto(v(0.3), v(1.0))),
    (lambda d, v: d.Pareto(v(0.2), v(2.0)), lambda d, v: d.Pareto(v(0.3), v(1.0))),
    (lambda d, v: d.Bernoulli(v(0.5)), lambda d, v: d.Bernoulli(v(0.2))),
    (lambda d, v: d.Bernoulli(v(0.5)), lambda d, v: d.Bernoulli(v(0.0))),
    (lambda d, v: d.Binomial(3, v(0.5)), lambda d, v: d.Binomial(3, v(0.2))),
    (lambda d, v: d.Geometric(v(0.5)), lambda d, v: d.Geometric(v(0.2))),
    (lambda d, v: d.Poisson(v(0.5)), lambda d, v: d.Poisson(v(2.0))),
    (lambda d, v: d.Exponential(v(0.5)), lambda d, v: d.Gamma(v(2.0), v(3.0))),
    (lambda d, v: d.Gamma(v(0.5), v(2.0)), lambda d, v: d.Exponential(v(2.0))),
    (lambda d, v: d.Uniform(v(0.5), v(2.0)), lambda d, v: d.Normal(v(-1.0), v(2.7))),
    (lambda d, v: d.Laplace(v(0.5), v(2.0)), lambda d, v: d.Normal(v(-1.0), v(2.7))),
    (lambda d, v: d.Normal(v(0.5), v(2.0)), lambda d, v: d.Laplace(v(-1.0), v(2.7))),
    (lambda d, v: d.Categorical(v([0.5, 0.2, 0.3])), lambda d, v: d.Categorical(v([1.0, 2, 3]))),
    (lambda d, v: d.Categorical(v([0.5, 0.5])), lambda d, v: d.Categorical(v([1.0, 0.0]))),
    (lambda d, v: d.OneHotCategorical(v([0.5, 0.2])),
     lambda d, v: d.OneHotCategorical(v([1.0, 2]))),
    (lambda d, v: d.Dirichlet(v([0.5, 2.0, 3.0])), lambda d, v: d.Dirichlet(v([1.0, 1.0, 1.0]))),
    (lambda d, v: d.MultivariateNormal(v([0.5, 1.0]), v([[2.0, 0.5], [0.5, 1.0]])),
     lambda d, v: d.MultivariateNormal(v([0.0, 1.0]), v([[1.0, 0.0], [0.0, 3.0]]))),
    (lambda d, v: d.Independent(d.Normal(v([0.5, 1.0]), v([1.0, 2.0])), 1),
     lambda d, v: d.Independent(d.Normal(v([0.0, 1.0]), v([3.0, 1.0])), 1)),
]  # fmt: skip


@pytest.mark.peers
@pytest.mark.parametrize(
    "case", [pytest.param(k, marks=pytest.mark.slow if k % 3 else ()) for k in range(len(PAIRS))]
)
def test_divergences_as_torchs(case: int) -> None:
    torch = pytest.importorskip("torch")
    make_p, make_q = PAIRS[case]
    a: list[gu.Tensor] = []
    b: list[Any] = []

    def ours(v: Any) -> gu.Tensor:
        a.append(gu.tensor(v, dtype=F64, requires_grad=True))
        return a[-1]

    def theirs(v: Any) -> Any:
        b.append(torch.tensor(v, dtype=torch.float64, requires_grad=True))
        return b[-1]

    found = D.kl_divergence(make_p(D, ours), make_q(D, ours))
    d = torch.distributions
    agree(found, d.kl_divergence(make_p(d, theirs), make_q(d, theirs)), a, b, 1e-11)


@pytest.mark.peers
def test_laws_made_of_laws_as_torchs() -> None:
    torch = pytest.importorskip("torch")

    def made(d: Any, tr: Any, v: Any) -> list[Any]:
        weights = d.Categorical(v([0.2, 0.3, 0.5]))
        parts = d.Normal(v([-1.0, 0.0, 2.0]), v([1.0, 0.5, 2.0]))
        vectors = d.Independent(d.Normal(v([[0.0, 1.0], [1.0, 1.0], [2.0, 0.0]]), v(1.0)), 1)
        base = d.Normal(v([0.0, 0.5]), v(1.0))
        return [
            (d.MixtureSameFamily(weights, parts), v([-1.0, 0.3])),
            (d.MixtureSameFamily(weights, vectors), v([[-1.0, 0.3]])),
            (d.Independent(base, 1), v([0.3, 0.2])),
            (d.TransformedDistribution(base, [tr.AffineTransform(1.0, -2.0)]), v([0.3, 0.2])),
            (d.TransformedDistribution(base, [tr.ExpTransform(), tr.PowerTransform(v(0.5))]),
             v([0.3, 0.2])),
            (d.TransformedDistribution(base, [tr.SigmoidTransform()]), v([0.3, 0.2])),
            (d.TransformedDistribution(base, [tr.TanhTransform()]), v([0.3, 0.2])),
            (d.TransformedDistribution(base, [tr.SoftplusTransform()]), v([0.3, 0.2])),
            (d.TransformedDistribution(d.Beta(v([2.0, 3.0]), v(1.5)),
                                       [tr.SigmoidTransform().inv]), v([0.3, -0.2])),
            (d.TransformedDistribution(base, [tr.ComposeTransform(
                [tr.AffineTransform(0.5, 2.0), tr.TanhTransform(), tr.AffineTransform(0.0, 3.0)])]),
             v([0.3, -0.2])),
            (d.TransformedDistribution(
                base, [tr.AffineTransform(v(0.5), v([2.0, 3.0]), event_dim=1)]), v([0.3, -0.2])),
        ]  # fmt: skip

    def ours(v: Any) -> gu.Tensor:
        return gu.tensor(v, dtype=F64)

    def theirs(v: Any) -> Any:
        return torch.tensor(v, dtype=torch.float64)

    d = torch.distributions
    for (p, x), (q, y) in zip(made(D, t, ours), made(d, d.transforms, theirs), strict=True):
        assert tuple(p.batch_shape) == tuple(q.batch_shape), (p, q)
        assert tuple(p.event_shape) == tuple(q.event_shape), (p, q)
        agree(p.log_prob(x), q.log_prob(y), [], [], 1e-12)
        if not p.event_shape and "Beta" not in repr(p):
            agree(p.cdf(x), q.cdf(y), [], [], 1e-12)
        if isinstance(p, D.MixtureSameFamily | D.Independent):
            agree(p.mean, q.mean, [], [], 1e-12)
            agree(p.variance, q.variance, [], [], 1e-12)
        drawn = p.sample((3,), gu.Generator(1))
        assert tuple(drawn.shape) == tuple(q.sample((3,)).shape)
        assert p.log_prob(drawn).isfinite().all().item()
        wide = p.expand((2, *p.batch_shape))
        assert tuple(wide.sample().shape) == (2, *p.batch_shape, *p.event_shape)
        assert p.has_rsample == q.has_rsample
    mixed, _ = made(D, t, ours)[0]
    x = mixed.sample((N,), gu.Generator(2)).numpy()
    grid = np.linspace(-6, 10, 41)
    cdf = mixed.cdf(gu.from_numpy(grid)).numpy()
    np.testing.assert_allclose((x[:, None] <= grid).mean(0), cdf, atol=2 / math.sqrt(N))


@pytest.mark.peers
def test_relaxed_classes_as_torchs() -> None:
    """torch takes a temperature that is a tensor only, without axes."""
    torch = pytest.importorskip("torch")
    for way in ("probs", "logits"):
        weights, values = [[0.2, 0.3, 0.5], [0.1, 0.1, 0.8]], [[0.2, 0.3, 0.5]]
        a = [gu.tensor(v, dtype=F64, requires_grad=True) for v in (0.7, weights)]
        b = [torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (0.7, weights)]
        p = D.RelaxedOneHotCategorical(a[0], **{way: a[1]})
        q = torch.distributions.RelaxedOneHotCategorical(b[0], **{way: b[1]})
        x, y = gu.tensor(values, dtype=F64), torch.tensor(values, dtype=torch.float64)
        agree(p.log_prob(x), q.log_prob(y), a, b, 1e-12)
        drawn = p.rsample((N,), gu.Generator(3))
        first = (drawn[..., :1] >= drawn).all(-1).double().mean(0).detach().numpy()
        np.testing.assert_allclose(first, p.probs[:, 0].detach().numpy(), atol=4 / math.sqrt(N))


def test_what_torch_has_otherwise() -> None:
    """An affine transform of vectors by one number stretches by its power; modes without torch's
    NaN; an entropy to all digits."""
    scale = t.AffineTransform(0.0, gu.tensor(2.0, dtype=F64), event_dim=1)
    p = D.TransformedDistribution(D.Normal(gu.zeros(3, dtype=F64), 1.0), scale)
    wide = D.Independent(D.Normal(gu.zeros(3, dtype=F64), 2.0), 1)
    x = gu.tensor([0.3, -1.0, 2.0], dtype=F64)
    assert abs(p.log_prob(x).item() - wide.log_prob(x).item()) < 1e-12
    assert D.Weibull(1.0, 0.5).mode.item() == 0.0
    assert D.Dirichlet(gu.tensor([0.2, 0.9, 0.5])).mode.tolist() == [0.0, 1.0, 0.0]
    angles, kappa = gu.linspace(-3.0, 3.0, 7, dtype=F64), 2.5
    expected = stats.vonmises(kappa, 0.5).logpdf(angles.numpy())
    found = D.VonMises(gu.tensor(0.5, dtype=F64), kappa).log_prob(angles).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    k = D.Kumaraswamy(gu.tensor(1.5, dtype=F64), 2.0)
    grid = gu.linspace(0.001, 0.999, 999, dtype=F64)
    assert abs(k.mode.item() - grid[int(k.log_prob(grid).argmax().item())].item()) < 1e-3
    shares = [0.2, 0.3, 0.5]
    counts = D.Multinomial(4, gu.tensor(shares, dtype=F64))
    assert abs(counts.entropy().item() - stats.multinomial(4, shares).entropy()) < 1e-12


def test_the_continuous_bernoulli_near_its_middle_and_far_away() -> None:
    """Against 90 digits: where formulas lose theirs, and where they overflow."""
    mp = pytest.importorskip("mpmath")
    mp.mp.dps = 90
    for logit in (-300.0, -2.0, -0.31, -0.29, -1e-3, 1e-5, 0.0, 1e-9, 0.2, 0.31, 5.0, 300.0):
        p = D.ContinuousBernoulli(logits=gu.tensor(logit, dtype=F64))
        at, x = mp.mpf(logit) + mp.mpf("1e-20"), mp.mpf("0.3")
        norm = mp.log(at / mp.tanh(at / 2))
        wanted = {
            "log_prob": float(x * at - mp.log(1 + mp.exp(at)) + norm),
            "cdf": float(mp.expm1(x * at) / mp.expm1(at)),
            "icdf": float(mp.log1p(x * mp.expm1(at)) / at),
        }
        for name, value in wanted.items():
            assert math.isclose(getattr(p, name)(0.3).item(), value, rel_tol=1e-11,
                                abs_tol=1e-15), (name, logit)  # fmt: skip
        mean = float(1 / (1 - mp.exp(-at)) - 1 / at)
        variance = float(1 / at**2 - 1 / (4 * mp.sinh(at / 2) ** 2))
        assert math.isclose(p.mean.item(), mean, rel_tol=1e-11), logit
        assert math.isclose(p.variance.item(), variance, rel_tol=1e-11), logit
        drawn = p.sample((N,), gu.Generator(5))
        assert stats.kstest(p.cdf(drawn).numpy(), "uniform").pvalue > 1e-3, logit


def test_what_has_no_probability_is_not_drawn() -> None:
    sure = gu.tensor([0.0, 1.0, 0.0])
    for p in (D.Categorical(sure), D.Categorical(logits=sure.log())):
        assert (p.sample((N,)) == 1).all().item()
    assert D.Multinomial(5, sure).sample((9,)).tolist() == [[0.0, 5.0, 0.0]] * 9
    assert (D.OneHotCategorical(sure).sample((N,)) == sure).all().item()
    for share in (0.0, 1.0):
        assert (D.Bernoulli(share).sample((N,)) == share).all().item()
        assert (D.Binomial(7, share).sample((N,)) == 7 * share).all().item()
    assert (D.NegativeBinomial(9.0, 0.0).sample((N,)) == 0).all().item()
    assert (D.Geometric(1.0).sample((N,)) == 0).all().item()
    assert (D.Poisson(0.0).sample((N,)) == 0).all().item()


def test_captured_laws_are_the_plain_ones() -> None:
    def step(loc: gu.Tensor, alpha: gu.Tensor) -> tuple[gu.Tensor, ...]:
        p = D.Normal(loc, 1.0)
        x = p.rsample((2,))
        g = D.Gamma(alpha, 2.0)
        y = g.rsample()
        loss = (p.log_prob(x) + x * x).sum() + y.sum()
        k = D.Categorical(logits=loc).sample((5,))
        slopes = gu.derivatives(loss, [loc, alpha])
        return x.detach(), y.detach(), k, *(s for s in slopes if s is not None)

    loc = gu.tensor([0.3, -0.4, 1.0], requires_grad=True)
    alpha = gu.tensor([0.5, 2.0], requires_grad=True)
    gu.manual_seed(3)
    plain = [step(loc, alpha) for _ in range(3)]
    gu.manual_seed(3)
    captured = gu.jit(step)
    for wanted in plain:
        for a, b in zip(captured(loc, alpha), wanted, strict=True):
            np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-5, atol=1e-6)
    with gu.debug():
        gu.manual_seed(3)
        for a, b in zip(step(loc, alpha), plain[0], strict=True):
            np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-4, atol=1e-5)


def test_laws_of_one_element_of_a_batch() -> None:
    loc = gu.tensor([0.3, -0.4, 1.0])
    one = gu.vmap(lambda m: D.Normal(m, 2.0).log_prob(m * 2))(loc)
    np.testing.assert_allclose(one.numpy(), D.Normal(loc, 2.0).log_prob(loc * 2).numpy(), 1e-6)


def test_half_types_and_numbers() -> None:
    p = D.Normal(gu.zeros(2, dtype=gu.bfloat16), 1)
    assert p.sample().dtype is gu.bfloat16 and p.log_prob(0.5).dtype is gu.bfloat16
    assert D.Normal(0, 1).sample().dtype is gu.float32
    assert D.Normal(gu.tensor([1, 2]), 1.0).log_prob(gu.tensor(1)).dtype is gu.float32
    assert D.Normal(gu.zeros(0), 1.0).sample((3,)).shape == (3, 0)
    assert D.Dirichlet(gu.full((3,), 1e-3)).sample((50,)).isfinite().all().item()
    assert D.Beta(1e-3, 1e-3).rsample((50,)).isfinite().all().item()


ERRORS: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: D.Normal(0.0, -1.0), ValueError, "Normal: scale must be more than 0"),
    (lambda: D.Normal(gu.tensor([math.nan]), 1.0), ValueError, "loc must be a number"),
    (lambda: D.Normal(gu.zeros(2), gu.ones(3)), RuntimeError, "Normal"),
    (lambda: D.Normal("a", 1.0), TypeError, "loc is a tensor or a number"),
    (lambda: D.Normal(0.0, 1.0).log_prob(math.nan), ValueError, "a value must be"),
    (lambda: D.Normal(gu.zeros(2), 1.0).log_prob(gu.zeros(3)), RuntimeError, "log_prob"),
    (lambda: D.Exponential(1.0).log_prob(-1.0), ValueError, "0 or more"),
    (lambda: D.Uniform(1.0, 1.0), ValueError, "low must be less than high"),
    (lambda: D.Bernoulli(), ValueError, "neither"),
    (lambda: D.Bernoulli(0.5, 0.5), ValueError, "both"),
    (lambda: D.Bernoulli(1.5), ValueError, "from 0 to 1"),
    (lambda: D.Bernoulli(0.5).rsample(), NotImplementedError, "no rsample"),
    (lambda: D.Binomial(1.5, 0.5), ValueError, "total_count must be"),
    (lambda: D.Categorical(gu.zeros(3)), ValueError, "not all 0"),
    (lambda: D.Categorical(gu.tensor(1.0)), RuntimeError, "1 axis"),
    (lambda: D.Categorical(gu.ones(3)).log_prob(gu.tensor(3)), ValueError, "from 0 to 2"),
    (lambda: D.Multinomial(2, gu.ones(2)).log_prob(gu.ones(2) * 2), ValueError, "add up to 2"),
    (lambda: D.Dirichlet(gu.ones(2)).log_prob(gu.ones(2)), ValueError, "add up to 1"),
    (lambda: D.Dirichlet(gu.ones(2)).log_prob(gu.ones(3)), RuntimeError, "one draw"),
    (lambda: D.MultivariateNormal(gu.zeros(2)), ValueError, "one of"),
    (lambda: D.MultivariateNormal(gu.zeros(2), -gu.eye(2)), ValueError, "positive definite"),
    (lambda: D.MultivariateNormal(gu.zeros(2), gu.eye(3)), RuntimeError, "square"),
    (lambda: D.MultivariateNormal(gu.zeros(2), scale_tril=gu.ones(2, 2)), ValueError,
     "lower triangular"),
    (lambda: D.Independent(D.Normal(0.0, 1.0), 1), ValueError, "1 axes"),
    (lambda: D.kl_divergence(D.Normal(0.0, 1.0), D.Gamma(1.0, 1.0)), NotImplementedError,
     "Normal and Gamma"),
    (lambda: D.Gamma(1.0, 1.0).icdf(0.5), NotImplementedError, "no icdf"),
]  # fmt: skip


@pytest.mark.parametrize("case", range(len(ERRORS)))
def test_errors_say_what_is_wrong_and_where(case: int) -> None:
    call, kind, text = ERRORS[case]
    with pytest.raises(kind, match=text) as error:
        call()
    assert "test_laws.py" in str(error.value)


def test_checks_can_be_left_out() -> None:
    p = D.Normal(0.0, -1.0, validate_args=False)
    assert math.isnan(p.log_prob(0.0).item())
    try:
        D.Distribution.set_default_validate_args(False)
        D.Normal(0.0, -1.0)
    finally:
        D.Distribution.set_default_validate_args(True)
