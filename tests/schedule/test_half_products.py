"""Products of 16-bit operands run in register tiles, and give the bits of plain loops."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import groundup as gu
from groundup.cli.workloads import gpt
from groundup.emit.kernel import Contraction, Several
from groundup.ir import dtype as dt
from groundup.ir.dtype import DType
from groundup.ir.node import Node, detach
from groundup.ir.transform import body_nodes
from groundup.nn import functional as F
from groundup.schedule import Plan, Signature, steps
from groundup.schedule.partial import shares_terms

from .. import build as B

HALVES = [dt.bfloat16, dt.float16]


def _operand(seed: int, dtype: DType, *shape: int) -> Node:
    values = np.random.default_rng(seed).standard_normal(shape).astype("float32")
    return B.to(B.tensor(values), dtype)


def _run(roots: list[Node]) -> tuple[list[bytes], list[bool]]:
    """The results, and of each kernel whether it is a contraction in tiles."""
    signature = Signature(roots)
    plan = Plan(signature, roots, (None,) * len(roots))
    results = plan.run(signature.buffers, signature.n, [None] * len(roots))
    tiled = [isinstance(s.kernel, Contraction | Several) for s in plan.steps]
    return [m.read_bytes() for m in results], tiled


def _same(monkeypatch: pytest.MonkeyPatch, build: Callable[[], list[Node]], products: int) -> None:
    """Tiles give what plain loops do; as many kernels are in tiles as there are products."""
    results, tiled = _run(build())
    assert sum(tiled) == products
    with monkeypatch.context() as m:
        m.setattr(steps, "_has_product", lambda body: False)
        plain, none = _run(build())
    assert not any(none)
    assert results == plain


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("flip_a", [False, True])
@pytest.mark.parametrize("flip_b", [False, True])
@pytest.mark.parametrize("m,k,n", [(13, 17, 19), (65, 64, 33), (7, 300, 130), (131, 1030, 70)])
def test_matmul(
    monkeypatch: pytest.MonkeyPatch, dtype: DType, flip_a: bool, flip_b: bool,
    m: int, k: int, n: int,
) -> None:  # fmt: skip
    def matmul() -> list[Node]:
        a = _operand(0, dtype, *((k, m) if flip_a else (m, k)))
        b = _operand(1, dtype, *((n, k) if flip_b else (k, n)))
        a = B.view(a, (m, k), lambda i, j: (j, i)) if flip_a else a
        b = B.view(b, (k, n), lambda i, j: (j, i)) if flip_b else b
        return [B.matmul(a, b)]

    _same(monkeypatch, matmul, 1)


def test_special_values(monkeypatch: pytest.MonkeyPatch) -> None:
    def matmul() -> list[Node]:
        a = np.random.default_rng(0).standard_normal((33, 40)).astype("float32")
        a[3, 7], a[5, 0], a[0], a[9] = np.nan, np.inf, 1e-40, -0.0
        return [B.matmul(B.to(B.tensor(a), d), _operand(1, d, 40, 65)) for d in HALVES]

    _same(monkeypatch, matmul, 2)


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("batch,stride,padding", [(2, 1, 1), (33, 2, 0), (16, 1, 2)])
def test_convolution_and_gradients(
    monkeypatch: pytest.MonkeyPatch, dtype: DType, batch: int, stride: int, padding: int
) -> None:
    def conv() -> list[Node]:
        rng = np.random.default_rng(0)

        def tensor(*shape: int) -> gu.Tensor:
            return gu.tensor(rng.standard_normal(shape).astype("float32")).to(dtype)

        x, w = tensor(batch, 5, 9, 9), tensor(19, 5, 3, 3)
        y = F.conv2d(x.requires_grad_(), w.requires_grad_(), None, stride, padding)
        y.backward(tensor(*y.shape))
        assert x.grad is not None and w.grad is not None
        return [detach(t.node) for t in (y, x.grad, w.grad)]

    _same(monkeypatch, conv, 3)


@pytest.mark.parametrize("a,b", [(dt.bfloat16, dt.float32), (dt.float32, dt.float16)])
def test_one_operand_of_16_bits(monkeypatch: pytest.MonkeyPatch, a: DType, b: DType) -> None:
    def matmul() -> list[Node]:
        x, y = (B.to(_operand(i, d, 40, 40), dt.float32) for i, d in enumerate((a, b)))
        return [B.matmul(x, y)]

    _same(monkeypatch, matmul, 1)


def test_every_product_of_a_transformer_is_in_tiles() -> None:
    gu.manual_seed(0)
    model = gpt.model(gu.nn, layers=1, width=48, heads=2, context=32)
    ids = gu.tensor(np.arange(64).reshape(2, 32))
    with gu.autocast(dtype=gu.bfloat16):
        loss = F.cross_entropy(model(ids).flatten(0, 1), ids.flatten())
    loss.backward()
    roots = [detach(loss.node), *(detach(p.grad.node) for p in model.parameters())]
    signature = Signature(roots)
    for step in Plan(signature, roots, (None,) * len(roots)).steps:
        if not isinstance(step.kernel, Contraction | Several):
            sums = [n for g in step.groups for n in body_nodes(g.body) if n.op == "reduce"]
            assert not any(shares_terms(n) for n in sums)
