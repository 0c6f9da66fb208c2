"""An index of −1 from data: where PyTorch counts from the back it does here, else it is an error,
of a derivative whose values nobody asks for as well."""

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest

import groundup as gu
from groundup.nn import functional as F

# (name, what it makes of x (3, 4), an index of two and a source (2, 4); counts it from the back?)
CASES: list[tuple[str, Callable[[Any, Any, Any], Any], bool]] = [
    ("gather", lambda x, i, s: x.gather(0, i.reshape(-1, 1)), False),
    ("take_along_dim", lambda x, i, s: x.take_along_dim(i.reshape(-1, 1), 0), True),
    ("take_along_dim None", lambda x, i, s: x.take_along_dim(i), False),
    ("index_select", lambda x, i, s: x.index_select(0, i), False),
    ("index_add", lambda x, i, s: x.index_add(0, i, s), False),
    ("index_copy", lambda x, i, s: x.index_copy(0, i, s), False),
    ("index_fill", lambda x, i, s: x.index_fill(0, i, 7.0), True),
    ("index_reduce", lambda x, i, s: x.index_reduce(0, i, s, "prod"), False),
    ("scatter", lambda x, i, s: x.scatter(0, i.reshape(-1, 1), s), False),
    ("scatter of a number", lambda x, i, s: x.scatter(0, i.reshape(-1, 1), 5.0), False),
    ("scatter_add", lambda x, i, s: x.scatter_add(0, i.reshape(-1, 1), s), False),
    ("scatter_reduce", lambda x, i, s: x.scatter_reduce(0, i.reshape(-1, 1), s, "amax"), False),
    ("take", lambda x, i, s: x.take(i), True),
    ("put", lambda x, i, s: x.put(i, s[0, :2]), True),
    ("x[index]", lambda x, i, s: x[i], True),
    ("index_put", lambda x, i, s: x.index_put((i,), s), True),
    ("index_put added", lambda x, i, s: x.index_put((i,), s, accumulate=True), True),
]
LABELS: list[tuple[str, Callable[[Any, Any, Any], Any], bool]] = [
    ("embedding", lambda x, i, s: F.embedding(i, x), False),
    ("nll_loss", lambda x, i, s: F.nll_loss(x[:2], i), False),
    ("cross_entropy", lambda x, i, s: F.cross_entropy(x[:2], i), False),
    ("multi_margin_loss", lambda x, i, s: F.multi_margin_loss(x[:2], i), False),
]
EVERY = {c[0]: c for c in (*CASES, *LABELS)}
WAYS = [(name, how) for name in EVERY for how in ("known", "debug")] + [
    (name, how) for name in ("gather", "scatter_add", "x[index]", "cross_entropy")
    for how in ("late", "captured", "vmap")
]  # fmt: skip


def at(how: str, function: Callable[[Any, Any, Any], Any], index: list[int]) -> Any:
    """What it gives, on one of the ways through the house."""
    x, source = gu.arange(12.0).reshape(3, 4), gu.arange(8.0).reshape(2, 4) + 20
    i = gu.tensor(index) if how == "known" else gu.tensor(index) * 1
    with gu.debug() if how == "debug" else nullcontext():
        if how == "captured":
            return gu.jit(lambda x, i, s: function(x, i, s))(x, i, source).tolist()
        if how == "vmap":
            mapped = gu.vmap(function, in_dims=(None, 0, None))
            return mapped(x, gu.stack([i, i]), source)[1].tolist()
        return function(x, i, source).tolist()


@pytest.fixture(autouse=True)
def engine() -> str:
    """Each test says what it runs on."""
    return "compiled"


@pytest.mark.parametrize(("name", "how"), WAYS)
def test_minus_one_counts_from_the_back_or_is_an_error(name: str, how: str) -> None:
    _, function, back = EVERY[name]
    if back:
        flat = name in ("take", "put")
        assert at(how, function, [0, -1]) == at(how, function, [0, 11 if flat else 2])
        return
    with pytest.raises(IndexError, match=r"0 to \d"):
        at(how, function, [0, -1])


@pytest.mark.peers
@pytest.mark.parametrize("case", CASES, ids=[c[0] for c in CASES])
def test_as_in_pytorch(case: Any) -> None:
    import torch

    _, function, back = case
    x, source = torch.arange(12.0).reshape(3, 4), torch.arange(8.0).reshape(2, 4) + 20
    if back:
        assert at("late", function, [0, -1]) == function(x, torch.tensor([0, -1]), source).tolist()
        return
    with pytest.raises((IndexError, RuntimeError)):
        function(x, torch.tensor([0, -1]), source)


@pytest.mark.parametrize("bad", [-50, 50])
@pytest.mark.parametrize("how", ["late", "debug"])
@pytest.mark.parametrize("name", ["gather", "x[index]", "embedding", "cross_entropy"])
def test_a_derivative_alone_asks_its_indices(name: str, how: str, bad: int) -> None:
    """Nobody reads the loss: a label outside is an error of the gradient that it is for."""
    _, function, _ = EVERY[name]
    x = gu.arange(12.0).reshape(3, 4).realize().requires_grad_()

    def slope(i: gu.Tensor) -> gu.Tensor:
        (found,) = gu.autograd.grad(function(x, i, None).sum(), (x,))
        assert found is not None
        return found

    with gu.debug() if how == "debug" else nullcontext(), pytest.raises(IndexError) as e:
        slope(gu.tensor([0, bad]) * 1).tolist()
    assert str(bad) in str(e.value) or "a negative one shows as" in str(e.value)
