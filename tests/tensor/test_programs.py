"""Random programs of tensors, as a user writes them: values and gradients as torch has them."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import groundup as gu

from ..graphs import examples
from .support import same, torch

pytestmark = pytest.mark.peers
IMAGES = ("conv", "pool", "average")  # take four axes; torch would guess what three mean
Step = Callable[[Any, Any, list[Any]], Any]  # (library, its nn.functional, values) → a value


@pytest.fixture(autouse=True)
def engine() -> str:
    """The compiler alone: that it equals the plain Python loops is tested on the same graphs."""
    return "compiled"


def written(value: Any, write: Callable[[Any], Any]) -> Any:
    """A copy of a value after a write in place through a view of it."""
    y = value * 1
    write(y)
    return y


class Program:
    """Steps that each make one more value out of earlier ones; all are float64.

    `shapes` is what torch says; a step that torch refuses is left out.
    """

    def __init__(self, seed: int, steps: int) -> None:
        self.random = random.Random(seed)
        rng = np.random.default_rng(seed % 2**32)
        sizes = [self.random.choice([1, 2, 3, 4, 5]) for _ in range(4)]
        b, c, h, w = (*sizes[:2], sizes[2] + 2, sizes[3] + 2)
        shapes = [(b, c, h, w), (c, h), (h, w), (w,), (2, c, 2, 2)]
        self.inputs = [rng.uniform(-2, 2, shape) for shape in shapes]
        self.steps: list[tuple[str, Step]] = []
        values = [torch().from_numpy(a) for a in self.inputs]
        while len(self.steps) < steps:
            name, step = self.choice(values)
            try:
                value = step(torch(), torch().nn.functional, values)
            except (RuntimeError, IndexError, ValueError):
                continue
            if 0 < value.numel() <= 400 and bool(value.isfinite().all()) and value.abs().max() < 50:
                values.append(value)
                self.steps.append((name, step))

    def __repr__(self) -> str:
        return "; ".join([str([a.shape for a in self.inputs]), *(name for name, _ in self.steps)])

    def choice(self, values: list[Any]) -> tuple[str, Step]:
        """A random step; positions of values, axes and numbers are drawn now."""
        r = self.random
        i = r.randrange(len(values)) if r.random() < 0.5 else len(values) - 1
        j = r.randrange(len(values))
        rank = values[i].ndim
        dim = r.randrange(rank) if rank else 0
        other = r.randrange(rank) if rank else 0
        size = values[i].shape[dim] if rank else 1
        at = [r.randrange(size) for _ in range(r.choice([1, 3, 5]))]
        keep, cut, by = r.random() < 0.5, r.randrange(size), r.choice([1, 2, 3])
        table: dict[str, Step] = {
            "tanh": lambda lib, F, v: v[i].tanh(),
            "sigmoid": lambda lib, F, v: v[i].sigmoid(),
            "relu": lambda lib, F, v: (v[i] - 0.1).relu(),
            "exp": lambda lib, F, v: (v[i] * 0.3).exp(),
            "log": lambda lib, F, v: (v[i].abs() + 0.5).log(),
            "sqrt": lambda lib, F, v: (v[i] * v[i] + 1).sqrt(),
            "sin": lambda lib, F, v: v[i].sin(),
            "power": lambda lib, F, v: v[i] ** by,
            "add": lambda lib, F, v: v[i] + v[j],
            "sub": lambda lib, F, v: v[i] - v[j] * 0.5,
            "mul": lambda lib, F, v: v[i] * v[j],
            "div": lambda lib, F, v: v[i] / (v[j].abs() + 1),
            "maximum": lambda lib, F, v: lib.maximum(v[i], v[j]),
            "where": lambda lib, F, v: lib.where(v[i] > 0.2, v[j], v[i] * 2),
            "masked": lambda lib, F, v: v[i].masked_fill(v[j] > 0, 0.5),
            "clamp": lambda lib, F, v: v[i].clamp(-0.7, 0.8),
            "sum": lambda lib, F, v: v[i].sum(dim, keepdim=keep) * 0.3,
            "mean": lambda lib, F, v: v[i].mean(dim, keepdim=keep),
            "max": lambda lib, F, v: v[i].max(dim, keepdim=keep).values,
            "softmax": lambda lib, F, v: v[i].softmax(dim),
            "log_softmax": lambda lib, F, v: v[i].log_softmax(dim),
            "logsumexp": lambda lib, F, v: v[i].logsumexp(dim),
            "var": lambda lib, F, v: v[i].var(dim, unbiased=False, keepdim=keep),
            "cumsum": lambda lib, F, v: v[i].cumsum(dim) * 0.3,
            "norm": lambda lib, F, v: (v[i] - v[i].mean(dim, keepdim=True)) * 0.5,
            "transpose": lambda lib, F, v: v[i].transpose(dim, other),
            "flatten": lambda lib, F, v: v[i].flatten(min(dim, other)),
            "reshape": lambda lib, F, v: v[i].reshape(size, -1),
            "unsqueeze": lambda lib, F, v: v[i].unsqueeze(dim),
            "flip": lambda lib, F, v: v[i].flip(dim),
            "cut": lambda lib, F, v: v[i][cut:],
            "stride": lambda lib, F, v: v[i][..., cut::by],
            "one": lambda lib, F, v: v[i][cut],
            "narrow": lambda lib, F, v: v[i].narrow(dim, cut, size - cut),
            "rows": lambda lib, F, v: v[i][lib.tensor(at)],
            "select": lambda lib, F, v: v[i].index_select(dim, lib.tensor(at)),
            "pick": lambda lib, F, v: v[i].index_select(dim, lib.tensor(cut)),
            "cat": lambda lib, F, v: lib.cat([v[i], v[j]], dim),
            "stack": lambda lib, F, v: lib.stack([v[i], v[i] * 2], dim),
            "pad": lambda lib, F, v: (gu if lib is gu else F).pad(v[i], (1, by)),
            "matmul": lambda lib, F, v: v[i] @ v[j],
            "outer": lambda lib, F, v: v[i].unsqueeze(-1) * v[3],
            "linear": lambda lib, F, v: F.linear(v[i], v[2], None) * 0.5,
            "conv": lambda lib, F, v: F.conv2d(v[i], v[4], stride=by, padding=1) * 0.5,
            "pool": lambda lib, F, v: F.max_pool2d(v[i], 2),
            "average": lambda lib, F, v: F.avg_pool2d(v[i], 2, 1),
            "scaled": lambda lib, F, v: written(v[i], lambda y: y.narrow(dim, cut, 1).mul_(0.5)),
            "filled": lambda lib, F, v: written(v[i], lambda y: y[..., cut::by].fill_(0.25)),
            "turned": lambda lib, F, v: written(
                v[i], lambda y: y.transpose(dim, other)[cut:].add_(v[i].mean())
            ),
            "put": lambda lib, F, v: written(v[i], lambda y: y.__setitem__(lib.tensor(at), 0.5)),
        }
        name = r.choice([n for n in table if rank == 4 or n not in IMAGES])
        return f"{len(values)} = {name}({i}, {j}, {dim}, {other}, {cut}, {by}, {at})", table[name]

    def run(self, lib: Any, functional: Any, inputs: list[Any]) -> tuple[list[Any], Any]:
        """All values, and a loss to which each contributes."""
        values = list(inputs)
        for _, step in self.steps:
            values.append(step(lib, functional, values))
        weights = [1 + 0.1 * n for n in range(len(values))]
        loss = sum(((v * w).sin().sum() for v, w in zip(values, weights, strict=True)), 0.0)
        return values[len(inputs) :], loss


@settings(max_examples=examples(100), deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 2**64 - 1), st.integers(1, 8))
def test_random_programs_are_as_in_torch(seed: int, steps: int) -> None:
    program = Program(seed, steps)
    theirs = [torch().tensor(a, requires_grad=True) for a in program.inputs]
    ours = [gu.tensor(a.tolist(), dtype=gu.float64, requires_grad=True) for a in program.inputs]
    wanted, their_loss = program.run(torch(), torch().nn.functional, theirs)
    their_loss.backward()
    got, loss = program.run(gu, gu.nn.functional, ours)
    loss.backward()
    for g, w in zip(got, wanted, strict=True):
        same(g, w, rtol=1e-9, atol=1e-9, where=repr(program))
    for n, (x, t) in enumerate(zip(ours, theirs, strict=True)):
        assert x.grad is not None
        same(x.grad, t.grad, rtol=1e-7, atol=1e-7, where=f"gradient of input {n}: {program}")


@settings(max_examples=examples(12), deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 2**64 - 1), st.integers(1, 8))
def test_random_programs_captured_are_the_plain_ones(seed: int, steps: int) -> None:
    """Values, gradients and a write into an argument, at each of four calls: bit for bit."""
    program = Program(seed, steps)
    scale = gu.tensor(1.0, dtype=gu.float64, requires_grad=True)

    def step(*inputs: gu.Tensor) -> Any:
        values, loss = program.run(gu, gu.nn.functional, [x * scale for x in inputs])
        loss.backward()
        inputs[0].mul_(0.5)
        return values, loss

    captured = gu.jit(step)
    seen: list[list[Any]] = []
    for function in (captured, step):
        scale.grad = None
        found: list[Any] = []
        for call in range(4):
            inputs = [gu.tensor((a + call * 0.1).tolist(), dtype=gu.float64)
                      for a in program.inputs]  # fmt: skip
            values, loss = function(*inputs)
            assert scale.grad is not None
            found += [v.detach().numpy() for v in (*values, loss, scale.grad, inputs[0])]
        seen.append(found)
    for got, wanted in zip(*seen, strict=True):
        assert got.tobytes() == wanted.tobytes(), (got, wanted, repr(program))
