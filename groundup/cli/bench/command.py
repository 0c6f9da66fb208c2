"""The command `groundup bench` and its options. Must not know what they lead to (run.py)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from groundup.cli.bench.record import BenchError


def bench(
    suite: Annotated[
        str,
        typer.Option(help="Suites: gemm, conv, fused, adam, steps, or all."),
    ] = "steps",
    only: Annotated[
        str | None,
        typer.Option(help="Rows whose name contains one of these words.", show_default="all"),
    ] = None,
    peer: Annotated[str, typer.Option(help="Whom to compare with: torch, compile, jax.")] = "torch",
    threads: Annotated[
        str | None, typer.Option(help="Thread counts, such as 1,2.", show_default="1,2")
    ] = None,
    json: Annotated[Path | None, typer.Option(help="File for the rows as JSON.")] = None,
    rounds: Annotated[
        int | None, typer.Option(help="The most rounds of each comparison.", show_default="21")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Few rounds: to see, not to say.")] = False,
    limit: Annotated[float, typer.Option(help="The most seconds for a row.")] = 120.0,
) -> None:
    """Compare with peer libraries: interleaved, results checked first, held to what is asked."""
    from groundup.cli.bench.run import run

    try:
        run(suite, only, peer, threads, json, rounds, quick, limit, typer.echo)
    except BenchError as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(2) from None
