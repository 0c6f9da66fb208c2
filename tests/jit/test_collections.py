"""Lists, tuples and dictionaries of users' classes, whose attributes count; captured methods; and
objects of one form, each of which gets what is its own."""

from __future__ import annotations

import functools
from typing import Any

import pytest

import groundup as gu
from groundup import nn

from .scenarios import as_plain, refused, row, values


class Rows(list[Any]):
    scale = 1.0


class Named(dict[str, Any]):
    scale = 1.0


class Pair(tuple[Any, ...]):
    scale = 1.0


class Open(dict[str, Any]):
    """Its items are its attributes."""

    def __init__(self, **items: Any) -> None:
        super().__init__(**items)
        self.__dict__ = self


def collections(**items: Any) -> list[Any]:
    return [Rows(items.values()), Named(items), Pair(items.values())]


def first(value: Any) -> Any:
    return next(iter(value.values() if isinstance(value, dict) else value))


@as_plain
def test_an_attribute_of_a_collection_that_is_given_counts(jit: Any) -> Any:
    g = jit(lambda c: first(c) * c.scale)
    seen = []
    for c in collections(a=row(1, 2)):
        for scale in (1.0, 2.0, 2.0, 2.0, 3.0):
            c.scale = scale
            seen.append(values(g(c)))
    return seen


@as_plain
def test_an_attribute_of_a_collection_that_is_reached_counts(jit: Any) -> Any:
    seen = []
    for c in collections(a=row(1, 2)):
        g = jit(lambda c=c: first(c) * c.scale)
        for scale in (1.0, 2.0, 2.0, 2.0, 3.0):
            c.scale = scale
            seen.append(values(g()))
    return seen


@as_plain
def test_an_attribute_of_a_collection_is_written_at_each_call(jit: Any) -> Any:
    seen = []
    for c in collections(a=row(1, 2)):

        def write(x: gu.Tensor, c: Any = c) -> gu.Tensor:
            c.scale = x * 2
            return x

        g = jit(write)
        for i in range(4):
            g(row(i))
            seen.append(values(c.scale))
    return seen


@as_plain
def test_a_dictionary_whose_items_are_its_attributes(jit: Any) -> Any:
    g = jit(lambda d: Open(twice=d.x * 2))
    found = [g(Open(x=row(i))) for i in range(4)]
    return [(values(d["twice"]), values(d.twice)) for d in found]


@pytest.mark.parametrize("kind", [Rows, Named, Pair])
def test_a_collection_with_attributes_is_not_given_back_without_them(kind: Any) -> None:
    @refused("has attributes beside its items")
    def given(jit: Any) -> Any:
        def f(x: gu.Tensor) -> Any:
            c = kind(a=x) if kind is Named else kind([x])
            c.scale = x * 3
            return c

        return values(jit(f)(row(1)))

    given()


class Scaled(nn.Module):
    def __init__(self, by: float) -> None:
        super().__init__()
        self.w = nn.Parameter(gu.full((2,), by))
        self.last: Any = None

    def plain(self, x: gu.Tensor) -> gu.Tensor:
        print("run")
        self.zero_grad()
        loss = ((x * self.w) ** 2).sum()
        loss.backward()
        with gu.no_grad():
            assert self.w.grad is not None
            self.w.sub_(0.125 * self.w.grad)
        self.last = x * 2
        return loss

    step = gu.jit(plain)


def test_a_method_is_captured_once_for_all_calls(capsys: pytest.CaptureFixture[str]) -> None:
    mine, other = [Scaled(1.0), Scaled(3.0)], [Scaled(1.0), Scaled(3.0)]
    for i in range(5):
        x = row(i, 1)
        for a, b in zip(mine, other, strict=True):
            assert values(a.step(x)) == values(b.plain(x))
            assert values(a.w) == values(b.w) and values(a.last) == values(b.last)
    assert capsys.readouterr().out.count("run") < 10 + 5
    assert values(gu.jit(mine[0].step)(x)) == values(other[0].plain(x))
    assert "loops" in dict(gu.explain(mine[0].step).stages)


