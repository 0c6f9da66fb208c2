"""Scenarios of captured functions: each is run with `gu.jit` and without, and must not differ."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import groundup as gu

Scenario = Callable[[Callable[..., Any]], Any]  # given a decorator, returns what there is to see


def row(*numbers: float) -> gu.Tensor:
    return gu.tensor([float(n) for n in numbers])


def values(x: Any) -> Any:
    """Nested values with lists in the places of tensors."""
    if isinstance(x, gu.Tensor):
        return x.tolist()
    if isinstance(x, list | tuple):
        return [values(v) for v in x]
    if isinstance(x, dict):
        return {k: values(v) for k, v in x.items()}
    return x


def seen(scenario: Scenario, decorator: Callable[..., Any]) -> str:
    gu.manual_seed(0)
    return repr(scenario(decorator))  # NaN equals NaN, and −0.0 is not 0.0


def as_plain(scenario: Scenario) -> Callable[[], None]:
    """A test that a scenario of captured functions shows what it shows of plain ones."""

    def test() -> None:
        assert seen(scenario, gu.jit) == seen(scenario, lambda f: f)

    return test


def refused(match: str) -> Callable[[Scenario], Callable[[], None]]:
    """A test that a scenario works with plain functions, and is an error with captured ones."""

    def decorate(scenario: Scenario) -> Callable[[], None]:
        def test() -> None:
            seen(scenario, lambda f: f)
            with pytest.raises(RuntimeError, match=match):
                seen(scenario, gu.jit)

        return test

    return decorate
