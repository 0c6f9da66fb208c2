"""`groundup bench`: the neutral workloads side by side with a peer, in one process, interleaved.

Both sides start from the same weights and see the same batches; the first five losses must agree
before anything is timed. Must not know how a model is built (see workloads/) or run.
"""

from __future__ import annotations

import gc
import json as json_format
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer

from groundup.cli.workloads import Workload, known

Step = Callable[[int], float]  # (number of the batch) → the loss

LOSS_TOLERANCE = 1e-4  # the first five losses of both sides differ by no more
BATCHES = 5
BLOCK_SECONDS = 0.06  # how long one side runs before the other has its turn
# libgomp's workers go on spinning after a parallel region ends and would steal the other side's
# core: with more than one thread, each side waits until the other's have gone to sleep.
IDLE_SECONDS = 0.03
# A row whose ratios spread further says more about the other work on the machine than about us.
NOISY = 0.25


class BenchError(Exception):
    """What the user asked for cannot be measured; the message says why."""


@dataclass
class Row:
    """One comparison. Times in milliseconds a step; ratio = ours / peer, below 1 we are faster."""

    name: str
    threads: int
    peer: str
    ours_ms: float
    peer_ms: float
    ratio_median: float
    ratio_min: float
    n: int
    ratio_spread: float = 0.0  # (third quartile − first quartile) / median of the ratios
    ours_first_ms: float = 0.0  # our first two steps: capturing and compiling included
    peer_first_ms: float = 0.0
    loss_difference: float = 0.0
    ratios: list[float] = field(default_factory=list, repr=False)


# ---- the two sides -------------------------------------------------------------------------------


def _batches(workload: Workload) -> list[tuple[Any, Any]]:
    """The same random batches for everyone, as NumPy arrays."""
    import numpy as np

    rng = np.random.default_rng(0)
    return [
        (
            rng.standard_normal(workload.batch, dtype=np.float32),
            rng.integers(0, workload.classes, workload.batch[0]),
        )
        for _ in range(BATCHES)
    ]


def ours(workload: Workload, batches: Sequence[tuple[Any, Any]], eager: bool) -> tuple[Any, Step]:
    """(the model, a training step) in groundup."""
    import groundup as gu
    from groundup import nn, optim

    gu.manual_seed(0)
    model = workload.ours()
    optimizer = optim.SGD(model.parameters(), lr=workload.lr)
    data = [(gu.from_numpy(x), gu.from_numpy(y)) for x, y in batches]

    def step(x: Any, y: Any) -> Any:
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()  # at the end, for both sides: no gradient outlives its step
        return loss

    run = step if eager else gu.jit(step)
    return model, lambda i: float(run(*data[i % BATCHES]).item())


def torch_eager(
    workload: Workload, batches: Sequence[tuple[Any, Any]], weights: dict[str, Any]
) -> Step:
    """A training step in torch, starting from these weights (NumPy arrays by name)."""
    torch = _torch()
    model = workload.theirs(torch)
    model.load_state_dict({name: torch.from_numpy(w.copy()) for name, w in weights.items()})
    optimizer = torch.optim.SGD(model.parameters(), lr=workload.lr)
    data = [(torch.from_numpy(x), torch.from_numpy(y)) for x, y in batches]

    def step(i: int) -> float:
        x, y = data[i % BATCHES]
        loss = torch.nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return float(loss.item())

    return step


def _torch() -> Any:
    from importlib import import_module

    try:
        return import_module("torch")
    except ImportError as error:
        raise BenchError(
            "the peer torch is not installed: pip install 'groundup[peers]'"
        ) from error


# ---- measuring -----------------------------------------------------------------------------------


