"""Random numbers of other distributions: against SciPy's, in jit, in place; streams that split."""

import copy
import math
import pickle
from typing import Any

import numpy as np
import pytest
from scipy import stats

import groundup as gu
from groundup.tensor.samplers import log_standard_gamma, slope_of_log, standard_gamma

N = 20_000
# Each test has fixed seeds, so what it finds is always the same: a p-value below this says that
# the distribution is another one.
LEAST = 1e-3


def fits(x: gu.Tensor, law: Any) -> bool:
    """Kolmogorov and Smirnov: are these numbers drawn from a continuous distribution?"""
    return bool(stats.kstest(x.double().numpy().reshape(-1), law.cdf).pvalue > LEAST)


def counted(x: gu.Tensor, law: Any) -> bool:
    """χ²: are these counts drawn from a discrete distribution? All rare values are one class."""
    values = x.double().numpy().reshape(-1)
    assert (values == np.floor(values)).all()
    low, high = int(law.ppf(1e-4)), int(law.ppf(1 - 1e-4))
    edges = np.unique(np.linspace(low, high, min(40, high - low + 1)).astype(int))
    expected = np.diff(np.r_[0, law.cdf(edges), 1]) * len(values)
    found = np.histogram(values, np.r_[-1, edges, 2**62] + 0.5)[0]
    often = expected > 5
    rest = expected[~often].sum() + 1e-9
    pairs = np.r_[found[often], found[~often].sum()], np.r_[expected[often], rest]
    assert values.min() >= law.support()[0]
    return bool(np.sum((pairs[0] - pairs[1]) ** 2 / pairs[1]) < stats.chi2(often.sum()).isf(LEAST))


IN_PLACE = {
    "normal_": ((2.0, 3.0), stats.norm(2, 3)),
    "uniform_": ((-2.0, 3.0), stats.uniform(-2, 5)),
    "exponential_": ((2.0,), stats.expon(scale=0.5)),
    "cauchy_": ((1.0, 2.0), stats.cauchy(1, 2)),
    "log_normal_": ((1.0, 0.5), stats.lognorm(0.5, scale=math.e)),
    "geometric_": ((0.3,), stats.geom(0.3)),
    "random_": ((3, 10), stats.randint(3, 10)),
    "bernoulli_": ((0.3,), stats.bernoulli(0.3)),
}


