"""Tests of this room run on the plain Python loops, which compile nothing for so many types; and,
marked slow, on the compiler."""

from collections.abc import Iterator

import pytest

import groundup as gu


@pytest.fixture(params=["python", pytest.param("compiled", marks=pytest.mark.slow)], autouse=True)
def engine(request: pytest.FixtureRequest) -> Iterator[str]:
    if request.param == "python":
        with gu.debug():
            yield "python"
    else:
        yield "compiled"
