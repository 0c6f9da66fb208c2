"""Tests of this room run on the plain Python loops and on the compiler (those of jit, which is
about compiled plans, on the compiler only)."""

from collections.abc import Iterator

import pytest

import groundup as gu


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if not metafunc.module.__name__.endswith("test_jit"):
        metafunc.parametrize("engine", ["python", "compiled"], indirect=True)


@pytest.fixture(autouse=True)
def engine(request: pytest.FixtureRequest) -> Iterator[str]:
    if getattr(request, "param", "compiled") == "python":
        with gu.debug():
            yield "python"
    else:
        yield "compiled"
