"""gu.vjp, gu.jvp, gu.jacrev, gu.jacfwd, gu.hessian, gu.grad: against torch.func, to any order."""

import math
from typing import Any

import numpy as np
import pytest

import groundup as gu

from .support import same, sample, torch
from .transformed import CASES

NAMES = [pytest.param(n, marks=[] if c.quick else pytest.mark.slow) for n, c in CASES.items()]


def t64(*values: float) -> gu.Tensor:
    return gu.tensor(list(values), dtype=gu.float64)


@pytest.mark.peers
@pytest.mark.parametrize("name", NAMES)
def test_jacobians_both_ways(name: str) -> None:
    case = CASES[name]
    a = case.array()
    x, y = gu.from_numpy(a), torch().tensor(a)
    # torch maps some derivatives wrongly, or not at all: one row after another.
    want = torch().autograd.functional.jacobian(case.theirs, y)
    same(gu.jacrev(case.ours)(x), want, 1e-9, 1e-9)
    same(gu.jacfwd(case.ours)(x), want, 1e-9, 1e-9)


@pytest.mark.peers
@pytest.mark.parametrize("name", [
    "pointwise", "prod of zeros", "solve",
    *(pytest.param(n, marks=pytest.mark.slow)
      for n in ("softmax", "cumprod", "matrix_exp", "writes", "max")),
])  # fmt: skip
def test_second_derivatives_all_four_ways(name: str) -> None:
    case = CASES[name]
    a = case.array()
    weights = sample(np.shape(case.ours(gu.from_numpy(a)).tolist()), "float64", 5)

    def ours(x: Any) -> Any:
        return (case.ours(x).sin() * gu.from_numpy(weights)).sum()

    def theirs(x: Any) -> Any:
        return (case.theirs(x).sin() * torch().tensor(weights)).sum()

    want = torch().autograd.functional.hessian(theirs, torch().tensor(a))
    x = gu.from_numpy(a)
    ways = [gu.hessian(ours), gu.jacrev(gu.jacfwd(ours)), gu.jacfwd(gu.jacfwd(ours)),
            gu.jacrev(gu.jacrev(ours))]  # fmt: skip
    for way in ways:
        same(way(x), want, 1e-8, 1e-8)


@pytest.mark.peers
def test_trees_as_torch_builds_them() -> None:
    lib = torch()

    def f(d: Any, z: Any) -> Any:
        return {"a": d["p"] ** 2 * z[0], "b": (d["p"].sum() * d["q"], z[0] * 3)}

    a, b, c = (sample(s, "float64", k) for k, s in enumerate([(2,), (), (2,)]))
    ours = ({"p": gu.from_numpy(a), "q": gu.from_numpy(b)}, [gu.from_numpy(c)])
    theirs = ({"p": lib.tensor(a), "q": lib.tensor(b)}, [lib.tensor(c)])

    def agree(x: Any, y: Any) -> None:
        if isinstance(y, dict):
            assert list(x) == list(y)
            agree(list(x.values()), list(y.values()))
        elif isinstance(y, list | tuple):
            assert len(x) == len(y) and isinstance(x, tuple) == isinstance(y, tuple)
            for p, q in zip(x, y, strict=True):
                agree(p, q)
        else:
            same(x, y)

    for name in ("jacrev", "jacfwd"):
        for argnums in (0, 1, (0, 1), (1,)):
            agree(
                getattr(gu, name)(f, argnums)(*ours), getattr(lib.func, name)(f, argnums)(*theirs)
            )
    value, pull = gu.vjp(f, *ours)
    his, torchs = lib.func.vjp(f, *theirs)
    agree(value, his)
    agree(pull(value), torchs(his))
    agree(gu.jvp(f, ours, ours), lib.func.jvp(f, theirs, theirs))
    agree(gu.linearize(f, *ours)[1](*ours), lib.func.linearize(f, *theirs)[1](*theirs))


@pytest.mark.peers
def test_grad_with_aux_and_several_arguments() -> None:
    def f(x: Any, y: Any, *, scale: float = 1.0) -> Any:
        z = x * y * scale
        return z.sum(), {"z": z, "scale": scale}

    x, y = t64(1.0, 2.0), t64(3.0, 5.0)
    (dx, dy), aux = gu.grad(f, (0, 1), has_aux=True)(x, y, scale=2.0)
    assert (dx.tolist(), dy.tolist()) == ([6.0, 10.0], [2.0, 4.0])
    assert aux["z"].tolist() == [6.0, 20.0] and not aux["z"].requires_grad and aux["scale"] == 2.0
    slope, (value, _) = gu.grad_and_value(f, -1, has_aux=True)(x, y)
    assert slope.tolist() == [1.0, 2.0] and value.item() == 13.0
    assert gu.grad(lambda d: (d["w"] * d["b"]).sum())({"w": x, "b": y})["w"].tolist() == [3.0, 5.0]
    assert gu.jacrev(f, has_aux=True)(x, y)[1]["z"].tolist() == [3.0, 10.0]
    assert gu.jacfwd(f, has_aux=True)(x, y)[1]["z"].tolist() == [3.0, 10.0]
    assert gu.vjp(f, x, y, has_aux=True)[2]["z"].tolist() == [3.0, 10.0]
    value, along, aux = gu.jvp(f, (x, y), (y, x), has_aux=True)
    assert along.item() == 39.0 and aux["z"].tolist() == [3.0, 10.0]


