"""Networks of very many layers, each in a fresh process: linear layers of width 32 with ReLU and
without normalisation, scaled as by Fixup (Zhang, Dauphin, Ma 2019), trained by SGD.

`python -m groundup.cli.bench.deep DEPTH ours|torch THREADS` is such a process; it prints what it
found as JSON. Must not know how the rows are shown.
"""

from __future__ import annotations

import json
import math
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from os import environ

from groundup.cli.bench import sides
from groundup.cli.bench.limit import reason
from groundup.cli.bench.record import BenchError, Figure

DEPTHS = (100, 1_000, 10_000)
WIDTH, BATCH = 32, 8
LATER = 5  # steps after the first two
ASKED_FIRST = {10_000: 20.0}  # seconds, with an empty kernel cache
LIMIT = 300.0  # seconds for a process

Step = Callable[[], float]


def figures(threads: int, depths: tuple[int, ...] = DEPTHS) -> list[Figure]:
    """For each depth: the first step with an empty and a warm kernel cache, and a captured step
    beside torch's."""
    found: list[Figure] = []
    for depth in depths:
        try:
            with tempfile.TemporaryDirectory(prefix="groundup-bench-") as folder:
                empty = ask(depth, "ours", threads, {"GROUNDUP_CACHE": folder})
                warm = ask(depth, "ours", threads, {"GROUNDUP_CACHE": folder})
            theirs = ask(depth, "torch", threads)
        except BenchError as error:
            found.append(Figure("deep", f"{depth:,} layers", threads, "", failed=str(error)))
            found[-1].met = False
            continue
        asked = ASKED_FIRST.get(depth)
        first, later = empty["first"], warm["later"]
        met = None if asked is None else first <= asked
        found += [
            Figure("deep", f"{depth:,} layers, first step, empty", threads, "s", first, "torch",
                   theirs["first"], asked, met),
            Figure("deep", f"{depth:,} layers, first step, warm", threads, "s", warm["first"],
                   "torch", theirs["first"]),
            Figure("deep", f"{depth:,} layers, captured step", threads, "s", later, "torch",
                   theirs["later"], theirs["later"], later <= theirs["later"], n=LATER),
        ]  # fmt: skip
    return found


def ask(
    depth: int, side: str, threads: int, more: Mapping[str, str] | None = None
) -> dict[str, float]:
    """What a fresh process finds. Raises BenchError if it fails or lasts too long."""
    command = [sys.executable, "-m", "groundup.cli.bench.deep", str(depth), side, str(threads)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=LIMIT, env={**environ, **(more or {})}
        )
    except subprocess.TimeoutExpired:
        raise BenchError(f"{side}: took longer than {LIMIT:g} s") from None
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or [f"exit status {done.returncode}"]
        raise BenchError(f"{side}: {last[0]}"[:300])
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


# ---- in that process -----------------------------------------------------------------------------


def ours(depth: int, threads: int) -> Step:
    """A captured training step of ours."""
    import groundup as gu
    from groundup import nn, optim
    from groundup.nn import functional as F

    gu.set_num_threads(threads)
    gu.manual_seed(0)
    layers: list[nn.Module] = []
    for _ in range(depth):
        layers += [nn.Linear(WIDTH, WIDTH), nn.ReLU()]
    net = nn.Sequential(*layers, nn.Linear(WIDTH, 1))
    for p in net.parameters():
        if p.ndim == 2:
            nn.init.kaiming_uniform_(p, nonlinearity="relu")
        else:
            nn.init.constant_(p, 0.0)
    opt = optim.SGD(net.parameters(), lr=1e-3 / depth)
    x, y = gu.randn(BATCH, WIDTH).realize(), gu.randn(BATCH, 1).realize()

    def step(x: gu.Tensor, y: gu.Tensor) -> gu.Tensor:
        loss = F.mse_loss(net(x), y)
        loss.backward()
        opt.step()
        opt.zero_grad()
        return loss

    captured = gu.jit(step)
    return lambda: float(captured(x, y).item())


def torch(depth: int, threads: int) -> Step:
    """The same in torch, eager."""
    library = sides.torch_module()
    library.set_num_threads(threads)
    library.manual_seed(0)
    nn = library.nn
    layers = []
    for _ in range(depth):
        layers += [nn.Linear(WIDTH, WIDTH), nn.ReLU()]
    net = nn.Sequential(*layers, nn.Linear(WIDTH, 1))
    for p in net.parameters():
        if p.ndim == 2:
            nn.init.kaiming_uniform_(p, nonlinearity="relu")
        else:
            nn.init.zeros_(p)
    opt = library.optim.SGD(net.parameters(), lr=1e-3 / depth)
    x, y = library.randn(BATCH, WIDTH), library.randn(BATCH, 1)

    def step() -> float:
        loss = nn.functional.mse_loss(net(x), y)
        loss.backward()
        opt.step()
        opt.zero_grad()
        return float(loss.item())

    return step


def main(depth: int, side: str, threads: int) -> dict[str, float]:
    """Run a few steps; seconds of the first one and of the later ones (median)."""
    step = (ours if side == "ours" else torch)(depth, threads)
    times = []
    for _ in range(2 + LATER):
        start = time.perf_counter()
        if not math.isfinite(step()):
            raise BenchError(f"the loss of {depth:,} layers is not finite")
        times.append(time.perf_counter() - start)
    return {"first": times[0], "later": statistics.median(times[2:])}


if __name__ == "__main__":
    try:
        print(json.dumps(main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]))))
    except Exception as error:
        sys.exit(reason(error))
