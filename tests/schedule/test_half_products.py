"""Products of 16-bit operands run in register tiles, and give the bits of plain loops.

Products of bfloat16 are added in pairs where the processor can: every way that the cost model knows
is tried, also those that it would not choose, and the order, the signs of zeros and what happens
below 2⁻¹²⁶ are held against exact arithmetic.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest

import groundup as gu
from groundup.cli.workloads import gpt
from groundup.emit import llvm, python
from groundup.emit.kernel import Contraction, Pack, Several
from groundup.ir import dtype as dt
from groundup.ir.bounds import flushed, sum_bound
from groundup.ir.dtype import DType
from groundup.ir.node import Node, detach
from groundup.ir.transform import body_nodes
from groundup.nn import functional as F
from groundup.runtime import target
from groundup.schedule import Plan, Signature, contract, pack, steps, tiles
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


# ---- pairs of bfloat16 ---------------------------------------------------------------------------

SPECIAL = [
    0x0000, 0x8000, 0x7F80, 0xFF80, 0x7FC0, 0xFFC1, 0x0001, 0x8001, 0x007F, 0x0080, 0x8080, 0x7F7F,
    0xFF7F, 0x3F80,
]  # fmt: skip


def _bits(seed: int, shape: tuple[int, ...], kind: str) -> np.ndarray:
    """bfloat16 numbers, as float32: ordinary, "wild" (of every size, with special values) or
    "tiny" (whose products underflow)."""
    rng = np.random.default_rng(seed)
    low, high = {"ordinary": (120, 132), "wild": (30, 200), "tiny": (0, 130)}[kind]
    bits = rng.integers(0, 128, shape) | rng.integers(0, 2, shape) << 15
    bits |= rng.integers(low, high, shape) << 7
    if kind == "wild":
        bits = np.where(rng.random(shape) < 0.02, rng.choice(SPECIAL, shape), bits)
    return (bits.astype(np.uint32) << 16).view(np.float32)


def _product(seed: int, form: str, m: int, k: int, n: int, kind: str) -> list[Node]:
    """A product of matrices whose operands lie as `form` says, or of three of them."""
    a_shape = (k, m) if form[0] == "T" else (m, k)
    b_shape = (n, k) if form[1] == "T" else (k, n)
    if form == "batched":
        a_shape, b_shape = (3, m, k), (3, k, n)
    a = B.to(B.tensor(_bits(seed, a_shape, kind)), dt.bfloat16)
    b = B.to(B.tensor(_bits(seed + 1, b_shape, kind)), dt.bfloat16)
    if form[0] == "T":
        a = B.view(a, (m, k), lambda i, j: (j, i))
    if form[1] == "T":
        b = B.view(b, (k, n), lambda i, j: (j, i))
    return [B.matmul(a, b)]


def _values(roots: list[Node]) -> tuple[list[bytes], list[object]]:
    signature = Signature(roots)
    plan = Plan(signature, roots, (None,) * len(roots))
    results = plan.run(signature.buffers, signature.n, [None] * len(roots))
    return [m.read_bytes() for m in results], [s.kernel for s in plan.steps]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small problems, too, are run in tiles and by all threads."""
    monkeypatch.setattr(contract, "SMALL", 1)
    monkeypatch.setattr(contract, "PARALLEL", 1)
    monkeypatch.setattr(pack, "PARALLEL", 1)


