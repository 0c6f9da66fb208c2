"""Comparison with torch: one function of tensors, run by both on the same numbers."""

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np

import groundup as gu

AWKWARD = [(), (0,), (1,), (5,), (1, 1), (3, 1), (1, 4), (3, 4), (2, 0, 3), (2, 3, 4), (2, 1, 3, 2)]
SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.5, -2.5, 1e-30, 3e38, float("inf"), float("-inf"), float("nan")]


def torch() -> Any:
    return importlib.import_module("torch")


def sample(shape: tuple[int, ...], dtype: str = "float32", seed: int = 0) -> np.ndarray[Any, Any]:
    rng = np.random.default_rng([seed, *shape, 7])
    if dtype == "bool":
        return rng.random(shape) < 0.5
    if dtype.startswith(("int", "uint")):
        low = 0 if dtype.startswith("u") else -5
        return rng.integers(low, 6, shape).astype(dtype)
    return rng.normal(size=shape).astype(dtype)


def same(ours: Any, theirs: Any, rtol: float = 2e-6, atol: float = 1e-6, where: str = "") -> None:
    """Equal shape, dtype and (nearly, for floats) equal elements."""
    if isinstance(theirs, tuple | list):
        assert len(ours) == len(theirs), where
        for o, t in zip(ours, theirs, strict=True):
            same(o, t, rtol, atol, where)
        return
    if not hasattr(theirs, "detach"):
        assert ours == theirs or (ours != ours and theirs != theirs), where
        return
    assert tuple(ours.shape) == tuple(theirs.shape), where
    assert ours.dtype.name == str(theirs.dtype).removeprefix("torch."), where
    expected = theirs.detach().resolve_conj().numpy()
    got = ours.detach().numpy()
    if ours.dtype.is_float:
        np.testing.assert_allclose(got, expected, rtol=rtol, atol=atol, err_msg=where)
    else:
        np.testing.assert_array_equal(got, expected, err_msg=where)


def compare(
    function: Callable[..., Any],
    *arrays: np.ndarray[Any, Any],
    grad: bool = True,
    rtol: float = 2e-6,
    atol: float = 1e-6,
) -> None:
    """function(gu, *tensors) = function(torch, *tensors), and the derivatives of float inputs."""
    t = torch()
    ours = [gu.from_numpy(a) for a in arrays]
    theirs = [t.from_numpy(a.copy()) for a in arrays]
    if grad:
        for o, x in zip(ours, theirs, strict=True):
            if o.dtype.is_float:
                o.requires_grad_()
                x.requires_grad_()
    mine, his = function(gu, *ours), function(t, *theirs)
    same(mine, his, rtol, atol)
    if not grad:
        return
    his = his if isinstance(his, tuple | list) else (his,)
    mine = mine if isinstance(mine, tuple | list) else (mine,)
    for m, h in zip(mine, his, strict=True):
        if not hasattr(h, "requires_grad"):
            continue
        assert m.requires_grad == h.requires_grad
        if not h.requires_grad:
            continue
        seed = sample(tuple(h.shape), "float32", 3).astype(str(h.dtype).removeprefix("torch."))
        h.backward(t.from_numpy(np.asarray(seed)), retain_graph=True)
        m.backward(gu.from_numpy(seed))
    for n, (o, x) in enumerate(zip(ours, theirs, strict=True)):
        if x.grad is None:
            if o.requires_grad and o.grad is not None:
                assert not np.any(o.grad.numpy()), f"gradient of input {n} where torch has none"
            continue
        if o.grad is None:  # overwritten altogether: we know that nothing flows, torch gives zeros
            assert not np.any(x.grad.numpy()), f"no gradient of input {n}"
            continue
        same(o.grad, x.grad, rtol * 4, atol * 4, f"gradient of input {n}")


def same_slopes(
    ours: Callable[..., gu.Tensor], theirs: Callable[..., Any], *arrays: np.ndarray
) -> None:
    """Equal values, first and second derivatives, in float64."""
    lib = torch()
    xs = [gu.from_numpy(a.copy()).requires_grad_() for a in arrays]
    ys = [lib.tensor(a.copy(), requires_grad=True) for a in arrays]
    mine, his = ours(*xs), theirs(*ys)
    np.testing.assert_allclose(mine.detach().numpy(), his.detach().numpy(), 1e-9, 1e-9)
    weights = sample(tuple(his.shape), "float64", 3)
    a, b = (mine * gu.from_numpy(weights)).sum(), (his * lib.tensor(weights)).sum()
    for _ in range(2):
        ga = gu.derivatives(a, xs, create_graph=True, allow_unused=True)
        gb = lib.autograd.grad(b, ys, create_graph=True, allow_unused=True)
        a, b = None, None
        for p, q, x in zip(ga, gb, arrays, strict=True):
            if q is None:
                assert p is None or not np.any(p.detach().numpy())
                continue
            got = np.zeros_like(x) if p is None else p.detach().numpy()
            np.testing.assert_allclose(got, q.detach().numpy(), 1e-8, 1e-8)
            if p is not None:
                a = p.sin().sum() if a is None else a + p.sin().sum()
            b = q.sin().sum() if b is None else b + q.sin().sum()
        if b is None or not b.requires_grad:
            return
