"""einsum of several operands: any order of contraction gives NumPy's result; the order chosen is
the cheapest."""

from __future__ import annotations

import itertools
import random
from typing import Any

import numpy as np
import pytest

import groundup as gu
from groundup.tensor.path import EXACT, path


def strings() -> list[str]:
    """The equations that opt_einsum tests itself with."""
    found = pytest.importorskip("opt_einsum.tests.test_contract")
    return list(dict.fromkeys(found.tests))


def sizes_of(equation: str) -> dict[str, int]:
    letters = sorted(set(equation) - set(",->. "))
    return {c: (2, 3, 4, 5, 2, 3, 1, 2, 3, 2)[i % 10] for i, c in enumerate(letters)}


def test_opt_einsums_own_strings() -> None:
    rng = np.random.default_rng(0)
    for equation in strings():
        sizes = sizes_of(equation)
        terms = equation.partition("->")[0].split(",")
        arrays = [rng.integers(-2, 3, [sizes[c] for c in t]).astype(np.float64) for t in terms]
        got = gu.einsum(equation, *map(gu.from_numpy, arrays))
        wanted = np.einsum(equation, *arrays)
        # Sums of small integers are exact in any order.
        assert tuple(got.shape) == wanted.shape and got.tolist() == wanted.tolist(), equation


def test_captured_and_derived() -> None:
    rng = np.random.default_rng(1)
    a, b, c = (rng.integers(-3, 4, s).astype(np.float32) for s in ((4, 3), (3, 5), (5, 4)))
    g = gu.jit(lambda a, b, c: gu.einsum("ij,jk,kl->li", a, b, c))
    for _ in range(3):
        got = g(*map(gu.from_numpy, (a, b, c)))
        assert got.tolist() == np.einsum("ij,jk,kl->li", a, b, c).tolist()
    x, y, z = (gu.from_numpy(v).requires_grad_() for v in (a, b, c))
    gu.einsum("ij,jk,kl->", x, y, z).backward()
    assert x.grad.tolist() == np.einsum("jk,kl,i->ij", b, c, np.ones(4, np.float32)).tolist()
    assert y.grad.tolist() == np.einsum("ij,kl->jk", a, c).tolist()
    assert z.grad.tolist() == np.einsum("ij,jk,l->kl", a, b, np.ones(4, np.float32)).tolist()


def test_a_single_operand_is_a_value_of_its_own() -> None:
    x = gu.ones(2, 3)
    y = gu.einsum("ij->ij", x)
    y.add_(1)
    assert x.tolist() == [[1.0] * 3] * 2 and y.tolist() == [[2.0] * 3] * 2


def test_sizes_of_one_broadcast() -> None:
    a, b = np.ones((3, 1)), np.arange(8.0).reshape(4, 2)
    c = gu.tensor([1.0, 2.0], gu.float64)
    got = gu.einsum("ij,jk,k->ik", gu.from_numpy(a), gu.from_numpy(b), c)
    assert got.tolist() == [[(b[:, 0]).sum(), 2 * b[:, 1].sum()]] * 3


def cost(terms: list[str], result: str, sizes: dict[str, int], order: Any) -> int:
    """Multiply-adds of a path."""
    standing, total = [set(t) for t in terms], 0
    for i, j in order:
        i, j = sorted((i, j))
        b, a = standing.pop(j), standing.pop(i)
        both = a | b
        total += int(np.prod([sizes[c] for c in both], dtype=object))
        standing.append(both & set(result).union(*standing))
    assert len(standing) == 1
    return total


def every_path(count: int) -> Any:
    if count == 1:
        yield []
        return
    for pair in itertools.combinations(range(count), 2):
        for rest in every_path(count - 1):
            yield [pair, *rest]


def equation(rng: random.Random, count: int) -> tuple[list[str], str, dict[str, int]]:
    letters = "abcdefg"[: rng.randint(2, 7)]
    most = min(4, len(letters))
    terms = ["".join(rng.sample(letters, rng.randint(0, most))) for _ in range(count)]
    there = sorted(set("".join(terms)))
    result = "".join(rng.sample(there, rng.randint(0, len(there))))
    return terms, result, {c: rng.choice((1, 2, 3, 5, 10)) for c in letters}


def test_the_path_is_the_cheapest_of_all() -> None:
    rng = random.Random(0)
    for _ in range(150):
        terms, result, sizes = equation(rng, rng.randint(2, 5))
        # The letters that only one term has are summed before, as einsum does.
        terms = ["".join(c for c in t if c in result or sum(c in u for u in terms) > 1)
                 for t in terms]  # fmt: skip
        best = min(cost(terms, result, sizes, p) for p in every_path(len(terms)))
        assert cost(terms, result, sizes, path(terms, result, sizes)) == best


def test_a_chain_is_contracted_from_its_thin_end() -> None:
    sizes = dict.fromkeys("abcdefghijk", 50) | {"k": 1}
    chain = [a + b for a, b in itertools.pairwise("abcdefghijk")]
    for count in (4, EXACT, 10):  # the last one step by step
        terms = chain[-count:]
        found = path(terms, terms[0][0] + "k", sizes)
        assert cost(terms, terms[0][0] + "k", sizes, found) == 50 * 50 * (count - 1)
        assert found == path(list(terms), terms[0][0] + "k", dict(reversed(sizes.items())))


@pytest.mark.peers
@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "int32", "int64"])
def test_products_of_integers_are_of_their_type(dtype: str) -> None:
    import torch

    a = np.array([[100, 27], [3, 90]], dtype)
    for name, f in {
        "@": lambda lib, x: x @ x,
        "dot": lambda lib, x: lib.dot(x[0], x[1]),
        "einsum": lambda lib, x: lib.einsum("ij,jk,kl->il", x, x, x),
        "two terms": lambda lib, x: lib.einsum("ij,ij->i", x, x),
        "a sum": lambda lib, x: lib.einsum("ij->i", x),
        "tensordot": lambda lib, x: lib.tensordot(x, x, 1),
        "outer": lambda lib, x: lib.outer(x[0], x[1]),
    }.items():
        ours, theirs = f(gu, gu.from_numpy(a)), f(torch, torch.from_numpy(a))
        assert ours.dtype.name == str(theirs.dtype).removeprefix("torch."), name
        assert ours.tolist() == theirs.tolist(), name
