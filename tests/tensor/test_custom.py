"""gu.custom_derivative: the derivative that is given is the one that is used, to any order."""

import re
from typing import Any

import numpy as np
import pytest

import groundup as gu


@gu.custom_derivative
def cube(x: gu.Tensor) -> gu.Tensor:
    return x * x * x


@cube.derivative
def _(g: gu.Tensor, y: gu.Tensor, x: gu.Tensor) -> gu.Tensor:
    return 3 * x * x * g


@gu.custom_derivative
def through_numpy(x: gu.Tensor) -> gu.Tensor:
    return gu.from_numpy(np.exp(x.numpy()))


@through_numpy.derivative
def _(g: gu.Tensor, y: gu.Tensor, x: gu.Tensor) -> gu.Tensor:
    return g * y


@gu.custom_derivative
def polar(x: gu.Tensor, y: gu.Tensor, scale: float = 1.0) -> tuple[gu.Tensor, gu.Tensor]:
    return (x * x + y * y).sqrt() * scale, y / x


@polar.derivative
def _(g: Any, results: Any, x: gu.Tensor, y: gu.Tensor, scale: float = 1.0) -> Any:
    r, _ = results
    along = g[0] * scale * scale / r
    return along * x - g[1] * y / (x * x), along * y + g[1] / x


def slope(f: Any, order: int) -> Any:
    for _ in range(order):
        f = gu.grad(lambda t, f=f: f(t).sum())
    return f


@pytest.mark.parametrize("order, want", [(0, [8, 27]), (1, [12, 27]), (2, [12, 18]), (3, [6, 6])])
def test_derivatives_of_any_order(order: int, want: list[float]) -> None:
    assert slope(cube, order)(gu.tensor([2.0, 3.0])).tolist() == want


@pytest.mark.parametrize("order", [0, 1, 2, 3])
def test_a_function_of_numpy(order: int) -> None:
    x = gu.tensor([0.5, -1.0], dtype=gu.float64)
    got = slope(through_numpy, order)(x).numpy()
    np.testing.assert_allclose(got, np.exp([0.5, -1.0]), rtol=1e-15)


def test_the_given_one_is_used_not_the_true_one() -> None:
    @gu.custom_derivative
    def flat(x: gu.Tensor) -> gu.Tensor:
        return x.round()

    @flat.derivative
    def _(g: gu.Tensor, y: gu.Tensor, x: gu.Tensor) -> gu.Tensor:
        return g * y

    x = gu.tensor([1.4, 2.6], requires_grad=True)
    (flat(x * 2) * 3).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [18.0, 30.0]


def test_several_results_and_arguments() -> None:
    a = gu.tensor([3.0, 1.0], dtype=gu.float64, requires_grad=True)
    b = gu.tensor([4.0, 2.0], dtype=gu.float64, requires_grad=True)

    def plain(x: gu.Tensor, y: gu.Tensor) -> list[gu.Tensor]:
        return [(x * x + y * y).sqrt() * 2.0, y / x]

    for pick in ((0,), (1,), (0, 1)):
        got: list[gu.Tensor] = list(polar(a, b, scale=2.0))
        want = plain(a, b)
        for order in (1, 2):
            more = order == 1
            got = [*gu.derivatives(sum((got[k] ** 3).sum() for k in range(len(got)) if order == 2
                                       or k in pick), [a, b], create_graph=more)]  # fmt: skip
            want = [*gu.derivatives(sum((want[k] ** 3).sum() for k in range(len(want)) if order == 2
                                        or k in pick), [a, b], create_graph=more)]  # fmt: skip
            for m, w in zip(got, want, strict=True):
                np.testing.assert_allclose(m.detach().numpy(), w.detach().numpy(), rtol=1e-12)


def test_the_rule_is_asked_once_for_all_results() -> None:
    asked = []

    @gu.custom_derivative
    def two(x: gu.Tensor) -> tuple[gu.Tensor, gu.Tensor]:
        return x + 1, x * 2

    @two.derivative
    def _(g: Any, y: Any, x: gu.Tensor) -> gu.Tensor:
        asked.append([t.tolist() for t in g])
        return g[0] + 2 * g[1]

    x = gu.tensor([1.0, 2.0], requires_grad=True)
    a, b = two(x)
    (a * 3 + b * a).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [9.0, 13.0]
    assert asked == [[[5.0, 7.0], [2.0, 3.0]]]
    (only, _) = two(x)
    only.sum().backward()
    assert asked[1] == [[1.0, 1.0], [0.0, 0.0]]


