"""steps: whole training steps (forward, backward, update) of the neutral workloads.

Must not know the models (see ../../workloads/).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from groundup.cli.bench.record import Asked, Loop, State, Step, Suite
from groundup.cli.bench.sides import compile_by_torch
from groundup.cli.workloads import Workload, known

BATCHES = 5
GIGA = 1e9

# Counted by torch.utils.flop_counter, with attention's whole square and the LSTM's products.
# name: (flop of a step, asked of torch eager, asked of torch.compile and JAX)
KNOWN: Mapping[str, tuple[float, float, float]] = {
    "mlp-small": (0.0102 * GIGA, 0.25, 0.6),
    "mlp": (0.41 * GIGA, 0.75, 0.85),
    "lenet": (0.29 * GIGA, 0.5, 0.8),
    "resnet18-cifar": (106.5 * GIGA, 0.85, 1.0),
    "xresnet18": (64.2 * GIGA, 0.8, 1.0),
    "xresnet50": (67.8 * GIGA, 0.75, 1.0),
    "gpt": (72.6 * GIGA, 0.7, 0.95),
    "lstm-lm": (55.7 * GIGA, 0.75, 0.95),
}


# In mixed precision, of torch eager. The two libraries round to bfloat16 (eps 2⁻⁷ = 8e-3) at other
# places (a bias, the scores of attention), so that single scores differ by up to 1e-2 or so; a loss
# is a mean over 1,024 tokens, and √1,024 = 32 times closer (the first five: within 2e-4).
MIXED = {"gpt": 0.9}
MIXED_TOLERANCE = 1e-3


def ours(workload: Workload, plain: bool = False, mixed: bool = False) -> tuple[Step, State]:
    """A training step in groundup, captured by `gu.jit` or plain, and the weights it starts from;
    mixed: the forward pass under autocast to bfloat16.

    Raises ValueError when the model is not the workload's.
    """
    import groundup as gu
    from groundup import nn, optim

    gu.manual_seed(0)
    model = workload.ours()
    count = sum(p.numel() for p in model.parameters())
    if count != workload.parameters:
        raise ValueError(f"the model has {count} parameters, not {workload.parameters}")
    state = State(
        {path: t.numpy() for path, t in model.state_dict().items()},
        tuple(name for name, _ in model.named_parameters()),
    )
    optimizer = optim.SGD(model.parameters(), lr=workload.lr)
    data = [(gu.from_numpy(x), gu.from_numpy(y)) for x, y in workload.batches(BATCHES)]

    def step(x: Any, y: Any) -> Any:
        with gu.autocast(gu.bfloat16, enabled=mixed):
            loss = workload.loss(nn.functional, model, x, y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()  # at the end, for all sides: no gradient outlives its step
        return loss

    run = step if plain else gu.jit(step)
    return (lambda i: float(run(*data[i % BATCHES]).item())), state


def torch(
    workload: Workload, torch: Any, state: State | None, compiled: bool, mixed: bool = False
) -> Step:
    """A training step in torch from these weights (by default its own); compiled: forward and
    backward are; mixed: the forward pass under autocast to bfloat16."""
    functional = torch.nn.functional
    model = workload.theirs(torch)
    if state is not None:
        weights = {name: torch.from_numpy(w.copy()) for name, w in state.arrays.items()}
        model.load_state_dict(weights)
    optimizer = torch.optim.SGD(model.parameters(), lr=workload.lr)
    data = [(torch.from_numpy(x), torch.from_numpy(y)) for x, y in workload.batches(BATCHES)]

    def forward(x: Any, y: Any) -> Any:
        with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
            return workload.loss(functional, model, x, y)

    if compiled:
        forward = compile_by_torch(torch, forward)

    def step(i: int) -> float:
        loss = forward(*data[i % BATCHES])
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return float(loss.item())

    return step


def jax(workload: Workload, jax: Any, state: State) -> Step:
    """A training step in JAX from these weights, one jitted function that reuses their memory."""
    loss = workload.theirs_jax(jax)
    data = [tuple(map(jax.numpy.asarray, pair)) for pair in workload.batches(BATCHES)]
    params = {name: jax.numpy.asarray(state.arrays[name]) for name in state.trained}

    def update(params: Any, x: Any, y: Any) -> Any:
        value, gradients = jax.value_and_grad(loss)(params, x, y)
        moved = jax.tree_util.tree_map(lambda p, g: p - workload.lr * g, params, gradients)
        return moved, value

    run = jax.jit(update, donate_argnums=0)

    def step(i: int) -> float:
        nonlocal params
        params, value = run(params, *data[i % BATCHES])
        return float(value)

    return step


def loop(workload: Workload, plain: bool = False) -> Loop:
    """The row of a workload; plain: our loop without `gu.jit`, of which nothing is asked."""
    flop, eager, compiled = KNOWN.get(workload.name, (0.0, 0.0, 0.0))
    asked = {"torch": eager, "compile": compiled, "jax": compiled} if eager and not plain else {}
    return Loop(
        f"{workload.name}-plain" if plain else workload.name,
        lambda: ours(workload, plain),
        lambda module, state, compiled: torch(workload, module, state, compiled),
        lambda module, state: jax(workload, module, state),
        flop=flop,
        asked=Asked(asked),
    )


def mixed(workload: Workload) -> Loop:
    """The row of a workload in mixed precision, beside torch's."""
    return Loop(
        f"{workload.name}-bf16",
        lambda: ours(workload, mixed=True),
        lambda module, state, compiled: torch(workload, module, state, compiled, mixed=True),
        tolerance=MIXED_TOLERANCE,
        flop=KNOWN[workload.name][0],
        asked=Asked({"torch": MIXED[workload.name]}),
    )


def suite(small: bool = False) -> Suite:
    """Return the rows, lenet's plain one and those in mixed precision; small: those that take a
    moment."""
    quick = ("mlp-small", "mlp", "lenet")
    workloads = {n: w for n, w in known().items() if not small or n in quick}
    cases = [loop(w) for w in workloads.values()]
    halves = [mixed(w) for n, w in workloads.items() if n in MIXED]
    return Suite("steps", (*cases, loop(workloads["lenet"], plain=True), *halves))
