"""Hooks on gradients: when they are called, with what, in which order, as torch calls them."""

from typing import Any

import pytest

import groundup as gu

from .support import torch


def both(run: Any) -> None:
    """run(library, log) on both; equal logs."""
    logs = []
    for lib in (gu, torch()):
        log: list[Any] = []
        run(lib, lambda *what, log=log: log.append([w.tolist() if hasattr(w, "tolist") else w
                                                    for w in what]))  # fmt: skip
        logs.append(log)
    assert logs[0] == logs[1]
    assert logs[0]


@pytest.mark.peers
def test_order_and_what_goes_on() -> None:
    def run(lib: Any, log: Any) -> None:
        x = lib.tensor([1.0, 2.0], requires_grad=True)
        x.register_hook(lambda g: log("x", g))
        x.register_post_accumulate_grad_hook(lambda t: log("after", t is x, t.grad))
        y = x * 3
        y.register_hook(lambda g: log("y first", g))
        y.register_hook(lambda g: g * 10)
        handle = y.register_hook(lambda g: log("y third", g))
        z = y * y
        z.register_hook(lambda g: log("z", g))
        y.retain_grad()
        (z.sum() + y[0]).backward(retain_graph=True)
        log(x.grad, y.grad)
        handle.remove()
        handle.remove()
        (z.sum() + y[0]).backward(retain_graph=True)
        log(x.grad, y.grad)

    both(run)


@pytest.mark.peers
def test_complex_numbers() -> None:
    def run(lib: Any, log: Any) -> None:
        z = lib.tensor([1 + 2j, 3 - 1j], requires_grad=True)
        z.register_hook(lambda g: g * 2)
        w = z * z
        w.register_hook(lambda g: log(g))
        w.real.sum().backward()
        log(z.grad)

    both(run)


@pytest.mark.peers
def test_registered_after_use() -> None:
    def run(lib: Any, log: Any) -> None:
        x = lib.tensor([1.0, 2.0], requires_grad=True)
        y = x * 3
        loss = (y * y).sum()
        y.register_hook(lambda g: log("y", g))
        y.retain_grad()
        more = (y * 5).sum()
        x.register_hook(lambda g: log("x", g))
        (loss + more).backward()
        log(y.grad, x.grad)

    both(run)


@pytest.mark.peers
def test_a_hook_belongs_to_the_value_that_it_was_for() -> None:
    def run(lib: Any, log: Any) -> None:
        x = lib.tensor([1.0, 2.0], requires_grad=True)
        y = x * 3
        y.register_hook(lambda g: log("before the write", g))
        y.mul_(2)
        y.register_hook(lambda g: log("after the write", g))
        (y * 5).sum().backward()
        log(x.grad)
        a = lib.tensor([1.0, 2.0], requires_grad=True)
        b = a * 3
        b.retain_grad()
        b.mul_(2)
        (b * 5).sum().backward()
        log(a.grad, b.grad)

    both(run)


@pytest.mark.peers
def test_derivatives_without_grad_call_what_lies_between() -> None:
    def run(lib: Any, log: Any) -> None:
        ask = gu.derivatives if lib is gu else lib.autograd.grad
        x = lib.tensor([1.0, 2.0], requires_grad=True)
        w = lib.tensor([3.0, 4.0], requires_grad=True)
        w.register_hook(lambda g: log("w, which is not asked for"))
        x.register_hook(lambda g: log("x", g))
        x.register_post_accumulate_grad_hook(lambda t: log("nothing accumulates"))
        y = x * w
        y.register_hook(lambda g: g * 2)
        u = w * 2
        u.register_hook(lambda g: log("u, beside the way"))
        (g,) = ask((y * u).sum(), [x])
        log(g)
        (g,) = ask((y * u).sum(), [y])
        log(g)
        log(w.grad, x.grad)

    both(run)


@pytest.mark.peers
def test_hooks_of_second_derivatives() -> None:
    def run(lib: Any, log: Any) -> None:
        x = lib.tensor([1.0, 2.0], requires_grad=True)
        y = x**3
        y.register_hook(lambda g: log(g.requires_grad, g) or g * x)
        y.sum().backward(create_graph=True)
        g, x.grad = x.grad, None
        log(g.detach())
        g.sum().backward()
        log(x.grad)

    both(run)