def test_none_is_zero_and_a_mixture_of_arguments_is_kept_apart() -> None:
    @gu.custom_derivative
    def scaled(factor: float, x: gu.Tensor, label: str, y: gu.Tensor) -> gu.Tensor:
        return x * factor + y

    @scaled.derivative
    def _(g: gu.Tensor, out: gu.Tensor, factor: float, x: Any, label: str, y: Any) -> Any:
        assert label == "here"
        return g * factor, None

    x, y = (gu.tensor([1.0], requires_grad=True) for _ in range(2))
    scaled(3.0, x, "here", y).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [3.0]
    assert y.grad is None or y.grad.tolist() == [0.0]


def test_without_grad_mode_it_is_the_function() -> None:
    x = gu.ones(2, requires_grad=True)
    with gu.no_grad():
        assert not cube(x).requires_grad
    assert not cube(x.detach()).requires_grad
    assert cube(x).requires_grad


def test_captured() -> None:
    @gu.jit
    def slopes(x: gu.Tensor) -> gu.Tensor:
        return slope(cube, 2)(x) + slope(cube, 1)(x)

    for n in (3, 3, 3, 5):
        x = gu.randn(n, 2)
        np.testing.assert_allclose(
            slopes(x).numpy(), (6 * x + 3 * x * x).numpy(), rtol=1e-6, atol=1e-6
        )


def test_a_function_that_asks_for_values_is_refused_by_jit(engine: str) -> None:
    captured = gu.jit(through_numpy)
    if engine == "python":  # a captured function runs as it is written
        assert captured(gu.zeros(1)).tolist() == [1.0]
        return
    with pytest.raises(RuntimeError, match="asks for a value while jit captures"):
        captured(gu.ones(2))


def test_jit_sees_another_constant_in_the_derivative() -> None:
    settings = {"factor": 2.0}

    @gu.custom_derivative
    def f(x: gu.Tensor) -> gu.Tensor:
        return x * 1

    @f.derivative
    def _(g: gu.Tensor, y: gu.Tensor, x: gu.Tensor) -> gu.Tensor:
        return g * settings["factor"]

    captured = gu.jit(lambda x: slope(f, 1)(x))
    x = gu.ones(1)
    assert [captured(x).item() for _ in range(3)] == [2.0, 2.0, 2.0]
    settings["factor"] = 5.0
    assert captured(x).item() == 5.0


def test_errors() -> None:
    x = gu.ones(2, requires_grad=True)
    w = gu.ones(2, requires_grad=True)

    @gu.custom_derivative
    def reads_another(x: gu.Tensor) -> gu.Tensor:
        return x * w

    with pytest.raises(gu.GradError, match="reads_another has no derivative yet"):
        reads_another(x)
    reads_another.derivative(lambda g, y, x: g)
    with pytest.raises(gu.GradError, match="depends on a tensor that requires grad and is no arg"):
        reads_another(x)
    with pytest.raises(TypeError, match="cube: the tensor x is given by name"):
        cube(x=x)

    @gu.custom_derivative
    def number(x: gu.Tensor) -> Any:
        return 3

    number.derivative(lambda g, y, x: g)
    with pytest.raises(TypeError, match="gives a tensor or a tuple of tensors, not a int"):
        number(x)


@pytest.mark.parametrize("gradient, error", [
    (lambda g: g.sum(), "a gradient has the shape"),
    (lambda g: g.double(), "the gradient of a float32 tensor is float32, not float64"),
    (lambda g: 1.0, "a gradient is a tensor or None, not a float"),
    (lambda g: (g, g), "gave 2 gradients for 1 tensors"),
])  # fmt: skip
def test_a_wrong_gradient_is_refused(gradient: Any, error: str) -> None:
    @gu.custom_derivative
    def wrong(x: gu.Tensor) -> gu.Tensor:
        return x * 1

    wrong.derivative(lambda g, y, x: gradient(g))
    x = gu.ones(2, requires_grad=True)
    with pytest.raises((RuntimeError, TypeError), match=f"wrong: .*{error}"):
        wrong(x).sum().backward()


def test_detach_of_a_nested_place_of_derivatives_stops_all_of_them() -> None:
    inner = gu.grad(lambda q: (q.detach() * q).sum())
    assert inner(gu.tensor([3.0])).tolist() == [3.0]
    assert gu.grad(lambda z: inner(z).sum())(gu.tensor([3.0])).tolist() == [0.0]


def test_explain_shows_the_function() -> None:
    text = str(gu.explain(cube(gu.ones(3, requires_grad=True) * 2).sum()))
    assert re.search(r"\w+: cube\(\w+\), with a derivative of its own", text)
    assert re.search(r"\w+: float32\[3\] = \w+, result 0 of \w+", text)
