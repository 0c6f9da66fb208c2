"""`groundup nb …`: the commands for notebooks. What they do is in `groundup.notebook`."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

nb = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Notebooks: export, test.")

Files = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[FILES]",
        help="Notebooks, folders or patterns.",
        show_default="those of this folder, or of its folder notebooks",
    ),
]
Package = Annotated[str, typer.Option(help="The package's name.")]


@contextmanager
def _errors() -> Iterator[None]:
    """Wrong input ends the command with status 2 and a message."""
    from groundup.notebook import NotebookError

    try:
        yield
    except NotebookError as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(2) from None


@nb.command()
def export(
    files: Files = None,
    everything: Annotated[
        bool, typer.Option("--all", help="All notebooks of this folder, or of notebooks.")
    ] = False,
    package: Package = "exp",
    force: Annotated[bool, typer.Option(help="Discard edits of modules.")] = False,
) -> None:
    """Write cells that begin with #export as modules of a package beside the notebooks."""
    from groundup.notebook import export

    if bool(files) == everything:
        raise typer.BadParameter("name notebooks, or give --all", param_hint="FILES")
    with _errors():
        for made in export(files or (), package, force):
            state = "written" if made.changed else "unchanged"
            typer.echo(f"{made.notebook} → {made.module} ({state})")


@nb.command()
def sync(files: Files = None, package: Package = "exp") -> None:
    """Carry edits of modules back into the cells that they came from."""
    from groundup.notebook import sync

    with _errors():
        carried = sync(files or (), package)
        for module, cell in carried:
            typer.echo(f"{module} → {cell}")
        if not carried:
            typer.echo("no module has edits that its notebook does not hold")


@nb.command()
def clean(
    files: Files = None,
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing; status 1 if one is not clean.")
    ] = False,
    as_filter: Annotated[
        bool, typer.Option("--filter", help="Clean standard input to standard output, for git.")
    ] = False,
) -> None:
    """Strip outputs, counts and the metadata that only makes noise."""
    from groundup.notebook import clean
    from groundup.notebook.clean import cleaned
    from groundup.notebook.files import parse

    with _errors():
        if as_filter:
            text = cleaned(parse(sys.stdin.buffer.read(), "the notebook")).text()
            sys.stdout.buffer.write(text.encode())
            return
        changed = clean(files or (), check)
        for path in changed:
            typer.echo(f"{path} is not clean" if check else f"{path} cleaned")
    if check and changed:
        raise typer.Exit(1)


@nb.command()
def hooks(
    remove: Annotated[bool, typer.Option("--remove", help="Undo it.")] = False,
) -> None:
    """Have git clean notebooks of this repository as they are added to it."""
    from groundup.notebook import hooks

    with _errors():
        typer.echo(hooks(remove=remove))


@nb.command()
def test(
    files: Files = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Kernels at a time.", show_default="processors")
    ] = None,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds for one cell.")] = 600.0,
    only: Annotated[
        str | None,
        typer.Option(metavar="TAG", help="Only notebooks with such a cell; run slow ones of it."),
    ] = None,
    kernel: Annotated[
        str | None, typer.Option(help="Kernel to run in.", show_default="each notebook's own")
    ] = None,
    save: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder for copies with their outputs.")
    ] = None,
    junit: Annotated[
        Path | None, typer.Option(metavar="FILE", help="File for a report as JUnit XML.")
    ] = None,
) -> None:
    """Run notebooks in fresh kernels; stop each at its first failing cell.

    Cells with #| skip or #| eval: false are left out, those with #| slow too unless --only asks for
    them. Status 1 if a notebook fails.
    """
    from groundup.notebook import report, test

    start = time.perf_counter()
    try:
        with _errors():
            results = test(
                files or (), jobs, timeout, only, kernel, save,
                lambda result: typer.echo(report.line(result)),
            )  # fmt: skip
            seconds = time.perf_counter() - start
            if junit is not None:
                report.write_junit(results, seconds, junit)
    except KeyboardInterrupt:
        typer.echo("Interrupted: the kernels are stopped.", err=True)
        raise typer.Exit(130) from None
    if not results:
        typer.echo(f"Error: no notebook has a cell with the tag {only!r}", err=True)
        raise typer.Exit(2)
    typer.echo(report.summary(results, seconds))
    if not all(r.ok for r in results):
        raise typer.Exit(1)
