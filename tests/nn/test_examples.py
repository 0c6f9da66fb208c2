"""The examples in docstrings of nn and optim run and print what they say."""

from __future__ import annotations

import doctest
from importlib import import_module

import pytest

import groundup as gu
from groundup import nn, optim

MODULES = [
    "nn.module", "nn.container", "nn.layers", "nn.functional", "nn.init",
    "optim.algorithms", "optim.schedule",
]  # fmt: skip


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str) -> None:
    module = import_module(f"groundup.{name}")
    names = {**vars(nn), **vars(optim), **vars(module), "gu": gu, "nn": nn, "optim": optim}
    result = doctest.testmod(module, globs=names)
    assert result.failed == 0
    assert result.attempted > 0
