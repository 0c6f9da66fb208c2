"""Attention without its matrix of weights in memory: the plan holds none, and no bit differs from
what the same sums give with it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

import numpy as np
import pytest

import groundup as gu
from groundup.emit.kernel import Chain, Contraction, Pack, Word
from groundup.nn import functional as F
from groundup.schedule import Plan, Signature, chain, kept
from groundup.tensor import Tensor

RNG = np.random.default_rng(0)
Arrays = list[np.ndarray]


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Plans of one test are not those of another, nor of the disk."""
    monkeypatch.setattr(kept, "LARGE", 1 << 60)
    forget()
    yield
    forget()


def forget() -> None:
    sys.modules["groundup.schedule.execute"]._plans.clear()  # type: ignore[attr-defined]


def tensors(*shapes: tuple[int, ...], dtype: str = "float32") -> list[Tensor]:
    return [gu.from_numpy(RNG.normal(size=s).astype(dtype)) for s in shapes]


def attend(inputs: list[Tensor], **how: object) -> list[Tensor]:
    """The result and the gradients of q, k, v; the last input is the gradient of the result."""
    q, k, v = (x.detach().requires_grad_() for x in inputs[:3])
    y = F.scaled_dot_product_attention(q, k, v, **how)  # type: ignore[arg-type]
    y.backward(inputs[3])
    assert q.grad is not None and k.grad is not None and v.grad is not None
    return [y.detach(), q.grad, k.grad, v.grad]


def plan(results: list[Tensor]) -> Plan:
    roots = [t.node for t in results]
    return Plan(Signature(roots), roots, [None] * len(roots))


def both(
    monkeypatch: pytest.MonkeyPatch, compute: Callable[[], list[Tensor]], chains: int = 1
) -> tuple[Arrays, Arrays]:
    """What is computed with whole matrices, and in chains (at least so many)."""
    results = []
    for large in (1 << 60, 1):
        monkeypatch.setattr(chain, "LARGE", large)
        forget()
        made = compute()
        kernels = [s.kernel for s in plan(made).steps]
        count = sum(isinstance(k, Chain) for k in kernels)
        assert count >= chains if large == 1 else count == 0
        results.append(arrays(made))
    return results[0], results[1]


def arrays(made: list[Tensor]) -> Arrays:
    """All results by one plan."""
    from groundup.tensor.core import force

    force([t._storage for t in made])
    return [t.numpy() for t in made]


def same(a: Arrays, b: Arrays) -> None:
    for x, y in zip(a, b, strict=True):
        np.testing.assert_array_equal(x.view(f"i{x.itemsize}"), y.view(f"i{y.itemsize}"))


SHAPES = [  # batch, heads, queries, keys, features, features of values
    (1, 2, 33, 33, 5, 5), (2, 3, 64, 64, 32, 32), (2, 1, 65, 130, 17, 9), (3, 2, 150, 37, 8, 40),
    (2, 2, 100, 256, 64, 64),
]  # fmt: skip
MASKS = ["none", "causal", "bool", "added", "each"]


def how(mask: str, b: int, h: int, t: int, s: int, dtype: str = "float32") -> dict[str, object]:
    if mask == "causal":
        return {"is_causal": True}
    if mask == "bool":
        return {"attn_mask": gu.from_numpy(RNG.uniform(size=(t, s)) < 0.7)}
    if mask in ("added", "each"):
        shape = (t, s) if mask == "added" else (b, h, t, s)
        return {"attn_mask": gu.from_numpy(RNG.normal(size=shape).astype(dtype))}
    return {}


def ready(shape: tuple[int, ...], dtype: str = "float32") -> list[Tensor]:
    b, h, t, s, d, e = shape
    return tensors((b, h, t, d), (b, h, s, d), (b, h, s, e), (b, h, t, e), dtype=dtype)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("mask", MASKS)
def test_same_bits_as_with_the_matrix(
    monkeypatch: pytest.MonkeyPatch, shape: tuple[int, ...], mask: str
) -> None:
    inputs, options = ready(shape), how(mask, *shape[:4])
    same(*both(monkeypatch, lambda: attend(inputs, **options)))


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("tokens", [96, 77])
def test_done_again(monkeypatch: pytest.MonkeyPatch, causal: bool, tokens: int) -> None:
    """The gradient of the result depends on the result: the weights are computed twice."""
    x, w = tensors((2, tokens, 24), (24, 72))

    def compute() -> list[Tensor]:
        a, b = x.detach().requires_grad_(), w.detach().requires_grad_()
        q, k, v = (z.unflatten(-1, (2, 12)).transpose(1, 2) for z in (a @ b).chunk(3, -1))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=causal).transpose(1, 2).flatten(2)
        y.pow(2).sum().backward()
        assert a.grad is not None and b.grad is not None
        return [a.grad, b.grad]

    same(*both(monkeypatch, compute, 2))


