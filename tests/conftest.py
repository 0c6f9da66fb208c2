"""What all tests share: where real data is, which tests need a peer, and a kernel cache of their
own.
"""

import os
import tempfile
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def pytest_configure(config: pytest.Config) -> None:
    """Give the run a kernel cache of its own, unless it was given one: no test sees the user's."""
    if "GROUNDUP_CACHE" not in os.environ:
        os.environ["GROUNDUP_CACHE"] = tempfile.mkdtemp(prefix="groundup-test-cache-")


# Files whose few tests take longest: begun first, so that no worker waits for another at the end.
LONG = ("tests/test_bits.py", "tests/schedule/test_contraction.py", "tests/cli/test_train.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    unlike = [item.nodeid for item in items if " at 0x" in item.nodeid]
    assert not unlike, f"names that differ in each process, which xdist refuses: {unlike[:3]}"
    items.sort(key=lambda item: item.nodeid.partition("::")[0] not in LONG)


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("peers") and find_spec("torch") is None:
        pytest.skip("compares with torch, which is not installed: pip install -e '.[peers]'")


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of real data: GROUNDUP_TEST_DATA, or ../shared/data beside the project."""
    folder = Path(os.environ.get("GROUNDUP_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no folder of real data at {folder} (set GROUNDUP_TEST_DATA)")
    return folder