def test_history_of_what_a_function_reaches_is_kept() -> None:
    """A gradient penalty: the derivative by x depends on w, which outer derivatives go to."""
    w = gu.tensor([1.0, 2.0], requires_grad=True)
    x = gu.tensor([3.0, 4.0])
    slope = gu.grad(lambda x: (x * x * w).sum())(x)
    assert slope.requires_grad
    (w.sum() + slope.sum()).backward()
    assert w.grad is not None
    assert w.grad.tolist() == [7.0, 9.0]
    value, along = gu.jvp(lambda x: x * w, (x,), (x,))
    assert value.requires_grad and along.requires_grad
    assert not gu.grad(lambda x: (x * x * w.detach()).sum())(x).requires_grad
    assert not gu.hessian(lambda x: (x**3).sum())(x).requires_grad
    with gu.no_grad():
        inside = gu.grad(lambda x: (x * x * w).sum())(x)
    assert inside.tolist() == [6.0, 16.0] and not inside.requires_grad
    assert gu.grad(lambda x: gu.jvp(lambda y: (y**3).sum(), (x,), (x,))[1])(x).tolist() == [81, 144]


def test_perturbations_are_not_confused() -> None:
    """d/dx (x · d/dy (x + y)) at y = 1 is 1: the inner direction is not the outer one."""
    one = gu.tensor(1.0)

    def f(x: gu.Tensor) -> gu.Tensor:
        _, inner = gu.jvp(lambda y: x + y, (one,), (one,))
        return x * inner

    assert gu.jvp(f, (gu.tensor(3.0),), (one,))[1].item() == 1.0
    assert gu.grad(f)(gu.tensor(3.0)).item() == 1.0


def test_constants_flat_steps_and_values_asked_for() -> None:
    x = t64(1.5, -2.5)
    assert gu.jacfwd(lambda x: x.round())(x).tolist() == [[0.0, 0.0], [0.0, 0.0]]
    assert gu.jacrev(lambda x: gu.ones(3, dtype=gu.float64))(x).tolist() == [[0.0, 0.0]] * 3
    assert gu.jvp(lambda x: (x, x.argmax()), (x,), (x,))[1][1].dtype is gu.int64
    assert gu.jvp(lambda x: x.detach() * x, (x,), (t64(1.0, 1.0),))[1].tolist() == x.tolist()
    assert gu.grad(lambda x: x[0] * 2 if x[0].item() > 0 else x[1])(x).tolist() == [2.0, 0.0]
    assert gu.jacfwd(lambda x: x * 2 if x[0].item() > 0 else x)(x).tolist() == [[2, 0], [0, 2]]


@pytest.mark.peers
def test_nan_and_infinity_as_torch() -> None:
    lib = torch()
    values = [0.0, -0.0, 1.0, math.inf, -math.inf, math.nan, 2.5]
    for name in ("sqrt", "log", "abs", "tanh", "exp", "sign", "relu"):
        x, v = t64(*values), t64(*([1.0] * len(values)))
        got = gu.jvp(lambda x, name=name: getattr(x, name)(), (x,), (v,))[1]
        y = lib.tensor(values, dtype=lib.float64)
        want = lib.func.jvp(lambda x, name=name: getattr(x, name)(), (y,), (lib.ones_like(y),))[1]
        same(got, want, where=name)
    a, b = t64(1.0, math.nan, math.nan), lib.tensor([1.0, math.nan, math.nan], dtype=lib.float64)
    same(gu.jacfwd(lambda x: x.max(0)[0])(a), lib.func.jacrev(lambda x: x.max(0)[0])(b))


@pytest.mark.peers
def test_complex_numbers_as_torch() -> None:
    lib = torch()
    z, t = gu.tensor([1 + 2j, 3 - 1j]), lib.tensor([1 + 2j, 3 - 1j])

    def f(z: Any) -> Any:
        return z * z * z.conj()

    same_numbers = [
        (gu.grad(lambda z: f(z).real.sum())(z), lib.func.grad(lambda z: f(z).real.sum())(t)),
        (gu.vjp(f, z)[1](z)[0], lib.func.vjp(f, t)[1](t)[0]),
        (gu.jvp(f, (z,), (z * 1j,))[1], lib.func.jvp(f, (t,), (t * 1j,))[1]),
        (gu.vmap(lambda a: a * a.sum(), 1, -1)(gu.stack([z, z * 2])),
         lib.vmap(lambda a: a * a.sum(), 1, -1)(lib.stack([t, t * 2]))),
    ]  # fmt: skip
    for ours, theirs in same_numbers:
        assert ours.tolist() == theirs.tolist()
    with pytest.raises(gu.GradError, match="view_as_real"):
        gu.jacrev(f)(z)
    with pytest.raises(gu.GradError, match="one real number, not complex64"):
        gu.grad(lambda z: f(z).sum())(z)