def _first_losses(name: str, ours: Step, theirs: Step) -> tuple[float, float, float]:
    """(our first two steps in ms, their first in ms, the largest difference of five losses)."""
    times: list[list[float]] = [[], []]
    losses: list[list[float]] = [[], []]
    for i in range(BATCHES):
        for side, step in enumerate((ours, theirs)):
            start = time.perf_counter()
            losses[side].append(step(i))
            times[side].append((time.perf_counter() - start) * 1e3)
    worst = max(abs(a - b) for a, b in zip(*losses, strict=True))
    if not worst <= LOSS_TOLERANCE:
        raise BenchError(
            f"{name}: the first {BATCHES} losses differ by {worst:.2e}, more than"
            f" {LOSS_TOLERANCE:.0e}; this is not the same mathematics\n"
            f"  ours   {losses[0]}\n  theirs {losses[1]}"
        )
    return sum(times[0][:2]), times[1][0], worst


def _block(step: Step, steps: int) -> float:
    """Milliseconds a step, over a block of steps after two that wake threads and caches."""
    step(0), step(1)
    start = time.perf_counter()
    for i in range(steps):
        step(i)
    return (time.perf_counter() - start) / steps * 1e3


def _rounds(ours: Step, theirs: Step, rounds: int, threads: int) -> list[tuple[float, float]]:
    """(our ms, their ms) of each round; who goes first alternates."""
    idle = IDLE_SECONDS if threads > 1 else 0.0
    counts = []
    for step in (ours, theirs):
        once = min(_block(step, 3) for _ in range(2))
        counts.append(max(3, round(BLOCK_SECONDS * 1e3 / once)))
        time.sleep(idle)
    result = []
    gc.collect()
    gc.disable()
    try:
        for i in range(rounds):
            pair = [0.0, 0.0]
            for side in (0, 1) if i % 2 == 0 else (1, 0):
                pair[side] = _block((ours, theirs)[side], counts[side])
                time.sleep(idle)
            result.append((pair[0], pair[1]))
    finally:
        gc.enable()
    return result


def compare(workload: Workload, threads: int, rounds: int, eager: bool) -> Row:
    """One row: our step, captured or eager, beside torch's eager step."""
    import statistics

    import groundup as gu

    torch = _torch()
    gu.set_num_threads(threads)
    torch.set_num_threads(threads)
    name = f"{workload.name}-plain" if eager else workload.name
    batches = _batches(workload)
    model, our_step = ours(workload, batches, eager)
    count = sum(p.numel() for p in model.parameters())
    if count != workload.parameters:
        raise BenchError(f"{name} has {count} parameters, {workload.parameters} were expected")
    weights = {path: t.numpy() for path, t in model.state_dict().items()}
    their_step = torch_eager(workload, batches, weights)
    first, their_first, difference = _first_losses(name, our_step, their_step)
    times = _rounds(our_step, their_step, rounds, threads)
    ratios = [a / b for a, b in times]
    quarter = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else [ratios[0]] * 3
    median = statistics.median(ratios)
    return Row(
        name=name,
        threads=threads,
        peer="torch",
        ours_ms=statistics.median(a for a, _ in times),
        peer_ms=statistics.median(b for _, b in times),
        ratio_median=median,
        ratio_min=min(ratios),
        n=len(ratios),
        ratio_spread=(quarter[2] - quarter[0]) / median,
        ours_first_ms=first,
        peer_first_ms=their_first,
        loss_difference=difference,
        ratios=[round(r, 4) for r in ratios],
    )


# ---- reporting -----------------------------------------------------------------------------------