@pytest.mark.peers
def test_a_step_in_a_hook_after_accumulation() -> None:
    def run(lib: Any, log: Any) -> None:
        w = lib.tensor([1.0, 2.0], requires_grad=True)

        def step(t: Any) -> None:
            with lib.no_grad():
                t -= 0.5 * t.grad
            t.grad = None

        w.register_post_accumulate_grad_hook(step)
        for _ in range(3):
            (w * w).sum().backward()
            log(w.detach(), w.grad)

    both(run)


def test_what_is_shared_is_told_apart_or_refused() -> None:
    x = gu.tensor([1.0, 2.0], requires_grad=True)
    a, b = x * 2, x * 2  # one expression, two tensors
    seen: list[Any] = []
    a.register_hook(lambda g: seen.append(g.tolist()))
    (a * 3 + b * 5).sum().backward()
    assert seen == [[3.0, 3.0]]
    c, d = x * 4, x * 4
    loss = (c * 3 + d * 5).sum()
    for ask in (lambda: c.register_hook(print), c.retain_grad, lambda: gu.derivatives(loss, c)):
        with pytest.raises(gu.GradError, match="another"):
            ask()


def test_views() -> None:
    x = gu.tensor([1.0, 2.0, 3.0], requires_grad=True)
    seen: list[Any] = []
    y = x * 2
    part = y[1:]
    y.register_hook(lambda g: seen.append(("whole", g.tolist())))
    part.register_hook(lambda g: seen.append(("part", g.tolist())))
    (part[0] * 5 + y[0]).backward()
    assert seen == [("part", [5.0, 0.0]), ("whole", [1.0, 5.0, 0.0])]
    piece = part[0]
    other = y[:2]
    element = other[0]
    with pytest.raises(gu.GradError, match="has been used before"):
        other.register_hook(print)
    assert element.item() == 2.0
    piece.register_hook(lambda g: g * 0)
    x.grad = None
    piece.backward()
    assert x.grad is not None
    assert x.grad.tolist() == [0.0, 0.0, 0.0]


def test_captured_functions_see_hooks_come_and_go() -> None:
    w = gu.tensor([1.0, 2.0], requires_grad=True)
    factor = {"by": 2.0}

    @gu.jit
    def slope(x: gu.Tensor) -> gu.Tensor:
        w.grad = None
        y = w * x
        y.register_hook(lambda g: g * 3)
        y.sum().backward()
        assert w.grad is not None
        return w.grad

    x = gu.tensor([1.0, 10.0])

    def now() -> list[list[float]]:
        return [slope(x).tolist() for _ in range(3)]

    assert now() == [[3.0, 30.0]] * 3
    handle = w.register_hook(lambda g: g * factor["by"])
    assert now() == [[6.0, 60.0]] * 3
    factor["by"] = 4.0
    assert now() == [[12.0, 120.0]] * 3
    handle.remove()
    assert now() == [[3.0, 30.0]] * 3


def test_functions_of_functions() -> None:
    def f(x: gu.Tensor) -> gu.Tensor:
        y = x * x
        y.register_hook(lambda g: g * 10)
        return y.sum()

    x = gu.tensor([1.0, 2.0])
    assert gu.grad(f)(x).tolist() == [20.0, 40.0]
    assert gu.vmap(gu.grad(f))(gu.stack([x, x])).tolist() == [[20.0, 40.0]] * 2
    assert gu.jvp(f, (x,), (x,))[1].item() == 10.0  # forward mode passes no hook
    with pytest.raises(gu.GradError, match="registers a hook on a tensor of one element"):
        gu.vmap(f)(gu.stack([x, x]).requires_grad_())


def test_errors() -> None:
    x = gu.tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(gu.GradError, match="does not require grad"):
        gu.ones(2).register_hook(print)
    with pytest.raises(gu.GradError, match="only a leaf"):
        (x * 2).register_post_accumulate_grad_hook(print)
    for hook, kind, text in (
        (lambda g: 3.0, TypeError, "a tensor, .* or None, not a float"),
        (lambda g: g.sum(), gu.ShapeError, "of the shape that it was given"),
        (lambda g: g.double(), TypeError, "float32, not float64"),
    ):
        with x.register_hook(hook), pytest.raises(kind, match=text):
            x.sum().backward()
    x.sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [1.0, 1.0]
