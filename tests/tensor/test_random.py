"""Random numbers: the published vectors of Philox, streams that repeat, distributions."""

import math
from typing import Any

import pytest

import groundup as gu
from groundup.ir import node as ir
from groundup.ir.dtype import uint64
from groundup.tensor.generator import philox
from groundup.tensor.random import fill

# Random123's known answers for philox4x32-10 (file kat_vectors of Salmon et al.'s code).
VECTORS = [
    ([0] * 4, [0] * 2, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
    ([0xFFFFFFFF] * 4, [0xFFFFFFFF] * 2, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
    (
        [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
        [0xA4093822, 0x299F31D0],
        [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
    ),
]


@pytest.mark.parametrize("counter,key,answer", VECTORS)
def test_philox_answers_as_published(counter: list[int], key: list[int], answer: list[int]) -> None:
    words = philox([ir.const(c, uint64) for c in counter], [ir.const(k, uint64) for k in key])
    assert [w.value for w in words] == answer
    given = gu.tensor(counter + key, dtype=gu.uint64)
    parts = [ir.read(given.node, ir.index(n)) for n in range(6)]
    computed = [
        gu.tensor(0)._make(type(given._storage)((), uint64, ir.loops((), w))).item()
        for w in philox(parts[:4], parts[4:])
    ]
    assert computed == answer


def test_a_seed_gives_the_same_stream() -> None:
    gu.manual_seed(7)
    first = [gu.rand(3), gu.randn(2, 2), gu.randint(0, 10, (4,)), gu.randperm(5)]
    gu.manual_seed(7)
    again = [gu.rand(3), gu.randn(2, 2), gu.randint(0, 10, (4,)), gu.randperm(5)]
    assert [a.tolist() for a in first] == [b.tolist() for b in again]
    assert gu.rand(3).tolist() != gu.rand(3).tolist()
    assert gu.initial_seed() == 7


def test_a_state_can_be_taken_up_again() -> None:
    gu.manual_seed(1)
    gu.rand(5)
    state = gu.get_rng_state()
    a = gu.rand(4)
    gu.set_rng_state(state)
    assert gu.rand(4).tolist() == a.tolist()
    g = gu.Generator().manual_seed(3)
    before = gu.get_rng_state().tolist()
    x = gu.rand(2, generator=g)
    assert gu.get_rng_state().tolist() == before
    assert gu.rand(2, generator=gu.Generator(3)).tolist() == x.tolist()


def test_a_draw_is_not_changed_by_later_draws() -> None:
    gu.manual_seed(5)
    x = gu.rand(3)  # still to be computed while the state goes on
    gu.rand(3).tolist()
    gu.manual_seed(5)
    assert gu.rand(3).tolist() == x.tolist()


def test_seeds_that_differ_in_any_bit_differ() -> None:
    seen = set()
    for seed in (0, 1, 1 << 31, 1 << 32, (1 << 64) - 1):
        gu.manual_seed(seed)
        seen.add(tuple(gu.rand(2).tolist()))
    assert len(seen) == 5


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_uniform_and_normal_moments(dtype: str, engine: str) -> None:
    n = 2000 if engine == "python" else 200_000
    gu.manual_seed(0)
    kind = getattr(gu, dtype)
    u, z = gu.rand(n, dtype=kind), gu.randn(n, dtype=kind)
    assert u.dtype is kind and z.dtype is kind
    assert u.min().item() >= 0.0 and u.max().item() < 1.0
    error = 5 / math.sqrt(n)
    assert abs(u.mean().item() - 0.5) < error * 0.3
    assert abs(u.var().item() - 1 / 12) < error * 0.1
    assert abs(z.mean().item()) < error
    assert abs(z.var().item() - 1) < error * 1.5
    assert abs((z**3).mean().item()) < error * 4
    assert abs((z**4).mean().item() - 3) < error * 10
    assert abs((u[1:] * u[:-1]).mean().item() - 0.25) < error * 0.3


def test_integers_permutations_and_choices() -> None:
    gu.manual_seed(0)
    x = gu.randint(-3, 4, (500,))
    assert set(x.tolist()) == set(range(-3, 4))
    assert gu.randint(5, (2, 3)).shape == (2, 3)
    assert gu.randint(0, 2, (3,), dtype=gu.uint8).dtype is gu.uint8
    assert sorted(gu.randperm(40).tolist()) == list(range(40))
    assert gu.randperm(0).tolist() == []
    assert gu.randperm(40).tolist() != list(range(40))
    p = gu.tensor([0.0, 1.0, 0.25])
    total = gu.zeros(3)
    for _ in range(40):
        total += gu.bernoulli(p)
    assert total[0].item() == 0.0
    assert total[1].item() == 40.0
    assert 2 <= total[2].item() <= 20
    assert set(gu.multinomial(gu.tensor([0.0, 1.0, 2.0]), 2).tolist()) == {1, 2}
    drawn = gu.multinomial(gu.tensor([[0.0, 1.0], [3.0, 0.0]]), 5, replacement=True)
    assert drawn.tolist() == [[1] * 5, [0] * 5]
    assert gu.randn_like(gu.zeros(2, 3)).shape == (2, 3)
    assert gu.rand(2, requires_grad=True).is_leaf


def test_errors_explain() -> None:
    with pytest.raises(ValueError, match="nothing from 3"):
        gu.randint(3, 3, (1,))
    with pytest.raises(TypeError, match="floating"):
        gu.rand(2, dtype=gu.int64)
    with pytest.raises(ValueError, match="outcomes"):
        gu.multinomial(gu.tensor([1.0, 0.0]), 2)


@pytest.mark.parametrize("dtype", [gu.float32, gu.float64, gu.float16, gu.bfloat16])
@pytest.mark.parametrize("kind,draw", [("uniform", gu.rand), ("normal", gu.randn)])
def test_filled_memory_holds_what_the_expression_gives(kind: str, draw: Any, dtype: Any) -> None:
    shapes = [(3,), (5, 7), (0, 2), (5, 7), (3,), (5, 7)]  # a shape seen before draws anew
    gu.manual_seed(11)
    expected = [(draw(*s, dtype=dtype) * 0.3 + 0.1).tolist() for s in shapes]
    end = gu.get_rng_state().tolist()
    gu.manual_seed(11)
    for shape, values in zip(shapes, expected, strict=True):
        t = gu.zeros(*shape, dtype=dtype)
        before = t + 0  # a value, not a place
        alias = t.view(*shape)
        fill(t, kind, 0.3, 0.1)
        assert t.tolist() == values == alias.tolist()
        assert before.tolist() == gu.zeros(*shape).tolist()
    assert gu.get_rng_state().tolist() == end


def test_views_are_filled_in_place_and_a_captured_fill_draws_anew() -> None:
    gu.manual_seed(3)
    expected = [(gu.randn(2) * 2.0).tolist() for _ in range(5)]
    gu.manual_seed(3)
    t = gu.zeros(3, 2)
    fill(t[1], "normal", 2.0, 0.0)
    assert t.tolist() == [[0.0, 0.0], expected[0], [0.0, 0.0]]
    w = gu.zeros(2)

    @gu.jit
    def draws(x: gu.Tensor) -> gu.Tensor:
        fill(w, "normal", 2.0, 0.0)
        return w + x

    assert [draws(gu.zeros(2)).tolist() for _ in range(4)] == expected[1:]
