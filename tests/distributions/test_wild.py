"""Wild arguments of what draws and transforms: an error that says what was wrong, or a result."""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import groundup as gu
from groundup import distributions as D

from ..oracles.harness import is_ours

WILD: list[Any] = [
    None, 0, 1, -1, 2, 3, -(2**70), 0.5, -0.5, float("nan"), float("inf"), 1j, "x", "ortho", (),
    (0,), (1, 2), (-1,), (0, 0), [3], True, gu.tensor(1.0), gu.zeros(0), gu.ones(3), gu.ones(2, 3),
    gu.zeros(2, 0, 3), gu.tensor([1j, 2]), gu.ones(3, dtype=gu.int64),
    gu.ones(3, dtype=gu.float16), gu.ones(3, dtype=gu.bool_), gu.float32, gu.complex64, object(),
    gu.tensor([float("nan"), 1.0]), gu.Generator(1), len, {},
]  # fmt: skip
TIMES = 4  # calls of each function


def functions() -> Iterator[tuple[str, Callable[..., Any]]]:
    yield from ((f"fft.{n}", getattr(gu.fft, n)) for n in gu.fft.__all__)
    for name in ("stft", "istft", "normal", "poisson", "binomial", "randint_like", "bernoulli",
                 "multinomial", "randperm", "hann_window", "kaiser_window",
                 "Generator"):  # fmt: skip
        yield name, getattr(gu, name)
    for name in ("normal_", "uniform_", "exponential_", "cauchy_", "log_normal_", "geometric_",
                 "bernoulli_", "random_"):  # fmt: skip
        for kind in (gu.float32, gu.int8):
            yield name, getattr(gu.zeros(3, dtype=kind), name)
    for name in ("manual_seed", "set_state", "load_state_dict", "split"):
        yield f"Generator.{name}", getattr(gu.Generator(1), name)
    for name in D.__all__:
        kind = getattr(D, name)
        if isinstance(kind, type) and kind not in (D.Distribution, D.Transform):
            yield f"distributions.{name}", kind


def asked(law: D.Distribution, value: Any) -> Iterator[Callable[[], Any]]:
    yield lambda: law.sample((2,))
    yield lambda: law.log_prob(value)
    yield lambda: law.sample(value)


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_wild_arguments_are_refused_in_our_words(seed: int) -> None:
    rng, slipped = random.Random(seed), []

    def tried(name: str, f: Callable[..., Any], *args: Any) -> Any:
        try:
            result = f(*args)
            return result.realize() if isinstance(result, gu.Tensor) else result
        except (MemoryError, NotImplementedError):
            return None
        except Exception as error:
            if not is_ours(error):
                slipped.append(f"{name}{args!r:.150}: {error!r:.150}")
        return None

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, f in functions():
            for _ in range(TIMES * (1 + 20 * seed)):
                made = tried(name, f, *(rng.choice(WILD) for _ in range(rng.randint(0, 4))))
                if isinstance(made, D.Distribution):
                    for call in asked(made, rng.choice(WILD)):
                        tried(name, call)
    assert not slipped, "\n".join(slipped[:10])