def test_in_axes_notation(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a user writes without softmax or matmul is a chain, too."""
    q, k, v, _ = ready((1, 3, 60, 45, 8, 11))

    def compute() -> list[Tensor]:
        h, i, j, d, e = gu.axes("h i j d e")
        scores = (q[0, h, i, d] * k[0, h, j, d]).sum(d).order(h, i, j)
        top = scores[h, i, j].max(j).order(h, i)
        weights = gu.exp(scores[h, i, j] - top[h, i]).order(h, i, j)
        total = weights[h, i, j].sum(j).order(h, i)
        shares = (weights[h, i, j] / total[h, i]).order(h, i, j)
        return [(shares[h, i, j] * v[0, h, j, e]).sum(j).order(h, i, e)]

    same(*both(monkeypatch, compute))


@pytest.mark.parametrize("form", ["heads", "dropout", "grouped", "half"])
def test_other_forms(monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    x, k, v = tensors((2, 70, 24), (2, 2, 70, 6), (2, 2, 70, 6))
    gu.manual_seed(0)
    layer = gu.nn.MultiheadAttention(24, 4, batch_first=True)

    def compute() -> list[Tensor]:
        a = x.detach().requires_grad_()
        q = a.unflatten(-1, (4, 6)).transpose(1, 2)
        if form == "heads":
            y = layer(a, a, a, need_weights=False)[0]
        elif form == "dropout":
            gu.manual_seed(1)
            y = F.scaled_dot_product_attention(q, q, q, dropout_p=0.3)
        elif form == "half":
            h = q.to(gu.bfloat16)
            y = F.scaled_dot_product_attention(h, h, h).to(gu.float32)
        else:
            y = F.scaled_dot_product_attention(q, k, v, enable_gqa=True)
        y.pow(2).sum().backward()
        assert a.grad is not None
        return [a.grad]

    same(*both(monkeypatch, compute, 0))


def test_float64(monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = ready((2, 2, 70, 51, 12, 20), "float64")
    same(*both(monkeypatch, lambda: attend(inputs)))


@pytest.mark.parametrize("mask", ["none", "causal", "bool"])
def test_as_the_reference(monkeypatch: pytest.MonkeyPatch, mask: str) -> None:
    monkeypatch.setattr(chain, "LARGE", 1)
    shape = (1, 2, 33, 40, 5, 6)
    inputs, options = ready(shape), how(mask, *shape[:4])
    got = arrays(attend(inputs, **options))
    with gu.debug():
        want = arrays(attend(inputs, **options))
    for x, y in zip(got, want, strict=True):
        np.testing.assert_allclose(x, y, 2e-5, 2e-5)


@pytest.mark.parametrize("mask", ["none", "causal", "bool"])
def test_as_torch(monkeypatch: pytest.MonkeyPatch, mask: str) -> None:
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(chain, "LARGE", 1)
    shape = (2, 2, 97, 97, 24, 16)
    inputs, options = ready(shape), how(mask, *shape[:4])
    got = arrays(attend(inputs, **options))
    theirs = {
        k: torch.tensor(v.numpy()) if isinstance(v, Tensor) else v for k, v in options.items()
    }
    q, k, v, g = (torch.tensor(x.numpy()) for x in inputs)
    for x in (q, k, v):
        x.requires_grad_()
    y = torch.nn.functional.scaled_dot_product_attention(q, k, v, **theirs)
    y.backward(g)
    for x, z in zip(got, (y.detach(), q.grad, k.grad, v.grad), strict=True):
        np.testing.assert_allclose(x, z.numpy(), 3e-5, 3e-5)


@pytest.mark.parametrize("threads", [2, 3])
def test_threads(monkeypatch: pytest.MonkeyPatch, threads: int) -> None:
    monkeypatch.setattr(chain, "LARGE", 1)
    inputs = ready((2, 5, 130, 96, 16, 16))
    before, results = gu.get_num_threads(), []
    try:
        for count in (1, threads):
            gu.set_num_threads(count)
            results.append(arrays(attend(inputs)))
            results.append([F.scaled_dot_product_attention(*inputs[:3]).numpy()])
    finally:
        gu.set_num_threads(before)
    same(results[0] + results[1], results[2] + results[3])


@pytest.mark.parametrize("mask", ["none", "causal"])
def test_not_finite(monkeypatch: pytest.MonkeyPatch, mask: str) -> None:
    inputs, options = ready((2, 2, 80, 80, 16, 16)), how(mask, 2, 2, 80, 80)
    for i, x in enumerate(inputs):
        a = x.numpy()
        a[0, i % 2, 3 + 20 * i, 2] = np.nan
        a[1, 0, 70 - 20 * i, 5] = np.inf
        a[1, 1, 5 * i, 5] = -np.inf
        inputs[i] = gu.from_numpy(a)
    plain, chained = both(monkeypatch, lambda: attend(inputs, **options))
    for a, b in zip(plain, chained, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("tokens", [40, 130])
def test_nothing_of_later_tokens_counts(
    monkeypatch: pytest.MonkeyPatch, tokens: int, value: float
) -> None:
    """Results and gradients of what precedes keys and values that are not finite have the bits that
    they have with finite ones; so says the reference."""
    shape, first = (1, 2, tokens, tokens, 9, 12), tokens - 7
    clean = ready(shape)
    clean[3] = gu.where((gu.arange(tokens) < first)[:, None], clean[3], 0.0).realize()
    spoilt = list(clean)
    for i in (1, 2):
        a = clean[i].numpy().copy()
        a[:, :, first:] = value
        spoilt[i] = gu.from_numpy(a)

    def before(made: Arrays) -> Arrays:
        return [made[0][:, :, :first], made[1][:, :, :first]]  # the result, the gradient of q

    plain, chained = both(monkeypatch, lambda: attend(spoilt, is_causal=True))
    wanted, _ = both(monkeypatch, lambda: attend(clean, is_causal=True))
    assert all(np.isfinite(x).all() for x in before(wanted))
    same(before(plain), before(wanted))
    same(before(chained), before(wanted))
    if tokens < 100:
        with gu.debug():
            assert all(np.isfinite(x).all() for x in before(arrays(attend(spoilt, is_causal=True))))


@pytest.mark.parametrize("leads", [((), (2, 3)), ((2, 1), (3,)), ((1,), (4,))])
def test_causal_with_leads_that_broadcast(leads: tuple[tuple[int, ...], ...]) -> None:
    torch = pytest.importorskip("torch")
    q, k, v = tensors((*leads[0], 11, 4), (*leads[1], 9, 4), (*leads[1], 9, 5))
    got = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    s = torch.tensor(q.numpy()) @ torch.tensor(k.numpy()).mT / 2
    s = s.masked_fill(~torch.ones(11, 9, dtype=torch.bool).tril(), -np.inf)
    want = torch.softmax(s, -1) @ torch.tensor(v.numpy())
    np.testing.assert_allclose(got.numpy(), want.numpy(), 1e-5, 1e-6)


def test_no_product_is_computed_in_full(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every product and every row of the causal form ends at the diagonal."""
    monkeypatch.setattr(chain, "LARGE", 1)
    inputs = ready((2, 2, 192, 192, 16, 16))
    (kernel,) = (k for s in plan(attend(inputs, is_causal=True)).steps
                 if isinstance(k := s.kernel, Chain))  # fmt: skip
    for *_, parts in kernel.kinds:
        for part in parts:
            if isinstance(part.kernel, Contraction):
                assert part.kernel.diagonal is not None or part.kernel.row_bound is not None
            else:
                assert isinstance(part.kernel.loops[-1][1], Word)


@pytest.mark.parametrize("mask", ["none", "causal"])
def test_heads_side_by_side(monkeypatch: pytest.MonkeyPatch, mask: str) -> None:
    """As a transformer's one product leaves them: the same bits, and only what has to be turned is
    copied first."""
    inputs = [x.permute(0, 2, 1, 3) for x in tensors(*[(1, 300, 6, 64)] * 4)]
    options = how(mask, 1, 6, 300, 300)
    same(*both(monkeypatch, lambda: attend(inputs, **options)))
    forget()
    kernels = [s.kernel for s in plan(attend(inputs, **options)).steps]
    copies = [k for k in kernels if isinstance(k, Pack)]
    assert any(isinstance(k, Chain) for k in kernels)
    assert copies and all(k.lane[1] != 1 for k in copies)


def test_second_derivatives(monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = ready((1, 2, 48, 40, 8, 8))

    def twice() -> list[Tensor]:
        def loss(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            return (F.scaled_dot_product_attention(q, k, v) * inputs[3]).sum()

        def slope(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            return gu.grad(loss)(q, k, v).pow(2).sum()

        return [gu.grad(slope)(*inputs[:3])]

    plain, chained = both(monkeypatch, twice, 0)
    same(plain, chained)


def test_runtime_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chain, "LARGE", 1)

    def step(q: Tensor, k: Tensor, v: Tensor, g: Tensor) -> tuple[Tensor, ...]:
        return tuple(attend([q, k, v, g], is_causal=True))

    fast = gu.jit(step)
    for n in (4, 4, 4, 3, 1):
        inputs = ready((n, 2, 70, 70, 16, 16))
        got = [np.array(x.numpy()) for x in fast(*inputs)]
        same(got, [np.array(x.numpy()) for x in step(*inputs)])


@pytest.mark.parametrize("causal", [False, True])
def test_no_matrix_in_memory(causal: bool) -> None:
    t = 2048
    inputs = ready((2, 4, t, t, 64, 64))
    made = plan(attend(inputs, is_causal=causal))
    assert sum(isinstance(s.kernel, Chain) for s in made.steps) == 1
    assert all(size < 8 * t * t for size in made.temps)  # bytes; a matrix has 32·t·t
    assert made.bind(made.hint).arena < 32 * t * t