def machine() -> dict[str, Any]:
    """Hardware and versions, as every report states them."""
    import platform
    from importlib.metadata import version

    import groundup

    return {
        "cpu": _cpu(),
        "cores": _cores(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "groundup": groundup.__version__,
        "llvmlite": version("llvmlite"),
        "torch": _torch().__version__,
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def _cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cpu() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    import platform

    return platform.processor() or "unknown"


_HEAD = (
    f"{'name':<14} {'threads':>7} {'peer':<6} {'ours_ms':>9} {'peer_ms':>9} {'ratio':>6} "
    f"{'min':>6} {'n':>3} {'spread':>6} {'first_ms':>9} {'Δloss':>8}"
)


def _line(row: Row) -> str:
    return (
        f"{row.name:<14} {row.threads:>7} {row.peer:<6} {row.ours_ms:>9.3f} {row.peer_ms:>9.3f} "
        f"{row.ratio_median:>6.2f} {row.ratio_min:>6.2f} {row.n:>3} {row.ratio_spread:>6.1%} "
        f"{row.ours_first_ms:>9.0f} {row.loss_difference:>8.1e}"
    )


def _chosen(suite: str, only: str | None) -> list[Workload]:
    if suite != "steps":
        raise BenchError(f"there is no suite {suite!r}; known is: steps")
    workloads = known()
    names = [n.strip() for n in only.split(",")] if only else list(workloads)
    for name in names:
        if name not in workloads:
            raise BenchError(f"there is no workload {name!r}; known are: {', '.join(workloads)}")
    return [workloads[name] for name in names]


def _thread_counts(threads: str | None) -> list[int]:
    if threads is None:
        return [1, 2] if _cores() > 1 else [1]
    try:
        counts = [int(t) for t in threads.split(",")]
    except ValueError:
        counts = []
    if not counts or min(counts) < 1:
        raise BenchError(f"--threads is a list of positive numbers such as 1,2, not {threads!r}")
    return counts


def run(
    suite: str = "steps",
    only: str | None = None,
    peer: str = "torch",
    threads: str | None = None,
    json: Path | None = None,
    eager: bool = False,
    rounds: int = 21,
    echo: Callable[[str], object] = print,
) -> list[Row]:
    """Measure and print the rows; write them to `json` as {"header": …, "rows": […]}.

    only: names separated by commas (all of the suite by default). threads: counts separated by
    commas, set equal on both sides. eager: our plain loop, without `gu.jit`; lenet is always
    measured so as well, as the row lenet-plain. Raises BenchError.
    """
    workloads = _chosen(suite, only)
    counts = _thread_counts(threads)
    if peer != "torch":
        raise BenchError(f"there is no peer {peer!r}; known is: torch")
    if rounds < 1:
        raise BenchError(f"--rounds must be at least 1, not {rounds}")
    header = machine()
    for key, value in header.items():
        echo(f"# {key}: {value}")
    echo("# ratio = ours / peer of each round, below 1 we are faster; blocks interleaved")
    echo("# first_ms = our first two steps, with capture and compilation; excluded elsewhere")
    echo(_HEAD)
    rows: list[Row] = []
    for count in counts:
        for workload in workloads:
            plain = [True] if eager else [False, True] if workload.name == "lenet" else [False]
            for without_jit in plain:
                rows.append(compare(workload, count, rounds, without_jit))
                echo(_line(rows[-1]))
                if rows[-1].ratio_spread > NOISY:
                    echo("#   noisy: the ratios spread too far; other work shares this machine")
    if json is not None:
        text = {"header": header, "rows": [asdict(row) for row in rows]}
        try:
            json.write_text(json_format.dumps(text, indent=1) + "\n")
        except OSError as error:
            raise BenchError(f"cannot write {json}: {error.strerror}") from error
    return rows


def bench(
    suite: Annotated[str, typer.Option(help="The suite: steps.")] = "steps",
    only: Annotated[
        str | None,
        typer.Option(help="Workloads, such as mlp-small,mlp,lenet.", show_default="all"),
    ] = None,
    peer: Annotated[str, typer.Option(help="Whom to compare with: torch.")] = "torch",
    threads: Annotated[
        str | None, typer.Option(help="Thread counts, such as 1,2.", show_default="1,2")
    ] = None,
    json: Annotated[Path | None, typer.Option(help="File for the rows as JSON.")] = None,
    eager: Annotated[
        bool, typer.Option("--eager", help="Measure the plain loop, without gu.jit.")
    ] = False,
    rounds: Annotated[int, typer.Option(help="How many rounds of each comparison.")] = 21,
) -> None:
    """Compare training steps with a peer library, in one process, interleaved."""
    try:
        run(suite, only, peer, threads, json, eager, rounds, typer.echo)
    except BenchError as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(2) from None