@pytest.mark.parametrize("name", IN_PLACE)
def test_in_place_draws_fit(name: str) -> None:
    args, law = IN_PLACE[name]
    test = counted if hasattr(law.dist, "pmf") else fits
    for kind in (gu.float32, gu.float64):
        x = gu.zeros(N, dtype=kind)
        view = x[: N // 2]
        returned = getattr(x, name)(*args, generator=gu.Generator(3))
        assert returned is x and x.dtype is kind
        assert test(x, law)
        assert view.tolist() == x[: N // 2].tolist()
        again = gu.zeros(N, dtype=kind)
        assert gu.equal(getattr(again, name)(*args, generator=gu.Generator(3)), x)
        assert not gu.equal(getattr(again, name)(*args, generator=gu.Generator(4)), x)


@pytest.mark.parametrize("name", IN_PLACE)
def test_in_place_draws_of_awkward_tensors(name: str) -> None:
    args, _ = IN_PLACE[name]

    def draw(x: gu.Tensor) -> gu.Tensor:
        drawn: gu.Tensor = getattr(x, name)(*args)
        return drawn

    assert draw(gu.zeros(0, 3)).shape == (0, 3)
    assert draw(gu.zeros(())).shape == ()
    half = draw(gu.zeros(50, dtype=gu.float16))
    assert half.dtype is gu.float16 and half.isfinite().all().item()
    x = gu.zeros(4, 6)
    draw(x.T[1])
    assert (x[:, 0] == 0).all().item() and (x[:, 2] == 0).all().item()
    with pytest.raises(RuntimeError, match="expanded view"):
        draw(gu.zeros(1, 3).expand(2, 3))
    leaf = gu.zeros(3, requires_grad=True)
    with pytest.raises(RuntimeError, match="leaf"):
        draw(leaf)
    with gu.no_grad():
        draw(leaf)
    doubled = leaf * 2
    draw(doubled)
    assert not doubled.requires_grad
    with gu.debug():
        gu.manual_seed(4)
        plain = draw(gu.zeros(40, dtype=gu.float64)).numpy()
    gu.manual_seed(4)
    compiled = draw(gu.zeros(40, dtype=gu.float64)).numpy()
    np.testing.assert_allclose(plain, compiled, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ["normal_", "geometric_", "random_"])
def test_captured_draws_in_place_go_on_with_the_stream(name: str) -> None:
    args, _ = IN_PLACE[name]
    made = gu.zeros(3)

    def draw(x: gu.Tensor) -> gu.Tensor:
        drawn: gu.Tensor = getattr(x, name)(*args)
        return drawn

    @gu.jit
    def step(y: gu.Tensor) -> gu.Tensor:
        draw(made)
        return made + y

    gu.manual_seed(5)
    captured = [step(gu.zeros(3)).tolist() for _ in range(4)]
    gu.manual_seed(5)
    assert captured == [draw(gu.zeros(3)).tolist() for _ in range(4)]


def test_complex_numbers_are_drawn_in_place() -> None:
    z = gu.zeros(N, dtype=gu.complex128)
    part = z[: N // 2]
    assert part.normal_(2.0, 3.0, generator=gu.Generator(1)) is part
    half = stats.norm(0, 3 * math.sqrt(0.5))
    assert fits(part.real - 2, half) and fits(part.imag, half)
    assert gu.equal(z[: N // 2].real, part.real) and (z[N // 2 :].real == 0).all().item()
    z.uniform_(-1.0, 3.0, generator=gu.Generator(2))
    assert fits(z.real, stats.uniform(-1, 4)) and fits(z.imag, stats.uniform(-1, 4))
    with pytest.raises(TypeError, match="floating"):
        z.cauchy_()


INVALID = [
    ("normal_", (0.0, -1.0)), ("uniform_", (3.0, -1.0)), ("uniform_", (-3e38, 3e38)),
    ("exponential_", (0.0,)), ("cauchy_", (0.0, 0.0)), ("log_normal_", (0.0, 0.0)),
    ("geometric_", (1.0,)), ("geometric_", (-1.0,)), ("random_", (3, 3)), ("bernoulli_", (1.5,)),
]  # fmt: skip


@pytest.mark.parametrize("name,args", INVALID)
def test_arguments_that_mean_nothing_are_refused(name: str, args: tuple[float, ...]) -> None:
    x = gu.zeros(3)
    with pytest.raises(ValueError, match=f"{name}: .*"):
        getattr(x, name)(*args)
    assert x.tolist() == [0.0] * 3
    if name not in ("geometric_", "random_", "bernoulli_"):
        with pytest.raises(TypeError, match="floating"):
            getattr(gu.zeros(3, dtype=gu.int64), name)()


def test_whole_numbers_fill_their_types() -> None:
    for kind, least, most in ((gu.uint8, 0, 255), (gu.int8, 0, 127), (gu.bool_, 0, 1)):
        seen = gu.zeros(3000, dtype=kind).random_().tolist()
        assert min(seen) == least and max(seen) == most
    wide = gu.zeros(1000, dtype=gu.uint64).random_().tolist()
    assert max(wide) > 2**63 and min(wide) < 2**60
    assert max(gu.zeros(1000, dtype=gu.int64).random_().tolist()) > 2**61
    big = gu.zeros(1000, dtype=gu.float32).random_().tolist()
    assert 2**23 < max(big) <= 2**24
    signed = gu.zeros(1000, dtype=gu.int8).random_(-128, 128).tolist()
    assert min(signed) < -120 and max(signed) > 120
    assert set(gu.zeros(100, dtype=gu.int64).random_(-(2**63), -(2**63) + 2).tolist()) == {
        -(2**63), -(2**63) + 1
    }  # fmt: skip
    with pytest.raises(ValueError, match="int8 does not hold"):
        gu.zeros(3, dtype=gu.int8).random_(0, 129)
    assert set(gu.randint_like(gu.zeros(200), 2, 4).tolist()) == {2.0, 3.0}


def test_normal_in_all_its_forms() -> None:
    mean, std = gu.tensor([[1.0], [5.0]]), gu.tensor([0.0, 0.0, 0.0])
    assert gu.normal(mean, std).tolist() == [[1.0] * 3, [5.0] * 3]
    assert gu.normal(mean).shape == (2, 1)
    assert gu.normal(mean, 0.0).tolist() == mean.tolist()
    assert gu.normal(2.0, std).tolist() == [2.0] * 3
    assert fits(gu.normal(2.0, 3.0, (N,), generator=gu.Generator(1)), stats.norm(2, 3))
    assert gu.normal(0.0, 1.0, (2, 3), dtype=gu.float64).dtype is gu.float64
    assert gu.normal(0.0, 1.0, (2,), requires_grad=True).is_leaf
    spread = gu.normal(gu.zeros(N), gu.full((N,), 2.0), generator=gu.Generator(2))
    assert fits(spread, stats.norm(0, 2))
    for wrong in (-1.0, gu.tensor([1.0, -1.0]), gu.tensor([math.nan, 1.0])):
        with pytest.raises(ValueError, match="std is 0 or more"):
            gu.normal(gu.zeros(2), wrong)
    with pytest.raises(TypeError, match="size"):
        gu.normal(0.0, 1.0)
    with pytest.raises(TypeError, match="floating"):
        gu.normal(gu.tensor([1, 2]), 1.0)


@pytest.mark.parametrize("rate", [0.1, 3.0, 9.9, 10.0, 40.0, 1e6])
def test_poisson_counts_fit(rate: float) -> None:
    x = gu.poisson(gu.full((N,), rate, dtype=gu.float64), gu.Generator(7))
    assert counted(x, stats.poisson(rate))


@pytest.mark.parametrize("n,p", [(1, 0.3), (40, 0.9), (40, 0.3), (1000, 0.005), (10**6, 0.7)])
def test_binomial_counts_fit(n: int, p: float) -> None:
    both = (gu.full((N,), float(v), dtype=gu.float64) for v in (n, p))
    x = gu.binomial(*both, generator=gu.Generator(8))
    assert x.max().item() <= n and counted(x, stats.binom(n, p))


def test_counts_at_the_edges_and_their_errors() -> None:
    assert gu.poisson(gu.zeros(2, 0)).shape == (2, 0)
    assert gu.binomial(gu.tensor([0.0, 5.0, 5.0]), gu.tensor(1.0)).tolist() == [0.0, 5.0, 5.0]
    for wrong in (-1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="poisson: rates"):
            gu.poisson(gu.tensor([1.0, wrong]))
        captured = gu.jit(lambda rate: gu.poisson(rate))(gu.tensor([0.0, wrong]))
        assert captured[0].item() == 0.0 and math.isnan(captured[1].item())
    with pytest.raises(ValueError, match="whole"):
        gu.binomial(gu.tensor([1.5]), gu.tensor([0.5]))
    with pytest.raises(ValueError, match="from 0 to 1"):
        gu.binomial(gu.tensor([1.0]), gu.tensor([1.5]))
    with pytest.raises(TypeError, match="floating"):
        gu.poisson(gu.tensor([1]))
    for wrong in (-0.1, 1.1, math.nan):
        with pytest.raises(ValueError, match="bernoulli: probabilities"):
            gu.bernoulli(gu.tensor([0.5, wrong]))


@pytest.mark.parametrize("alpha", [0.05, 0.9, 1.0, 2.5, 1e4])
def test_gamma_numbers_fit(alpha: float) -> None:
    for kind in (gu.float32, gu.float64):
        x = standard_gamma(gu.full((N,), alpha, dtype=kind), gu.Generator(9))
        assert fits(x, stats.gamma(alpha))
    with gu.debug():
        plain = log_standard_gamma(gu.full((5,), alpha, dtype=gu.float64), gu.Generator(9))
        values = plain.numpy()
    few = log_standard_gamma(gu.full((5,), alpha, dtype=gu.float64), gu.Generator(9))
    np.testing.assert_allclose(values, few.numpy(), rtol=1e-12, atol=1e-12)


def test_the_slope_of_a_gamma_number_is_that_of_constant_probability() -> None:
    mp = pytest.importorskip("mpmath")
    mp.mp.dps = 30

    def exact(a: float, log_x: float) -> float:
        x = mp.exp(mp.mpf(log_x))
        sides = [(0, x, -1), (x, mp.inf, 1)]
        low, high, sign = sides[int(x > a)]
        share = mp.diff(lambda t: mp.gammainc(t, low, high, regularized=True), a, h=a * 1e-10)
        density = (mp.mpf(a) - 1) * mp.log(x) - x - mp.loggamma(a)
        return float(sign * share / mp.exp(density) / x)

    for a in (1e-3, 0.1, 0.999, 1.0, 3.0, 30.0, 1e4):
        for quantile in (1e-3, 0.3, 0.5, 0.9, 0.999):
            log_x = math.log(max(stats.gamma(a).ppf(quantile), 1e-250))
            expected = exact(a, log_x)
            for kind, room in ((gu.float64, 1e-8), (gu.float32, 2e-4)):
                got = slope_of_log(gu.tensor(a, dtype=kind), gu.tensor(log_x, dtype=kind)).item()
                assert abs(got - expected) < room * abs(expected), (a, quantile, kind)


@pytest.mark.peers
def test_gamma_gradients_are_torchs() -> None:
    """Within 1e-3: torch's own are fitted, with up to 1.7e-3 where x is 1/10 of α."""
    torch = pytest.importorskip("torch")
    alpha = gu.tensor([0.02, 0.5, 1.0, 4.0, 60.0] * 20, dtype=gu.float64, requires_grad=True)
    x = standard_gamma(alpha, gu.Generator(5))
    (grad,) = gu.derivatives(x, [alpha], gu.ones_like(x), create_graph=True)
    expected = torch._standard_gamma_grad(
        torch.from_numpy(alpha.detach().numpy()), torch.from_numpy(x.detach().numpy())
    )
    np.testing.assert_allclose(grad.detach().numpy(), expected.numpy(), rtol=2e-3, atol=1e-30)
    # Twice: α moves x along the curve of constant probability.
    (twice,) = gu.derivatives(grad, [alpha], gu.ones_like(grad))
    a, u = alpha.detach().numpy(), stats.gamma(alpha.detach().numpy()).cdf(x.detach().numpy())
    inside = (u > 0.01) & (u < 0.99) & (a > 0.1)
    h = 1e-3 * a
    second = (
        stats.gamma(a + h).ppf(u) - 2 * stats.gamma(a).ppf(u) + stats.gamma(a - h).ppf(u)
    ) / h**2
    size = np.abs(second[inside]).max()
    np.testing.assert_allclose(twice.numpy()[inside], second[inside], rtol=1e-3, atol=1e-4 * size)


def test_bits_do_not_depend_on_threads() -> None:
    threads = gu.get_num_threads()

    def draws() -> list[Any]:
        g = gu.Generator(6)
        x = gu.zeros(70_000)
        return [
            standard_gamma(gu.full((70_000,), 0.7), g).tolist(),
            gu.poisson(gu.linspace(0.0, 30.0, 70_000), g).tolist(),
            x.cauchy_(generator=g).tolist(),
            x.normal_(1.0, 2.0, generator=g).tolist(),
        ]

    try:
        gu.set_num_threads(1)
        one = draws()
        gu.set_num_threads(3)
        assert draws() == one
    finally:
        gu.set_num_threads(threads)


# ---- generators ----------------------------------------------------------------------------------


def test_generators_split_into_streams_of_their_own() -> None:
    parent = gu.Generator(1)
    children = parent.split(3)
    more = parent.split(2)
    streams = [gu.rand(500, generator=g, dtype=gu.float64).numpy() for g in
               (parent, *children, *more, gu.Generator(1))]  # fmt: skip
    together = np.concatenate(streams)
    assert len(set(together)) == len(together)
    correlation = np.corrcoef(streams) - np.eye(len(streams))
    assert np.abs(correlation).max() < 5 / math.sqrt(500)
    again = gu.Generator(1).split(3)
    assert [g.initial_seed() for g in again] == [g.initial_seed() for g in children]
    assert gu.Generator(1).split(0) == []
    with pytest.raises(ValueError, match="0 or more"):
        parent.split(-1)


def test_a_captured_function_splits_as_the_plain_one() -> None:
    g = gu.Generator(2)

    def draws(x: gu.Tensor) -> tuple[gu.Tensor, gu.Tensor]:
        a, b = g.split()
        return gu.rand(3, generator=a) + x, gu.randn(2, generator=b)

    plain = [[t.tolist() for t in draws(gu.zeros(3))] for _ in range(4)]
    g.manual_seed(2)
    captured = gu.jit(draws)
    assert [[t.tolist() for t in captured(gu.zeros(3))] for _ in range(4)] == plain


def test_a_captured_function_hands_a_child_on() -> None:
    def draws(kept: gu.Generator) -> gu.Tensor:
        (child,) = kept.split(1)
        kept.set_state(child.state)
        return gu.rand(2, generator=kept)

    plain, captured, step = gu.Generator(4), gu.Generator(4), gu.jit(draws)
    for _ in range(4):
        assert step(captured).tolist() == draws(plain).tolist()
    assert repr(plain) == repr(captured)


@pytest.mark.parametrize("how", ["pickle", "deepcopy", "state_dict", "clone", "state"])
def test_a_generator_is_saved_and_goes_on(how: str) -> None:
    g = gu.Generator(2**63 + 5)
    gu.rand(3, generator=g)
    if how == "pickle":
        saved = pickle.loads(pickle.dumps(g))
    elif how == "deepcopy":
        saved = copy.deepcopy(g)
    elif how == "state_dict":
        saved = gu.Generator().load_state_dict(g.state_dict())
    elif how == "clone":
        saved = g.clone()
    else:
        saved = gu.Generator().set_state(g.get_state())
    assert repr(saved) == repr(g) == f"Generator(seed={2**63 + 5}, draws=1)"
    expected = gu.rand(4, generator=g).tolist()
    assert gu.rand(4, generator=saved).tolist() == expected
    assert gu.rand(4, generator=saved).tolist() != expected


def test_states_that_are_none_are_refused() -> None:
    g = gu.Generator(1)
    for wrong in (gu.zeros(2), gu.zeros(3, dtype=gu.uint64), 5):
        with pytest.raises(ValueError, match="get_state"):
            g.set_state(wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="seed and draws"):
        g.load_state_dict({"seed": 1})
    with pytest.raises(TypeError, match="integer"):
        gu.Generator(1.5)  # type: ignore[arg-type]