def test_half_precision_keeps_its_type() -> None:
    for dtype in (gu.bfloat16, gu.float16):
        x = gu.tensor([1.0, 2.0, 3.0], dtype=dtype)
        _, along = gu.jvp(lambda x: (x * x).sum(), (x,), (x,))
        assert along.dtype is dtype and along.item() == 28.0


def test_captured() -> None:
    @gu.jit
    def both(x: gu.Tensor, v: gu.Tensor) -> tuple[gu.Tensor, gu.Tensor]:
        return gu.jvp(lambda x: (x.exp() * x).sum(), (x,), (v,))[1], gu.hessian(
            lambda y: (y**3).sum()
        )(x[0])

    for n in (3, 3, 3, 5):
        x = gu.randn(n, 2)
        along, curve = both(x, x)
        np.testing.assert_allclose(along.item(), ((x + 1) * x * x.exp()).sum().item(), rtol=2e-5)
        np.testing.assert_allclose(curve.numpy(), np.diag(6 * x[0].numpy()), rtol=1e-5)
    f = gu.jit(lambda x: (x * x).sum())
    assert f(gu.tensor([3.0])).item() == 9.0
    assert gu.grad(f)(gu.tensor([3.0])).tolist() == [6.0]  # its own results have no history


def test_forward_mode_of_a_derivative_that_was_given() -> None:
    @gu.custom_derivative
    def cube(x: gu.Tensor, y: gu.Tensor) -> tuple[gu.Tensor, gu.Tensor]:
        return x * x * x, x * y

    @cube.derivative
    def _(g: Any, result: Any, x: gu.Tensor, y: gu.Tensor) -> Any:
        return 3 * x * x * g[0] + y * g[1], x * g[1]

    x, y = t64(2.0, 3.0), t64(5.0, 7.0)
    got = gu.jvp(lambda x, y: cube(x, y), (x, y), (y, x))[1]
    want = gu.jvp(lambda x, y: (x * x * x, x * y), (x, y), (y, x))[1]
    assert [g.tolist() for g in got] == [w.tolist() for w in want]
    assert gu.hessian(lambda x: cube(x, y)[0].sum())(x).tolist() == [[12.0, 0.0], [0.0, 18.0]]

    @gu.custom_derivative
    def clipped(x: gu.Tensor) -> gu.Tensor:
        return x * 1

    clipped.derivative(lambda g, y, x: g.clamp(-1, 1))
    with pytest.raises(gu.GradError, match="clipped: the derivative .* not linear in the gradient"):
        gu.jvp(clipped, (x,), (x,))


def test_errors() -> None:
    x = t64(1.0, 2.0)
    with pytest.raises(gu.ShapeError, match="one number, such as a loss"):
        gu.grad(lambda x: x * 2)(x)
    with pytest.raises(gu.GradError, match="floating tensors, not by int64"):
        gu.grad(lambda x: x.sum())(gu.tensor([1]))
    with pytest.raises(TypeError, match="by tensors, not by a float"):
        gu.vjp(lambda x: x, 1.0)
    with pytest.raises(ValueError, match="argnums says 2, of 1 arguments"):
        gu.grad(lambda x: x.sum(), 2)(x)
    with pytest.raises(TypeError, match="gives tensors .* not a float"):
        gu.vjp(lambda x: 3.0, x)
    with pytest.raises(gu.GradError, match="result of type int64 has no derivative"):
        gu.vjp(lambda x: x.argmax(), x)
    _, pull = gu.vjp(lambda x: (x, x), x)
    with pytest.raises(TypeError, match="built as they are"):
        pull(x)
    with pytest.raises(gu.ShapeError, match="has its shape"):
        pull((x, gu.ones(3, dtype=gu.float64)))
    with pytest.raises(TypeError, match="float64 tensor is float64, not float32"):
        gu.jvp(lambda x: x, (x,), (x.float(),))
    with pytest.raises(TypeError, match=r"write \(primal,\)"):
        gu.jvp(lambda x: x, x, x)
    with pytest.raises(TypeError, match="a pair"):
        gu.grad(lambda x: x.sum(), has_aux=True)(x)
    with pytest.raises(gu.GradError, match="leaf"):
        gu.grad(lambda x: x.mul_(2).sum())(x)
    assert x.tolist() == [1.0, 2.0]
