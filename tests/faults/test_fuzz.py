"""No input from Python ends the interpreter, or hangs; every error is one that a user can read."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType

import pytest

import groundup as gu
from groundup.nn import functional

from .support import ROOT


def tool() -> ModuleType:
    """tools/fuzz.py as a module."""
    spec = importlib.util.spec_from_file_location("groundup_fuzz", ROOT / "tools" / "fuzz.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def check(seed: int, calls: int) -> None:
    fuzz = tool()
    results = fuzz.run(seed, calls)
    found = [r for r in results if r.get("kind") in ("crash", "hang", "inside")]
    assert not found, "\n".join(map(str, found[:20]))
    assert {r["n"] for r in results} == set(range(calls))
    assert sum("error" not in r for r in results) > calls // 10  # not all is refused


def test_some_hundred_wild_calls() -> None:
    check(1, 300)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 110))
def test_thousands_of_wild_calls(seed: int) -> None:
    check(seed, 4000)


def test_the_tool_sees_crashes_hangs_and_errors_from_inside(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Calls that are known to go wrong are found, and the run goes on behind them."""
    fuzz = tool()
    monkeypatch.setenv("GROUNDUP_FUZZ_FAULTS", "1")
    results = fuzz.run(7, 14)
    kinds = {r.get("kind") for r in results}
    assert {"crash", "hang", "inside"} <= kinds
    assert {r["n"] for r in results} == set(range(14))


def test_errors_name_the_function_and_what_it_was_given() -> None:
    for call, words in (
        (lambda: functional.relu(0.5), "relu: x is a tensor, not 0.5"),
        (lambda: gu.ones(3).dot("a"), "dot: b is a tensor, not 'a'"),
        (lambda: gu.zeros(3, dtype=int), "zeros: dtype is a type such as gu.float32"),
        (lambda: gu.nn.Conv2d(3, "a", 2), "Conv2d was not written for in_channels = 3"),
        (lambda: gu.ones(2, 2).sum(0.5), "sum: dim is a whole number, not a float"),
    ):
        with pytest.raises(TypeError) as caught:
            call()
        assert words in str(caught.value) and "test_fuzz.py" in str(caught.value)
