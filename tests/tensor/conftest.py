"""Every test of this room runs on the plain Python loops and on the compiler."""

from collections.abc import Iterator

import pytest

import groundup as gu


@pytest.fixture(params=["python", "compiled"], autouse=True)
def engine(request: pytest.FixtureRequest) -> Iterator[str]:
    if request.param == "python":
        with gu.debug():
            yield "python"
    else:
        yield "compiled"