@pytest.mark.parametrize("block", [False, True])
@pytest.mark.parametrize("kind", ["wild", "tiny"])
@pytest.mark.parametrize("form", ["NN", "NT", "TN", "TT", "batched"])
@pytest.mark.parametrize("m,k,n", [(13, 17, 19), (1, 33, 70), (33, 130, 5)])
def test_every_way_gives_the_same_bits(
    monkeypatch: pytest.MonkeyPatch, small: None, form: str, kind: str, block: bool,
    m: int, k: int, n: int,
) -> None:  # fmt: skip
    roots = _product(m + k, form, m, k, n, kind)
    with monkeypatch.context() as plain:
        plain.setattr(steps, "_has_product", lambda body: False)
        wanted, none = _values(roots)
    assert not any(isinstance(x, Contraction) for x in none)
    if block:
        monkeypatch.setattr(tiles, "PANEL", 1)
        monkeypatch.setattr(tiles, "NEAR", 1)
        monkeypatch.setattr(tiles, "LEAST_BLOCK", 5)
    all_ways = tiles._choices
    found: list[tiles.Choice] = []

    def count(p: contract.Problem) -> list[tiles.Choice]:
        found[:] = all_ways(p)
        return found

    monkeypatch.setattr(tiles, "_choices", count)
    assert _values(roots)[0] == wanted
    total = len(found)
    step = max(1, total // 6)
    seen = set()
    for number in range(m % step, total, step):

        def one(p: contract.Problem, number: int = number) -> list[tiles.Choice]:
            return [all_ways(p)[number]]

        monkeypatch.setattr(tiles, "_choices", one)
        got, kernels = _values(roots)
        (kernel,) = (x for x in kernels if isinstance(x, Contraction))
        assert kernel.halves == "pairs"
        assert not block or k < 12 or kernel.block is not None
        seen.add((kernel.panels, kernel.rows, kernel.vectors))
        assert got == wanted, (number, kernel)
    assert len(seen) > 1


def _float32(x: Fraction) -> float:
    """The nearest float32, ties to even, of a number in its range; denormals included."""
    if x == 0:
        return 0.0
    sign, x = (-1.0 if x < 0 else 1.0), abs(x)
    exponent = max(math.floor(math.log2(x.numerator) - math.log2(x.denominator)), -126)
    while x >= Fraction(2) ** (exponent + 1):
        exponent += 1
    while exponent > -126 and x < Fraction(2) ** exponent:
        exponent -= 1
    unit = Fraction(2) ** (exponent - 23)
    rounded = round(x / unit) * unit  # Python's round takes ties to even
    return sign * (math.inf if rounded >= Fraction(2) ** 128 else float(rounded))


def _joined(total: float, a: float, b: float, at_once: bool) -> float:
    """total + a·b as the order dot16 has it: a and b below 2⁻¹²⁶ are zero, and so is the total
    where the processor adds pairs."""
    a, b = (x * 0.0 if abs(x) < 2.0**-126 else x for x in (a, b))
    product = a * b  # exact: 16 bits, and no smaller than 2⁻²⁵²
    if not (math.isfinite(total) and math.isfinite(product)) or (product == 0 and total == 0):
        return total + product
    exact = Fraction(total) + Fraction(product)
    if exact == 0:
        return 0.0
    value = _float32(exact)
    if at_once and abs(value) < 2.0**-126:
        return math.copysign(0.0, value if value else exact.numerator)
    return value if value else math.copysign(0.0, exact.numerator)


@pytest.mark.parametrize("kind", ["ordinary", "wild", "tiny"])
@pytest.mark.parametrize("k", [1, 2, 5, 8])
def test_pairs_are_added_in_exact_order(small: None, kind: str, k: int) -> None:
    """1, 0, 3, 2, …, 4: each term rounded once, and what is below 2⁻¹²⁶ zero."""
    from groundup.ir.node import alu, cast, fresh, loops, outs, read, reduce

    a, b = _bits(k, (9, k), kind), _bits(k + 50, (k, 21), kind)
    x, y = (B.to(B.tensor(v), dt.bfloat16) for v in (a, b))
    (r,), variables = fresh(0, [k])
    i, j = outs(2)
    term = alu("mul", *(cast(v, dt.float32) for v in (read(x, i, r), read(y, r, j))))
    root = loops((9, 21), reduce("sum", variables, term, "dot"))
    (got,), kernels = _values([root])
    assert any(isinstance(kernel, Contraction) for kernel in kernels)
    found = np.frombuffer(got, np.float32).reshape(9, 21)
    at_once = target.host().adds_pairs
    order = [t for p in range(0, k, 2) for t in (p + 1, p) if t < k]
    with np.errstate(all="ignore"):
        for p in range(9):
            for q in range(21):
                total = 0.0
                for t in order:
                    total = _joined(total, float(a[p, t]), float(b[t, q]), at_once)
                value = np.float32(total)
                same = np.isnan(value) and np.isnan(found[p, q])
                assert same or value.tobytes() == found[p, q].tobytes(), (p, q, value, found[p, q])


@pytest.mark.parametrize("kind", ["ordinary", "tiny"])
@pytest.mark.parametrize("build", ["matmul", "convolution", "vectors"])
def test_products_are_within_the_bound_of_the_reference(kind: str, build: str) -> None:
    """Operands below 2⁻¹²⁶ are zero for both, also beside operands that are large."""
    if build == "convolution":
        x, w = _bits(1, (2, 33, 6, 6), kind), _bits(2, (17, 33, 3, 3), kind)
        x[0, 3], w[:, 5] = 2.0**-130, 2.0**100
        x[0, 5], terms = 2.0**-127, 33 * 9
    elif build == "matmul":
        x, w, terms = _bits(1, (23, 67), kind), _bits(2, (67, 70), kind), 67
        x[3], w[5], x[:, 5] = 2.0**-130, 2.0**100, 2.0**-127
    else:
        x, w, terms = _bits(1, (5, 300), kind), _bits(2, (5, 300), kind), 300
        x[3], w[3] = 2.0**-127, 2.0**126

    def made(x: np.ndarray, w: np.ndarray) -> list[Node]:
        a, b = (B.to(B.tensor(v), dt.bfloat16) for v in (x, w))
        if build == "convolution":
            return [B.conv2d(a, b, 1, 1)]
        if build == "matmul":
            return [B.matmul(a, b)]
        u, v = gu.tensor(x).to(gu.bfloat16), gu.tensor(w).to(gu.bfloat16)
        (i, k) = gu.axes("i k")
        return [(u[i, k] * v[i, k]).sum(k).order(i).node]

    roots = made(x, w)
    (got,), _ = _values(roots)
    (reference,) = python.evaluate(roots)
    (size,) = python.evaluate(made(np.abs(x), np.abs(w)))
    a, b, s = (
        (np.frombuffer(m, np.uint16).astype(np.uint32) << 16).view(np.float32).astype(np.float64)
        for m in (got, reference.read_bytes(), size.read_bytes())
    )
    assert np.isfinite(b).all() and (a[b == 0] == 0).all()
    bound = sum_bound(terms, 2.0**-23, s * (1 + 2.0**-8)) + flushed(terms)
    gap = 2.0**-8 * np.abs(b) + 2.0**-133  # both are rounded to bfloat16
    assert (np.abs(a - b) <= bound + gap).all()


def test_pairs_use_the_instruction_where_there_is_one(small: None) -> None:
    _, kernels = _values(_product(0, "NT", 40, 64, 48, "ordinary"))
    text = "".join(llvm.emit(kernel) for kernel in kernels)
    assert ("dpbf16ps" in text) == target.host().adds_pairs
    assert any(isinstance(k, Pack) and k.pairs for k in kernels) == target.host().adds_pairs
    assert ("llvm.fma" in text) != target.host().adds_pairs


def test_pairs_give_the_same_bits_on_any_number_of_threads(small: None) -> None:
    before = gu.get_num_threads()
    try:
        roots = _product(3, "TN", 70, 65, 130, "wild")
        gu.set_num_threads(1)
        one = _values(roots)[0]
        gu.set_num_threads(3)
        assert _values(roots)[0] == one
    finally:
        gu.set_num_threads(before)


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


def test_runtime_sizes_give_the_bits_of_plain_calls(small: None) -> None:
    """A batch is a loop of tiles forwards, and the terms of the sum in a weight's gradient."""
    gu.manual_seed(0)
    model = gu.nn.Sequential(gu.nn.Linear(37, 65), gu.nn.GELU(), gu.nn.Linear(65, 33))

    def step(x: gu.Tensor) -> list[gu.Tensor]:
        with gu.autocast(dtype=gu.bfloat16):
            y = model(x)
            loss = (y * y).sum()
        loss.backward()
        results = [y.detach()]
        for p in model.parameters():
            assert p.grad is not None
            results.append(p.grad * 1)
            p.grad = None
        return results

    captured = gu.jit(step)
    rng = np.random.default_rng(0)
    for batch in (5, 8, 7, 64, 131, 1, 0):
        x = gu.tensor(rng.standard_normal((batch, 37)).astype("float32"))
        for a, b in zip(captured(x), step(x), strict=True):
            assert a.float().numpy().tobytes() == b.float().numpy().tobytes(), batch
