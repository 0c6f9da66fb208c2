"""Products that compute an operand on their way: the bits of the same product of a stored tensor,
on any number of threads, and the tensor is nowhere stored."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import groundup as gu
import groundup.nn.functional as F
from groundup import runtime
from groundup.emit.kernel import Contraction
from groundup.ir import bounds
from groundup.schedule import Plan, Signature, contract, prologue, tiles
from groundup.tensor import Tensor

RNG = np.random.default_rng(0)
NEVER = 1 << 60


@pytest.fixture(autouse=True)
def always(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whatever is small, and whatever it costs."""
    monkeypatch.setattr(contract, "SMALL", 1)
    monkeypatch.setattr(contract, "PARALLEL", 1)
    monkeypatch.setattr(prologue, "LARGE", 1)
    monkeypatch.setattr(prologue, "SAVED", 1e9)
    before = runtime.get_num_threads()
    yield
    runtime.set_num_threads(before)


def random(*shape: int, dtype: str = "float32") -> Tensor:
    values = RNG.normal(size=shape)
    if values.size > 4:
        values.flat[:4] = np.inf, np.nan, -0.0, 1e-40
    return gu.from_numpy(values.astype("float32")).to(getattr(gu, dtype)).realize()


def planned(x: Tensor) -> Plan:
    return Plan(Signature([x.node]), [x.node], [None])


def kernels(plan: Plan) -> list[Contraction]:
    return [s.kernel for s in plan.steps if isinstance(s.kernel, Contraction)]


def computed(plan: Plan) -> list[str]:
    """Which operand each product computes, if any."""
    found = []
    for k in kernels(plan):
        if k.prologue is not None:
            found.append("columns" if k.prologue.loop is k.n[0] else "rows")
    return found


def run(plan: Plan, x: Tensor, threads: int) -> bytes:
    runtime.set_num_threads(threads)
    signature = Signature([x.node])
    (result,) = plan.run(signature.buffers, signature.n, [None])
    return bytes(result.memoryview())


def agree(make: Callable[[], Tensor], *which: str) -> None:
    """Computed on the way, by 1, 2, 3 and 8 threads, as from memory."""
    x = make()
    plan = planned(x)
    assert computed(plan) == list(which)
    large = prologue.LARGE
    prologue.LARGE = NEVER
    stored = planned(x)
    prologue.LARGE = large
    assert not computed(stored)
    assert len(plan.steps) < len(stored.steps)
    expected = run(stored, x, 1)
    for threads in (1, 2, 3, 8):
        assert run(plan, x, threads) == expected


def affine_relu(x: Tensor, s: Tensor, b: Tensor) -> Tensor:
    return gu.relu(x * s + b)


# ---- rows ----------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=40)
@given(
    m=st.sampled_from([2, 3, 13, 14, 15, 29, 57, 130]), k=st.sampled_from([1, 2, 15, 16, 17, 65]),
    n=st.sampled_from([16, 17, 31, 33, 50, 64, 96]),
)  # fmt: skip
def test_rows_of_a_matrix(m: int, k: int, n: int) -> None:
    x, w, s, b = random(m, k), random(k, n), random(k), random(k)
    plan = planned(affine_relu(x, s, b) @ w)
    if computed(plan):  # few terms are cheaper in other tiles
        agree(lambda: affine_relu(x, s, b) @ w, *computed(plan))


def test_rows_of_a_linear_layer_with_work_on_both_sides() -> None:
    x, w, b, r = random(70, 40), random(33, 40), random(33), random(70, 33)
    agree(lambda: gu.tanh(F.linear(F.gelu(x), w, b)) + r, "rows")


def test_rows_of_a_batch() -> None:
    x, y, w = random(3, 29, 40), random(3, 29, 40), random(40, 64)
    agree(lambda: gu.relu(x + y) @ w, "rows")


def test_many_tiles_are_computed_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prologue, "TOGETHER", 4 << 10)
    x, w = random(200, 9), random(9, 40)
    plan = planned(gu.exp(x) @ w)
    (kernel,) = kernels(plan)
    assert kernel.prologue is not None and kernel.prologue.tiles > 1
    agree(lambda: gu.exp(x) @ w, "rows")


def test_a_long_sum_runs_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiles, "PANEL", 4096)
    monkeypatch.setattr(tiles, "LEAST_BLOCK", 32)
    x, w = random(40, 1000), random(1000, 40)
    plan = planned(gu.relu(x) @ w)
    assert [k.block is not None for k in kernels(plan)] == [True]
    agree(lambda: gu.relu(x) @ w, "rows")


@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_other_types(dtype: str) -> None:
    x, w = random(50, 40, dtype=dtype), random(40, 48, dtype=dtype)
    agree(lambda: gu.relu(x) @ w, "rows")


