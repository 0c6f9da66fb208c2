"""The commands and their options. A command's work is in a file of its own, imported when it is
called.
"""

import math
import os
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from groundup._version import __version__
from groundup.cli.bench import bench
from groundup.cli.nb import nb

app = typer.Typer(
    name="groundup",
    help="Deep learning in Python from the ground up.",
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


app.command()(bench)
app.add_typer(nb, name="nb")


def run() -> None:
    """Run the command line of this process; the exit code is 2 for wrong input, 130 for Ctrl-C."""
    app(prog_name="groundup")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"groundup {__version__}")
        raise typer.Exit


@app.callback()
def groundup(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Deep learning in Python from the ground up."""


def _positive(value: float | None) -> float | None:
    if value is not None and not (math.isfinite(value) and value > 0):
        raise typer.BadParameter(f"a learning rate is a positive number, not {value:g}.")
    return value


def _seconds(value: float | None) -> float | None:
    if value is not None and not (math.isfinite(value) and value > 0):
        raise typer.BadParameter(f"a limit is a positive number of seconds, not {value:g}.")
    return value


@app.command()
def train(
    dataset: Annotated[str, typer.Argument(help="The data set, such as mnist.")],
    model: Annotated[str, typer.Option(help="The model: cnn or mlp.")] = "cnn",
    epochs: Annotated[
        int | None,
        typer.Option(min=1, help="Passes over the training data.", show_default="the model's own"),
    ] = None,
    lr: Annotated[
        float | None,
        typer.Option(
            callback=_positive, help="The highest learning rate.", show_default="the model's own"
        ),
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(help="Images a step.", show_default="the model's own")
    ] = None,
    seed: Annotated[
        int,
        typer.Option(
            min=0, max=2**63 - 1, help="Decides weights and order; the same seed, the same bits."
        ),
    ] = 0,
    threads: Annotated[
        int | None, typer.Option(min=1, help="CPU threads.", show_default="all cores")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the results.", show_default="runs/DATASET-TIME")
    ] = None,
    json: Annotated[Path | None, typer.Option(help="File for a report as JSON.")] = None,
) -> None:
    """Train a model on a data set, test it, and save weights, history and pictures."""
    from groundup.cli.train import Options, TrainFailed, WrongOption, train_and_save

    try:
        options = Options(dataset, model, epochs, lr, batch_size, seed, threads, out, json)
        train_and_save(options)
    except WrongOption as error:
        raise typer.BadParameter(str(error), param_hint=error.option) from None
    except TrainFailed as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt as interrupt:
        typer.echo(f"Interrupted: {str(interrupt) or 'nothing was saved'}.", err=True)
        raise typer.Exit(130) from None
    except BrokenPipeError:
        # The reader of our output has gone (`groundup … | head`): end quietly, as others do.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(128 + signal.SIGPIPE) from None


@app.command(
    context_settings={"allow_interspersed_args": False, "ignore_unknown_options": False}
)
def tune(
    file: Annotated[
        Path | None, typer.Argument(help="A Python program that uses groundup.", show_default=False)
    ] = None,
    args: Annotated[
        list[str] | None, typer.Argument(help="Its arguments.", show_default=False)
    ] = None,
    limit: Annotated[
        float | None,
        typer.Option(callback=_seconds, help="Seconds of timing.", show_default="no limit"),
    ] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="CPU threads.", show_default="all cores")
    ] = None,
    forget: Annotated[
        bool, typer.Option("--forget", help="Remove all winners instead.")
    ] = False,
) -> None:
    """Run a program, time ways to run its matrix products and convolutions, keep the fastest.

    Later runs take the winners without timing; no bit of any result changes.
    """
    from rich.console import Console

    from groundup.cli.tune import TuneError, tune_program
    from groundup.cli.tune import forget as forget_winners

    if forget == (file is not None):
        raise typer.BadParameter(
            "--forget removes winners and takes no program." if forget else
            "give a Python program, as in groundup tune train.py, or --forget.",
            param_hint="FILE",
        )  # fmt: skip
    try:
        if file is None:
            typer.echo(forget_winners())
            return
        out = Console()
        if not out.is_terminal:
            out = Console(width=120)  # a file has no width that a table would have to fit
        code = tune_program(file, args or [], limit, threads, out)
    except TuneError as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(2) from None
    if code:
        raise typer.Exit(code)


@app.command()
def explain(
    target: Annotated[
        str,
        typer.Argument(
            metavar="FILE.py:NAME",
            help="A Python program, and the name of a tensor in it that is not computed yet, or of "
            "a gu.jit function that the program calls.",
        ),
    ],
    html: Annotated[
        Path | None, typer.Option(help="File for a page with all stages side by side.")
    ] = None,
    machine: Annotated[
        bool, typer.Option("--machine", help="Show LLVM IR and assembly, too.")
    ] = False,
    threads: Annotated[
        int | None, typer.Option(min=1, help="CPU threads.", show_default="all cores")
    ] = None,
) -> None:
    """Run a program, and show stage by stage what one of its expressions becomes.

    The expression as it was written; the kernels; their loops with tiles, vectors and threads; the
    time of each, and its share of what this machine can do.
    """
    from rich.console import Console

    from groundup.cli.explain import ExplainError, explain_name

    out = Console(highlight=False)
    if not out.is_terminal:
        out = Console(width=160, highlight=False)  # a file has no width that lines must fit
    try:
        explain_name(target, html, machine, threads, out)
    except ExplainError as error:
        typer.echo(f"Error: {error}.", err=True)
        raise typer.Exit(2) from None
