"""What tests of commands that run a user's program share."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from typer.testing import CliRunner

import groundup as gu
from groundup.cli.app import app

Command = Callable[..., tuple[int, str]]


@pytest.fixture
def command() -> Command:
    """Runs a command: its exit status, and what it said, spaces made one; other errors are raised
    here."""

    def invoke(*args: object) -> tuple[int, str]:
        result = CliRunner().invoke(app, list(map(str, args)))
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, " ".join(result.output.split())

    return invoke


@pytest.fixture
def kept_threads() -> Iterator[None]:
    """A command may set the number of threads: it is as before afterwards."""
    threads = gu.get_num_threads()
    yield
    gu.set_num_threads(threads)
