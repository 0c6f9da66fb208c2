"""Terms of one gradient that are put together: weights used again and again, tensors in pieces."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import groundup as gu
from groundup.autodiff import gradient
from groundup.autodiff.together import Slices, together
from groundup.ir.node import Node, loops, outs, read
from groundup.ir.pieces import Piece, choice, pieces_of
from groundup.ir.transform import toposort

from .. import build as B

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.peers


def rnn(lib: Any, x: Any, w: Any, u: Any, h: Any) -> Any:
    """What a user writes: both weights once for each step."""
    states = []
    for t in range(x.shape[0]):
        h = (x[t] @ w + h @ u).tanh()
        states.append(h)
    return lib.stack(states)


def same_product(lib: Any, x: Any, w: Any, u: Any, h: Any) -> Any:
    """One operand of all products is one tensor; the other is not in the order of use."""
    return sum(((h + k) @ u) * x[k].sum() for k in (4, 1, 3, 0, 2, 5)) @ w.transpose(0, 1)


def pieces(lib: Any, x: Any, w: Any, u: Any, h: Any) -> Any:
    """Parts along two axes, some of them twice, some never used."""
    a, b, *_, d = x.unbind(0)
    left, _, right = w.split([3, 2, 3], 0)
    corner = x[1, :2, 1:3].sum() * x[1, 2:, 4:].sum() + x[-1, :, 2].sum() * x[1, :2, 4:].sin().sum()
    return (a @ w + (b * d) @ w) * corner + (left + right).sum()


def joined(lib: Any, x: Any, w: Any, u: Any, h: Any) -> Any:
    """Many pieces of uneven lengths, by rows and by columns."""
    rows = lib.cat([w[i : 2 * i + 1] * (i + 1) for i in range(4)] + [w[:0], w[7:]], 0)
    columns = lib.cat([h[:, i : i + 2] for i in range(5)] + [h], 1)
    return rows.sin().sum() + (columns * columns).sum()


@pytest.mark.parametrize(
    ("function", "twice"), [(rnn, True), (same_product, True), (pieces, True), (joined, True)]
)
@pytest.mark.parametrize("jit", [False, True])
def test_derivatives(function: Callable[..., Any], twice: bool, jit: bool) -> None:
    rng = np.random.default_rng(3)
    # A state larger than the batch: the products are larger than what they read.
    arrays = [rng.normal(size=s) * 0.3 for s in ((6, 2, 8), (8, 19), (19, 19), (2, 19))]

    def loss(lib: Any, *tensors: Any) -> Any:
        unused = sum((x**3).sum() for x in tensors)
        return (function(lib, *tensors) ** 2).sum() + unused

    def ours(*given: Any) -> list[Any]:
        first = gu.grad(lambda *x: loss(gu, *x), range(4))

        def size(*x: Any) -> Any:
            return sum((g * g).sum() for g in first(*x))

        return [*first(*given), *(gu.grad(size, range(4))(*given) if twice else ())]

    peers = [torch.tensor(a, requires_grad=True) for a in arrays]
    first = torch.autograd.grad(loss(torch, *peers), peers, create_graph=True)
    wanted = list(first)
    if twice:
        wanted += torch.autograd.grad(sum((g * g).sum() for g in first), peers)
    found = (gu.jit(ours) if jit else ours)(*(gu.from_numpy(a) for a in arrays))
    for f, w in zip(found, wanted, strict=True):
        w = w.detach().numpy()
        np.testing.assert_allclose(f.detach().numpy(), w, rtol=1e-10, atol=1e-11)


def test_a_weight_of_many_steps_has_one_product() -> None:
    weight, h = B.param(np.ones((9, 9))), B.tensor(np.ones((2, 9)))
    for _ in range(12):
        h = B.op("tanh", B.matmul(h, weight))
    (found,) = gradient(h, B.tensor(np.ones((2, 9))), [weight])
    assert found is not None
    products = [
        n for n in toposort([found])
        if n.op == "loops" and n.shape == (9, 9) and n.src[0].op == "reduce"
    ]  # fmt: skip
    # The first step reads memory that no derivative asks for: it is no other form for that.
    assert [n.src[0].arg[1][0][1] for n in products] == [12]


def test_few_terms_stay_as_they_are() -> None:
    parts = [B.tensor(np.ones(3)) for _ in range(3)]
    assert together(parts, Slices()) == parts


def test_pieces_are_found_again() -> None:
    tensors: list[Node] = [B.tensor(np.ones(3)) for _ in range(7)]
    written = [Piece(i, i + 1, read(t, outs(2)[1])) for i, t in enumerate(tensors)]
    found = pieces_of(loops((7, 3), choice(0, written)).src[0], (7, 3))
    assert found is not None and found.axis == 0
    assert [(p.start, p.stop, p.body) for p in found.pieces] == [
        (p.start, p.stop, p.body) for p in written
    ]
