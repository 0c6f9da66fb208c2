"""Same bits: a training step, captured or not, on any number of threads, on each system, run twice,
with values looked at half-way."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import groundup as gu
from groundup import nn, optim
from groundup.runtime import target

ROOT = Path(__file__).resolve().parents[1]
STEPS = 4


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    before = gu.get_num_threads()
    yield
    gu.set_num_threads(before)


class Net(nn.Module):
    """Convolutions, batch norm, pooling and a matmul; `look` is shown the values half-way."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 8, 5, stride=2, padding=2)
        self.norm = nn.BatchNorm2d(8)
        self.second = nn.Conv2d(8, 16, 3, padding=1)
        self.head = nn.Linear(16 * 7 * 7, 10)

    def forward(self, x: gu.Tensor, look: bool = False) -> gu.Tensor:
        h = self.norm(self.first(x)).relu()
        if look:
            assert str(h) and h.mean().item() > 0
        h = nn.functional.max_pool2d(self.second(h), 2).relu()
        if look:
            assert str(h) and h.sum().item() > 0
        return self.head(h.flatten(1))


def trained(jit: bool = True, look: bool = False) -> str:
    """A digest of parameters, statistics and losses after a few steps."""
    gu.manual_seed(0)
    net = Net()
    opt = optim.AdamW(net.parameters(), lr=1e-2, weight_decay=0.01)
    x, y = gu.randn(64, 1, 28, 28).realize(), gu.randint(0, 10, (64,)).realize()

    def step(x: gu.Tensor, y: gu.Tensor) -> gu.Tensor:
        loss = nn.functional.cross_entropy(net(x, look), y)
        opt.zero_grad()
        loss.backward()
        if look:
            assert str([p.grad for p in net.parameters()])
        opt.step()
        return loss

    run = gu.jit(step) if jit else step
    losses = [run(x, y).item() for _ in range(STEPS)]
    assert losses[-1] < losses[0]
    digest = hashlib.sha256(repr(losses).encode())
    for name, value in net.state_dict().items():
        digest.update(name.encode() + value.numpy().tobytes())
    return digest.hexdigest()


def elsewhere(**environment: str) -> str:
    """`trained()` in a process of its own."""
    code = "from tests.test_bits import trained; print(trained())"
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment}, timeout=120,
    )  # fmt: skip
    return done.stdout.strip()


@pytest.fixture(scope="module")
def expected() -> str:
    gu.set_num_threads(1)
    return trained()


@pytest.mark.parametrize("count", [1, 2, 3, 8])
def test_threads_change_no_bit(expected: str, count: int) -> None:
    gu.set_num_threads(count)
    assert trained() == expected


def test_capturing_changes_no_bit(expected: str) -> None:
    assert trained(jit=False) == expected


def test_looking_changes_no_bit(expected: str) -> None:
    """Values printed half-way are computed on their own: other plans, other fusion."""
    assert trained(jit=False, look=True) == expected


def test_another_process_gives_the_same_bits(expected: str) -> None:
    assert elsewhere() == expected


@pytest.mark.parametrize("count", ["1", "3"])
def test_the_portable_system_gives_the_same_bits(expected: str, count: str) -> None:
    assert elsewhere(GROUNDUP_SYSTEM="portable", GROUNDUP_NUM_THREADS=count) == expected


@pytest.mark.parametrize("cpu", ["haswell", "x86-64"])
def test_other_vector_widths_give_one_result_on_any_number_of_threads(cpu: str) -> None:
    """Sums in lanes depend on the width, on nothing else."""
    if not target.host().has("avx2"):
        pytest.skip("this machine cannot run haswell's code")
    one = elsewhere(GROUNDUP_CPU=cpu, GROUNDUP_NUM_THREADS="1")
    assert elsewhere(GROUNDUP_CPU=cpu, GROUNDUP_NUM_THREADS="3") == one


OTHER_WIDTHS = [
    "tests/schedule/test_compiled.py", "tests/schedule/test_half_products.py",
    "tests/emit/test_operations.py", "tests/autodiff/test_compiled.py",
    "tests/nn/test_convolution.py", "tests/tensor/test_reduce.py", "tests/tensor/test_running.py",
    "tests/tensor/test_ordering.py", "tests/tensor/test_placing.py",
]  # fmt: skip


@pytest.mark.parametrize("cpu", ["haswell", "x86-64"])
def test_compiled_graphs_are_right_at_other_vector_widths(cpu: str) -> None:
    if not target.host().has("avx2"):
        pytest.skip("this machine cannot run haswell's code")
    some = (
        "random_graphs or awkward or convolution_gradients or half or halves or float16 or second "
        "or guards or test_convolution.py or test_reduce.py or test_running.py or test_ordering.py "
        "or test_placing.py"
    )
    # The plain loops of Python are the same on every processor.
    options = ["-q", "-p", "no:cacheprovider", "-k", f"({some}) and not python"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *OTHER_WIDTHS],
        capture_output=True, text=True, cwd=ROOT, timeout=300, check=False,
        env={**os.environ, "GROUNDUP_CPU": cpu, "GROUNDUP_GRAPHS": "60"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "int32"])
@pytest.mark.parametrize("m, k, n", [(1, 700, 9), (8, 300, 1), (33, 257, 65), (64, 1024, 40)])
def test_a_constant_operand_may_be_looked_at(m: int, k: int, n: int, dtype: str) -> None:
    """A product with a tensor that is one number everywhere: pending, or in memory."""
    kind = getattr(gu, dtype)
    x = (gu.randn(m, k) * 8).to(kind).realize()
    for make in (lambda: gu.full((k, n), 0.7) * 1.3, lambda: gu.ones(k, n) / 3 + 2):
        pending, seen = (make().to(kind) for _ in range(2))
        seen.realize()
        both, other = gu.full((m, k), 0.3).to(kind), gu.full((m, k), 0.3).to(kind).realize()
        i, j, r = gu.axes("i j r")
        products = [
            (x @ pending, x @ seen),
            (both @ pending, other @ seen),
            tuple((x[i, r] * y[r, j]).sum(r).order(j, i) for y in (pending, seen)),
            (nn.functional.linear(x, pending.T), nn.functional.linear(x, seen.T)),
        ]
        for one, another in products:
            assert one.tolist() == another.tolist()