def test_products_of_bfloat16_store_their_operands() -> None:
    x, w = random(50, 40, dtype="bfloat16"), random(40, 48, dtype="bfloat16")
    assert not computed(planned(gu.relu(x) @ w))


# ---- columns, and images -------------------------------------------------------------------------


def image(x: Tensor, s: Tensor, b: Tensor) -> Tensor:
    return affine_relu(x, s.view(1, -1, 1, 1), b.view(1, -1, 1, 1))


@pytest.mark.parametrize("size", [7, 9, 14])
@pytest.mark.parametrize("channels", [(40, 70), (16, 16), (64, 33)])
def test_columns_of_a_convolution(size: int, channels: tuple[int, int]) -> None:
    c, o = channels
    x, w, s, b = random(4, c, size, size), random(o, c, 1, 1), random(c), random(c)
    agree(lambda: F.conv2d(image(x, s, b), w), "columns")


@pytest.mark.parametrize("stride", [1, 2])
def test_an_image_with_its_channels_innermost(stride: int) -> None:
    x, v, w = random(3, 5, 9, 9), random(40, 5, 3, 3), random(50, 40, 1, 1)
    s, b = random(40), random(40)

    def make() -> Tensor:
        y = F.conv2d(x, v, padding=1)  # is read twice: its ReLU is no part of it
        return F.conv2d(image(y, s, b), w, stride=stride) + y.amax()

    agree(make, "rows")


# ---- where it must not be ------------------------------------------------------------------------


def test_what_two_read_is_stored() -> None:
    x, w, v = random(50, 40), random(40, 48), random(40, 32)

    def make() -> Tensor:
        y = gu.relu(x)
        return (y @ w).sum() + (y @ v).sum()

    assert not computed(planned(make()))


def test_what_a_window_reads_several_times_is_stored() -> None:
    x, w = random(2, 16, 9, 9), random(16, 16, 3, 3)
    assert not computed(planned(F.conv2d(gu.relu(x), w, padding=1)))


def test_a_square_is_stored() -> None:
    x = random(40, 40)
    assert not computed(planned(gu.relu(x) @ gu.relu(x)))


def test_of_two_operands_the_larger_one_is_computed() -> None:
    x, y, w = random(80, 40), random(40, 48), random(40)
    agree(lambda: gu.relu(x) @ gu.tanh(y * w[:, None]), "rows")


def test_small_tensors_are_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prologue, "LARGE", 1 << 20)
    x, w = random(50, 40), random(40, 48)
    assert not computed(planned(gu.relu(x) @ w))


def test_indices_from_data_are_checked_and_stored() -> None:
    x, w, i = random(50, 40), random(40, 48), gu.tensor([3, 1, 49])
    assert not computed(planned(gu.relu(x[i]) @ w))
    with pytest.raises(IndexError, match="the index 50"):
        (gu.relu(x[gu.tensor([3, 50])]) @ w).realize()


def test_a_weight_that_its_own_product_replaces() -> None:
    """What is computed on the way is read after the first results are written: not in place."""

    def step(w: Tensor) -> Tensor:
        with gu.no_grad():
            w.copy_(w - 0.1 * (gu.relu(w * 2.0) @ gu.eye(64)))
        return w

    w = gu.from_numpy(RNG.normal(size=(64, 64)).astype("float32"))
    expected = w.numpy().copy()
    for _ in range(3):
        expected -= np.float32(0.1) * np.maximum(expected * np.float32(2), np.float32(0))
    captured = gu.jit(step)
    for _ in range(3):
        captured(w)
    np.testing.assert_allclose(w.numpy(), expected, rtol=1e-6)


def test_as_the_reference() -> None:
    values = RNG.normal(size=(37, 30)).astype("float32")
    weights = RNG.normal(size=(30, 48)).astype("float32")
    x, w = gu.from_numpy(values), gu.from_numpy(weights)
    assert computed(planned(gu.tanh(x) @ w)) == ["rows"]
    got = (gu.tanh(x) @ w).numpy()
    with gu.debug():
        expected = (gu.tanh(x) @ w).numpy()
    terms = np.abs(np.tanh(values))[:, :, None] * np.abs(weights)[None]
    allowed = bounds.ULPS["tanh"] * 2.0**-23 + (30 + 8) * 2.0**-24
    assert (np.abs(got - expected) <= allowed * terms.sum(1)).all()


def test_a_runtime_number_of_rows() -> None:
    w = random(40, 48)
    f = gu.jit(lambda x: gu.relu(x * 2.0) @ w)
    for m in (64, 65, 64, 3, 200):
        x = gu.from_numpy(RNG.normal(size=(m, 40)).astype("float32"))
        prologue.LARGE, large = NEVER, prologue.LARGE
        expected = (gu.relu(x * 2.0).realize() @ w).numpy()
        prologue.LARGE = large
        np.testing.assert_array_equal(f(x).numpy(), expected)