class Box:
    """Something that a function looks into."""

    def __init__(self, number: float) -> None:
        self.w = row(number, 1).requires_grad_()
        self.last: Any = None
        self.log = [None, {"n": row(number)}]


@as_plain
def test_objects_of_one_form_take_turns(jit: Any) -> Any:
    other = Box(5)

    def step(box: Box, x: gu.Tensor) -> Any:
        box.w.grad = None
        (box.w * x).sum().backward()
        box.last = x * 2
        box.log[0] = box.last + 1
        box.log[1]["n"] = box.log[1]["n"] + x.sum()
        box.log[1]["new"] = x - 1
        return box, box.log[1]

    g = jit(step)
    boxes = [Box(1), Box(2)]
    seen = []
    for i in range(5):
        for k, box in enumerate((*boxes, Box(9))):
            found, log = g(box, row(i, k))
            assert found is box and log is box.log[1]
            seen += [values([b.w, b.w.grad, b.last, b.log]) for b in (box, boxes[0])]
    return seen, values(other.log)


class Holder:
    def __init__(self, box: Any) -> None:
        self.box = box

    def itself(self) -> Any:
        return self.box


@as_plain
def test_what_holds_an_object_holds_that_of_the_call(jit: Any) -> Any:
    def step(holder: Any, x: gu.Tensor) -> Any:
        holder.last = holder.itself
        named = Named(x=x)
        named.scale = holder
        return (
            Holder(holder), holder.itself, lambda: holder, functools.partial(id, holder),
            frozenset([holder]), named, x,
        )  # fmt: skip

    g = jit(step)
    holders = [Holder(1.0), Holder(1.0), Holder(1.0)]
    seen = []
    for _ in range(4):
        for h in holders:
            h.last = None
            made, method, function, partial, group, named, _ = g(h, row(1))
            seen.append([made.box is h, method.__self__ is h, function() is h, h in group,
                         partial.args[0] is h, named.scale is h, h.last.__self__ is h])  # fmt: skip
    assert all(map(all, seen))
    return seen


@as_plain
def test_an_object_that_is_replaced_is_written_no_more(jit: Any) -> Any:
    state: Any = {}
    held: Any = None

    def step(x: gu.Tensor) -> gu.Tensor:
        nonlocal held
        state["h"]["sum"] = state["h"]["sum"] + x
        held = state["h"]["sum"] * 2
        return x

    g = jit(step)
    seen, olds = [], []
    for i in range(6):
        if i % 2 == 0:
            state["h"] = {"sum": row(0)}
            olds.append(state["h"])
        g(row(i))
        seen.append(values([held, *olds]))
    return seen


@as_plain
def test_functions_of_one_form_write_to_variables_of_their_own(jit: Any) -> Any:
    def made() -> tuple[Any, Any]:
        last: Any = None

        def write(x: gu.Tensor) -> gu.Tensor:
            nonlocal last
            last = x * 2
            return x

        return write, lambda: values(last)

    pairs = [made() for _ in range(3)]
    g = jit(lambda f, x: f(x))
    seen = []
    for i in range(4):
        for k, (write, _) in enumerate(pairs):
            g(write, row(i, k))
            seen.append([look() for _, look in pairs])
    return seen


@as_plain
def test_the_order_of_a_dictionary_counts(jit: Any) -> Any:
    table = {"a": 2.0, "b": row(3, 4), 3: 4.0}
    chain = nn.Sequential(Scaled(1.0), Scaled(3.0))
    g = jit(lambda x: [x * v for v in table.values()])
    names = jit(lambda x: [x * len(n) for n in vars(chain)])
    seen = []
    for i in range(210):
        if i % 70 == 2:
            key = next(iter(table))
            table[key] = table.pop(key)
            training = chain.training
            del chain.training
            chain.training = training
        seen.append(values([g(row(i, 1)), names(row(i))]))
    return seen
