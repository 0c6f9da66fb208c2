"""The command `groundup bench` and its options. Must not know what they lead to (run.py)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from groundup.cli.bench.record import BenchError

SUITES = "gemm, conv, einsum, fused, gallery, adam, steps; peak, wake, deep, memory, first; or all"


def bench(
    suite: Annotated[str, typer.Option(help=f"Suites: {SUITES}.")] = "steps",
    only: Annotated[
        str | None,
        typer.Option(help="Rows with these names, or words in them.", show_default="all"),
    ] = None,
    peer: Annotated[
        str, typer.Option(help="Whom to compare with: torch,compile,jax,numpy,dims.")
    ] = "torch",
    threads: Annotated[
        str | None, typer.Option(help="Thread counts, such as 1,2.", show_default="1,2")
    ] = None,
    json: Annotated[Path | None, typer.Option(help="File for the results as JSON.")] = None,
    rounds: Annotated[
        int | None, typer.Option(help="The most rounds of each comparison.", show_default="21")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Few rounds: to see, not to say.")] = False,
    limit: Annotated[float, typer.Option(help="The most seconds for a row.")] = 120.0,
    cpu: Annotated[
        str | None,
        typer.Option(
            help="Hold both sides to an older processor: haswell (AVX2) or x86-64.",
            show_default="this one",
        ),
    ] = None,
    write_docs: Annotated[
        bool, typer.Option("--write-docs", help="Write docs/benchmarks.md from this run.")
    ] = False,
    runs: Annotated[
        list[Path] | None,
        typer.Option("--from", help="With --write-docs: from this JSON of a run; repeatable."),
    ] = None,
) -> None:
    """Compare with peer libraries: interleaved, results checked first, held to what is asked."""
    from groundup.cli.bench import docs, older, options
    from groundup.cli.bench.run import run

    try:
        if cpu is not None:
            older.hold_to(cpu)
        if runs and not write_docs:
            raise BenchError("--from names runs to write docs from: add --write-docs")
        if write_docs:
            docs.check_place()
        if runs:
            docs.write(docs.read(runs))
            return
        chosen = options.parse(suite, only, peer, threads, json, rounds, quick, limit)
        found = run(chosen, typer.echo)
        if write_docs:
            docs.write([found.data()])
    except BenchError as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(2) from None
