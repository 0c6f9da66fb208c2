"""The examples in docstrings run and print what they say, in every module that has any."""

from __future__ import annotations

import doctest
from importlib import import_module
from pathlib import Path

import pytest

import groundup as gu
from groundup import nn, optim

PACKAGE = Path(gu.__file__).parent
MODULES = [
    ".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts)
    for file in sorted(PACKAGE.rglob("*.py"))
    if ">>> " in file.read_text()
]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str) -> None:
    module = import_module(name)
    names = {**vars(nn), **vars(optim), **vars(module), "gu": gu, "nn": nn, "optim": optim}
    threads = gu.get_num_threads()
    try:
        result = doctest.testmod(module, globs=names)
    finally:
        gu.set_num_threads(threads)
    assert result.failed == 0
    assert result.attempted > 0


def test_public_rooms_have_examples() -> None:
    rooms = {name.split(".")[1] for name in MODULES}
    assert rooms >= {"runtime", "ir", "tensor", "nn", "optim", "data", "datasets", "train"}
