"""x[::-1] and its like: views that count down, read and written, as NumPy's."""

from __future__ import annotations

import copy
import random
from typing import Any

import numpy as np
import pytest

import groundup as gu


def a_slice(rng: random.Random, n: int) -> slice:
    ends = [None, None, *range(-n - 2, n + 3)]
    return slice(rng.choice(ends), rng.choice(ends), rng.choice([-3, -2, -1, -1, 1, 2]))


@pytest.mark.parametrize("seed", range(40))
def test_views_of_views_are_numpys(seed: int) -> None:
    rng = random.Random(seed)
    shape = tuple(rng.choice([0, 1, 2, 3, 5]) for _ in range(rng.choice([1, 2, 3])))
    theirs: Any = np.arange(float(np.prod(shape))).reshape(shape)
    ours: Any = gu.from_numpy(theirs.copy())
    base, own = theirs, ours
    for _ in range(rng.choice([1, 2, 3])):
        key = tuple(a_slice(rng, n) for n in theirs.shape)
        key = (*key[:1], None, *key[1:]) if rng.random() < 0.3 else key
        theirs, ours = theirs[key], ours[key]
    assert ours.tolist() == theirs.tolist() and (ours * 2).tolist() == (theirs * 2).tolist()
    np.testing.assert_array_equal(ours.numpy(), theirs)
    assert ours.reshape(theirs.size).tolist() == theirs.ravel().tolist()
    theirs += 3
    ours += 3
    assert own.tolist() == base.tolist()
    key = tuple(a_slice(rng, n) for n in theirs.shape)
    fresh = np.random.default_rng(seed).standard_normal(theirs[key].shape)
    theirs[key] = fresh
    ours[key] = gu.from_numpy(fresh)
    assert own.tolist() == base.tolist()
    if theirs.size and theirs.shape[0]:
        theirs[[0, -1]] = 7
        ours[[0, -1]] = 7
    theirs[theirs > 5] = -1
    ours[ours > 5] = -1
    assert own.tolist() == base.tolist()


def test_derivatives_captured_functions_and_copies() -> None:
    x = gu.arange(6.0).requires_grad_()
    (x[4::-2] * gu.tensor([1.0, 2.0, 3.0])).sum().backward()
    assert x.grad is not None and x.grad.tolist() == [3, 0, 2, 0, 1, 0]
    turned = gu.jit(lambda v: v[::-1] * 2)
    y = gu.arange(4.0).realize()
    for _ in range(3):
        assert turned(y).tolist() == [6, 4, 2, 0]
        assert turned(y[::-1]).tolist() == [0, 2, 4, 6]
    with gu.debug():
        assert (gu.arange(5)[::-2] + 0).tolist() == [4, 2, 0]
    assert copy.deepcopy(y[::-1]).tolist() == [3, 2, 1, 0]
    assert y[::-1].stride() == (-1,) and not y[::-1].is_contiguous()


def test_a_step_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="a step of 0 stays where it is"):
        gu.arange(4)[::0]
