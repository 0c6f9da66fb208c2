"""torch's own list of operations on complex numbers: values, types, gradients, and who refuses.

`pytest -m slow tests/oracles` runs every sample; without it, one of each. Must not know any
operation: entries.py and complexes.py say which of ours is meant.
"""

from __future__ import annotations

import re
from itertools import islice
from typing import Any
from zlib import crc32

import pytest

import groundup as gu

from . import harness
from .complexes import BEYOND, PARTLY, REFUSED, ROOM
from .entries import RANDOM, WRONG_THERE, function, tolerance
from .test_op_db import MAPPED, entries

pytestmark = pytest.mark.peers
KINDS = {"complex128": "float64", "complex64": "float32"}  # and which tolerance is meant
FIRST = 8  # CI runs one of so many samples of an entry


def _there(key: str) -> bool:
    """Does torch have a result for complex numbers?"""
    import torch

    return torch.complex128 in entries()[key].dtypes


THERE = [k for k in MAPPED if _there(k)]
COMPARED = [k for k in THERE if k not in REFUSED]
ELSEWHERE = [k for k in MAPPED if k not in THERE]


def ours(key: str) -> Any:
    op = entries()[key]
    found = function(op.name, op.variant_test_name)
    assert found is not None
    return found


def samples(key: str, kind: str, grad: bool, every: bool) -> list[tuple[int, Any]]:
    """All samples of an entry in a type, or one, always the same."""
    import torch

    found = harness.samples(entries()[key], getattr(torch, kind), grad)
    if every:
        return list(found)
    first = list(islice(found, FIRST))
    return first[crc32(key.encode()) % len(first) :][:1] if first else []


def run(key: str, every: bool) -> None:
    """Samples of an entry in each complex type."""
    import torch

    op, function_ = entries()[key], ours(key)
    part = PARTLY.get(key, ("all", ""))[0]
    theirs = (lambda *a, **k: op(*a, **k)[0]) if part == "first" else op
    mine = (lambda *a, **k: function_(*a, **k)[0]) if part == "first" else function_
    room = {**(tolerance(op.name) or {}), **ROOM.get(key, {})}
    wrong: list[str] = []
    for kind, narrow in KINDS.items():
        if getattr(torch, kind) not in op.dtypes:
            continue
        if not every and kind == "complex64" and not harness.chosen(key, kind, 0):
            continue  # of the narrow type, a tenth of the entries
        grad = kind == "complex128" and op.supports_autograd and op.name not in WRONG_THERE
        grad = grad and part != "values"
        for number, sample in samples(key, kind, grad, every):
            random = op.name in RANDOM and bool(RANDOM[op.name](sample))
            try:
                found = harness.check_sample(theirs, mine, sample, grad, room, narrow, random)
            except harness.Unsupported:
                continue
            wrong += [f"{kind} {number} ({harness.described(sample)}): {f}" for f in found]
    assert not wrong, f"{len(wrong)} differences:\n" + "\n".join(wrong[:10])


@pytest.mark.parametrize("key", COMPARED)
def test_a_sample(key: str) -> None:
    run(key, every=False)


@pytest.mark.slow
@pytest.mark.parametrize("key", COMPARED)
def test_every_sample(key: str) -> None:
    run(key, every=True)


def _complex(value: Any) -> Any:
    """An argument of a sample of real numbers, as complex ones."""
    import torch

    if isinstance(value, torch.Tensor) and value.is_floating_point():
        return (value.detach() * (1 + 0.5j)).to(torch.complex128)
    if type(value) in (tuple, list):
        return type(value)(map(_complex, value))
    return value


class _Sample:
    """A sample of real numbers, as one of complex ones."""

    def __init__(self, sample: Any) -> None:
        self.input = _complex(sample.input)
        self.args = tuple(map(_complex, sample.args))
        self.kwargs = {k: _complex(v) for k, v in sample.kwargs.items()}


def _answered(key: str, sample: Any) -> bool:
    """Is there a result for complex numbers, rather than a TypeError that says so?"""
    args, kwargs = harness.arguments(sample, [])
    given = harness.flat([*args, *kwargs.values()])
    if not any(x is gu.complex128 or getattr(x, "dtype", None) is gu.complex128 for x in given):
        return False
    try:
        for result in harness.flat(ours(key)(*args, **kwargs)):
            if isinstance(result, gu.Tensor):
                result.realize()
    except TypeError as error:
        assert harness.is_ours(error), error
        assert re.search(r"complex|floating|numbers|integers|bool", str(error)), error
        return False
    except (ValueError, RuntimeError, IndexError) as error:  # refused for another reason, first
        assert harness.is_ours(error), error
        return False
    return True


@pytest.mark.parametrize("key", [k for k in THERE if k in REFUSED])
def test_what_is_not_built_for_complex_numbers_says_so(key: str) -> None:
    import torch

    op = entries()[key]
    refused = 0
    for number, sample in harness.samples(op, torch.complex128, False):
        if number < 2:
            try:
                refused += not _answered(key, sample)
            except harness.Unsupported:
                continue
    assert refused, "it has a result: take it out of REFUSED"


def _turn(key: str) -> Any:
    """CI asks a third of them, and those of the table."""
    now = key in BEYOND or crc32(key.encode()) % 3 == 0
    return pytest.param(key, marks=() if now else pytest.mark.slow)


@pytest.mark.parametrize("key", [_turn(k) for k in ELSEWHERE])
def test_what_torch_has_for_real_numbers_only(key: str) -> None:
    """It raises TypeError for complex ones, or the table says why it need not."""
    import torch

    op = entries()[key]
    if torch.float64 not in op.dtypes:
        return
    answers = []
    for number, sample in harness.samples(op, torch.float64, False):
        if number > (4 if key in BEYOND else 0):
            break
        try:
            answers.append(_answered(key, _Sample(sample)))
        except harness.Unsupported:
            continue
    if key in BEYOND:
        assert any(answers), "it refuses: take it out of BEYOND"
    else:
        assert not any(answers), "torch has no such result; if it is right, say why in BEYOND"


def test_the_tables_name_entries() -> None:
    assert not set(REFUSED) - set(THERE)
    assert not set(BEYOND) - set(ELSEWHERE)
    assert not set(PARTLY) - set(COMPARED)
    assert len(COMPARED) >= 270
