"""The smaller methods of a tensor, in place and by the likes of another, as torch has them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest

import groundup as gu
from groundup.tensor.renamed import Renamed

from .support import compare, same, sample, torch

pytestmark = pytest.mark.peers

LIKES: dict[str, Callable[..., Any]] = {
    "view_as": lambda lib, x, y: x.view_as(y.reshape(4, 3)),
    "reshape_as": lambda lib, x, y: x.t().reshape_as(y.reshape(2, 6)),
    "expand_as": lambda lib, x, y: x[:1].expand_as(y),
    "type_as": lambda lib, x, y: x.double().type_as(y),
    "new_zeros": lambda lib, x, y: x.new_zeros(2, 3),
    "new_ones": lambda lib, x, y: x.new_ones((2, 3)),
    "new_full": lambda lib, x, y: x.new_full((2,), 1.5),
    "ravel": lambda lib, x, y: x.t().ravel(),
    "logical_xor": lambda lib, x, y: (x > 0).logical_xor(y > 0),
    "floor_divide": lambda lib, x, y: x.detach().floor_divide(y.detach().abs() + 1),
    "masked_select": lambda lib, x, y: x.detach().masked_select(y > 0),
    "var: unbiased": lambda lib, x, y: x.var(0, False),
    "var: all": lambda lib, x, y: x.var(False),
    "std: keepdim": lambda lib, x, y: x.std(1, True, True),
    "std: correction": lambda lib, x, y: x.std(1, correction=2),
    "div: floor": lambda lib, x, y: x.detach().div(y.detach(), rounding_mode="floor"),
    "div: trunc": lambda lib, x, y: x.detach().div(0.3, rounding_mode="trunc"),
    "round: decimals": lambda lib, x, y: x.detach().round(decimals=1),
    "add: a number": lambda lib, x, y: lib.add(x, 2, alpha=3) + x.add(2, alpha=3),
    "sub: a number": lambda lib, x, y: lib.sub(x, 2, alpha=3) + x.sub(2, alpha=3),
}

IN_PLACE: dict[str, Callable[..., Any]] = {
    "add_": lambda x, y: x.add_(y, alpha=2),
    "sub_": lambda x, y: x.sub_(y),
    "mul_": lambda x, y: x.mul_(y),
    "div_": lambda x, y: x.div_(y.abs() + 1),
    "pow_": lambda x, y: x.pow_(2),
    "addcmul_": lambda x, y: x.addcmul_(y, y, value=0.5),
    "addcdiv_": lambda x, y: x.addcdiv_(y, y.abs() + 1, value=0.5),
    "clamp_": lambda x, y: x.clamp_(-0.5, 0.5),
    "clamp_min_": lambda x, y: x.clamp_min_(0.1),
    "clamp_max_": lambda x, y: x.clamp_max_(0.1),
    "zero_": lambda x, y: x.zero_(),
    "fill_": lambda x, y: x.fill_(2.5),
    "copy_": lambda x, y: x.copy_(y),
    "+=": lambda x, y: x.__iadd__(y),
    "-=": lambda x, y: x.__isub__(y),
    "*=": lambda x, y: x.__imul__(2),
    "/=": lambda x, y: x.__itruediv__(4),
}


@pytest.mark.parametrize("name", LIKES)
def test_by_the_likes_of_another(name: str) -> None:
    compare(LIKES[name], sample((3, 4)), sample((3, 4), seed=1))


@pytest.mark.parametrize("name", IN_PLACE)
def test_in_place_on_a_view(name: str) -> None:
    """The same object comes back, and its base and another view of it see what was written."""

    def run(lib: Any, tensor: Callable[[Any], Any]) -> list[Any]:
        base, y = tensor(sample((4, 6))), tensor(sample((3, 3), seed=1))
        other, part = base.t()[2:], base[1:, ::2]
        before = (base * 1).sum(0)  # pending: the values of now
        assert IN_PLACE[name](part, y) is part
        return [base, other, part, before]

    same(run(gu, gu.from_numpy), run(torch(), lambda a: torch().from_numpy(a.copy())))


@pytest.mark.parametrize("name", IN_PLACE)
def test_derivative_of_in_place(name: str) -> None:
    def written(lib: Any, x: Any, y: Any) -> Any:
        z = x * 1
        IN_PLACE[name](z[1:], y[1:])
        return z

    compare(written, sample((3, 4)), sample((3, 4), seed=1))


def test_what_a_tensor_says_of_itself() -> None:
    for dtype in ("float32", "float64", "int64", "uint8", "bool"):
        ours = gu.zeros(2, dtype=getattr(gu, dtype))
        theirs = torch().zeros(2, dtype=getattr(torch(), dtype))
        assert ours.is_floating_point() == theirs.is_floating_point()
        assert ours.element_size() == theirs.element_size()
        assert str(ours.device) == str(theirs.device) == "cpu"
    x = gu.ones(2, requires_grad=True)
    y = (x * 2).detach_()
    assert y.is_leaf and not y.requires_grad and y.tolist() == [2.0, 2.0]


def test_a_method_takes_what_the_function_of_its_name_takes() -> None:
    def optional(f: Callable[..., Any]) -> list[str]:
        return [n for n, p in inspect.signature(f).parameters.items() if p.default is not p.empty]

    public = import_module("groundup.tensor").__all__
    both = [n for n in public if callable(getattr(gu, n)) and callable(getattr(gu.Tensor, n, 0))]
    assert len(both) > 200
    # Overloads, axes given one by one; reshape's function has a name for its errors.
    loose = {"max", "min", "reshape", "permute", "flip", "where"}
    # Second names hand on whatever they are given.
    passing = {n for n in both if n in vars(Renamed) and getattr(gu.Tensor, n).__doc__[0] == "`"}
    for name in set(both) - loose - passing:
        assert optional(getattr(gu.Tensor, name)) == optional(getattr(gu, name)), name


def test_an_alpha_that_integers_cannot_hold_is_refused() -> None:
    x, t = gu.tensor([1, 2]), torch().tensor([1, 2])
    for name in ("add", "sub"):
        with pytest.raises(RuntimeError, match="alpha must not be a floating point"):
            getattr(t, name)(t, alpha=0.5)
        with pytest.raises(TypeError, match=f"{name}: alpha 0.5 of integers"):
            getattr(x, name)(x, alpha=0.5)
