"""Orders: complete, reproducible, and independent of what came before."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundup.data import RandomSampler, SequentialSampler, permutation


@given(n=st.integers(0, 300), seed=st.integers(0, 2**64), epoch=st.integers(0, 1000))
def test_a_permutation_visits_every_item_once(n: int, seed: int, epoch: int) -> None:
    assert sorted(permutation(n, seed, epoch)) == list(range(n))


def test_a_permutation_is_a_function_of_its_key_alone() -> None:
    # Computed once with this definition: an order must never change between versions or machines.
    assert permutation(8, "order", 0, 0) == [3, 2, 5, 6, 0, 4, 7, 1]
    assert permutation(8, "order", 0, 1) != permutation(8, "order", 0, 0)
    assert permutation(8, "order", 1, 0) != permutation(8, "order", 0, 0)


def test_a_permutation_is_uniform() -> None:
    """Over 6,000 keys each of the 6 orders of 3 items comes about 1,000 times.

    Chi-squared with 5 degrees of freedom: above 20.5 with probability 0.001; the keys are fixed.
    """
    counts: dict[tuple[int, ...], int] = {}
    for key in range(6_000):
        order = tuple(permutation(3, key))
        counts[order] = counts.get(order, 0) + 1
    assert len(counts) == 6
    assert sum((count - 1_000) ** 2 / 1_000 for count in counts.values()) < 20.5


def test_passes_differ_and_any_pass_can_be_had_again() -> None:
    sampler = RandomSampler(50, seed=3)
    first, second, third = list(sampler), list(sampler), list(sampler)
    assert first != second != third and sampler.epoch == 3
    again = RandomSampler(50, seed=3)
    again.epoch = 2
    assert list(again) == third


def test_an_unfinished_pass_counts() -> None:
    sampler = RandomSampler(50, seed=3)
    next(iter(sampler))
    assert list(sampler) == permutation(50, "order", 3, 1)


@pytest.mark.parametrize("n", [0, 1, 5])
def test_sequential(n: int) -> None:
    assert list(SequentialSampler(n)) == list(range(n)) and len(SequentialSampler(n)) == n
