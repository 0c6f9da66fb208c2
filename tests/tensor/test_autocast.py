"""Mixed precision: which types come out, values and gradients beside torch.autocast, and jit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import groundup as gu
from groundup.nn import functional as F

torch = pytest.importorskip("torch")

EPS = 2.0**-7  # the gap after 1 in bfloat16


def pair(*shape: int, seed: int = 0, grad: bool = False) -> tuple[gu.Tensor, Any]:
    data = np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)
    ours, theirs = gu.tensor(data), torch.from_numpy(data)
    return (ours.requires_grad_(), theirs.requires_grad_()) if grad else (ours, theirs)


def near(ours: gu.Tensor, theirs: Any, units: float) -> None:
    """Within some units of bfloat16 of the greatest element."""
    a = ours.detach().float().numpy()
    b = theirs.detach().float().numpy()
    assert a.shape == b.shape
    assert np.abs(a - b).max() <= units * EPS * np.abs(b).max()


def test_types() -> None:
    a, b = gu.ones(2, 3), gu.ones(3, 4)
    w, image, kernel = gu.ones(4, 3), gu.ones(1, 2, 5, 5), gu.ones(3, 2, 3, 3)
    with gu.autocast(dtype=gu.bfloat16):
        y = a @ b
        products = [
            y, gu.einsum("ik,kj->ij", a, b), F.linear(a, w, gu.ones(4)),
            F.conv2d(image, kernel, gu.ones(3)), y.relu(),
        ]  # fmt: skip
        full = [
            y.sum(), y.mean(0), y.var(), y.softmax(1), F.softmax(y), F.log_softmax(y), y.norm(),
            y.logsumexp(0), y.cumsum(0), y.prod(), F.cross_entropy(y, gu.tensor([0, 1])),
            F.mse_loss(y, y), F.l1_loss(y, y), F.binary_cross_entropy_with_logits(y, y),
            F.batch_norm(y, None, None, training=True), a + b.sum(), y + a.sum(1, keepdim=True),
        ]  # fmt: skip
    assert {t.dtype for t in products} == {gu.bfloat16}
    assert {t.dtype for t in full} == {gu.float32}
    assert (a @ b).dtype is gu.float32
    assert y.sum().dtype is gu.bfloat16


def test_types_of_layers() -> None:
    x, sound, image = gu.ones(2, 5, 8), gu.ones(1, 2, 5), gu.ones(1, 2, 5, 5, 5)
    with gu.autocast(dtype=gu.bfloat16):
        y = x @ gu.ones(8, 8)
        products = [
            F.conv1d(sound, gu.ones(3, 2, 2), gu.ones(3)),
            F.conv3d(image, gu.ones(3, 2, 2, 2, 2), gu.ones(3)),
            F.conv_transpose1d(sound, gu.ones(2, 3, 2), gu.ones(3)),
            F.scaled_dot_product_attention(x, y, y, is_causal=True),
        ]
        full = [
            F.layer_norm(y, (8,), gu.ones(8), gu.ones(8)), F.layer_norm(y, (8,), y[0, 0]),
            F.group_norm(y, 5, gu.ones(5)), y.cumprod(1), y.logcumsumexp(1),
            gu.nn.LSTM(8, 3)(y)[0], gu.nn.LSTMCell(8, 3)(y[0], (y[1, :, :3], x[1, :, :3]))[1],
        ]  # fmt: skip
    assert {t.dtype for t in products} == {gu.bfloat16}
    assert {t.dtype for t in full} == {gu.float32}


def test_float64_is_left_alone() -> None:
    a = gu.ones(2, 2, dtype=gu.float64)
    with gu.autocast():
        assert (a @ a).dtype is gu.float64
        assert a.sum().dtype is gu.float64


def test_blocks_nest_and_end() -> None:
    a = gu.ones(2, 2)

    @gu.autocast(dtype=gu.float16)
    def product() -> gu.Tensor:
        return a @ a

    with gu.autocast():
        assert (a @ a).dtype is gu.bfloat16
        assert product().dtype is gu.float16
        with gu.autocast(enabled=False):
            assert (a @ a).dtype is gu.float32
        with pytest.raises(RuntimeError), gu.autocast(dtype=gu.float16):
            raise RuntimeError
        assert (a @ a).dtype is gu.bfloat16
    assert product().dtype is gu.float16
    assert (a @ a).dtype is gu.float32


def test_a_wrong_type_is_refused() -> None:
    with pytest.raises(TypeError, match="bfloat16 or float16, not float32"):
        gu.autocast(dtype=gu.float32)


@pytest.mark.parametrize(("m", "k", "n"), [(1, 1, 1), (3, 257, 5), (32, 64, 33)])
def test_a_product_is_torch_s(m: int, k: int, n: int) -> None:
    (a, ta), (b, tb) = pair(m, k), pair(k, n, seed=1)
    with gu.autocast(), torch.autocast("cpu", torch.bfloat16):
        near(a @ b, ta @ tb, 1)


def network(x: Any, w: list[Any], fn: Any, target: Any) -> Any:
    """Two layers with a softmax between them, as in attention."""
    h = fn.linear(x, w[0], w[1]).relu()
    h = fn.softmax(h, dim=-1) @ w[2]
    return fn.cross_entropy(h.float() * 8.0, target)


SHAPES = ((48, 20), (48,), (48, 10))


@pytest.mark.parametrize("jit", [False, True])
def test_gradients_arrive_in_float32(jit: bool) -> None:
    x, tx = pair(16, 20)
    weights = [pair(*s, seed=i + 1, grad=True) for i, s in enumerate(SHAPES)]
    labels = np.random.default_rng(9).integers(0, 10, 16)

    def step(x: gu.Tensor, target: gu.Tensor) -> gu.Tensor:
        with gu.autocast(dtype=gu.bfloat16):
            loss = network(x, [w for w, _ in weights], F, target)
        for w, _ in weights:
            w.grad = None
        loss.backward()
        return loss

    run = gu.jit(step) if jit else step
    for _ in range(3 if jit else 1):
        loss = run(x, gu.tensor(labels))
    with torch.autocast("cpu", torch.bfloat16):
        theirs = network(tx, [t for _, t in weights], torch.nn.functional, torch.tensor(labels))
    theirs.backward()
    # Both round along the way: ours must be as near to the exact gradient as torch's is.
    exact = [t.detach().double().requires_grad_() for _, t in weights]
    h = torch.nn.functional.linear(tx.double(), exact[0], exact[1]).relu()
    scores = torch.softmax(h, -1) @ exact[2] * 8.0
    torch.nn.functional.cross_entropy(scores, torch.tensor(labels)).backward()
    assert abs(loss.item() - theirs.item()) <= EPS * theirs.item()
    for (w, t), e in zip(weights, exact, strict=True):
        assert w.dtype is gu.float32
        assert w.grad is not None and w.grad.dtype is gu.float32
        true = e.grad.numpy()
        ours_off, theirs_off = (abs(g.numpy() - true).max() for g in (w.grad, t.grad))
        assert ours_off <= theirs_off


def test_a_captured_function_is_captured_again_in_a_block() -> None:
    product = gu.jit(lambda a, b: a @ b)
    a, b = gu.ones(4, 4), gu.ones(4, 4)
    for _ in range(3):
        assert product(a, b).dtype is gu.float32
    for dtype in (gu.bfloat16, gu.float16):
        with gu.autocast(dtype=dtype):
            for _ in range(3):
                assert product(a, b).dtype is dtype
    assert product(a, b).dtype is gu.float32
