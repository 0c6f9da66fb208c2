"""adam: one update of ten million parameters by Adam, beside torch's fused one."""

from __future__ import annotations

from typing import Any

from groundup.cli.bench.record import Asked, Loop, State, Step, Suite

COUNT = 10_000_000
LR = 1e-3
STRIDE = 7919  # each call tells one element, and not the same


def _arrays(count: int) -> dict[str, Any]:
    import numpy as np

    rng = np.random.default_rng(0)
    return {name: rng.standard_normal(count, dtype=np.float32) for name in ("weight", "gradient")}


def ours(count: int) -> tuple[Step, State]:
    """The update in groundup, captured by `gu.jit`."""
    import groundup as gu
    from groundup import nn, optim

    arrays = _arrays(count)
    parameter = nn.Parameter(gu.from_numpy(arrays["weight"]))
    gradient = gu.from_numpy(arrays["gradient"]).realize()
    optimizer = optim.Adam([parameter], lr=LR)

    @gu.jit
    def update(gradient: Any) -> None:
        parameter.grad = gradient
        optimizer.step()
        parameter.grad = None

    def step(i: int) -> float:
        update(gradient)
        return float(parameter[i * STRIDE % count].item())

    return step, State(arrays, ("weight",))


def torch(torch: Any, state: State, compiled: bool) -> Step:
    """The update in torch: its fused kernel, or its plain loop compiled."""
    parameter = torch.nn.Parameter(torch.from_numpy(state.arrays["weight"].copy()))
    parameter.grad = torch.from_numpy(state.arrays["gradient"].copy())
    optimizer = torch.optim.Adam([parameter], lr=LR, **({} if compiled else {"fused": True}))
    update = torch.compile(optimizer.step) if compiled else optimizer.step
    count = len(parameter)

    def step(i: int) -> float:
        update()
        return float(parameter[i * STRIDE % count].item())

    return step


def suite(small: bool = False) -> Suite:
    """Return the one row."""
    count = COUNT // 10_000 if small else COUNT
    # Parameter, gradient and two moments are read, all but the gradient written.
    row = Loop(
        "adam 10M fused", lambda: ours(count), torch, tolerance=1e-5,
        read=16.0 * count, written=12.0 * count, asked=Asked({"torch": 1.05}, share=None),
    )  # fmt: skip
    return Suite("adam", (row,))
