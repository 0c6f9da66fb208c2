"""torch's own list of operations: values, types, shapes, gradients and errors of all its samples.

`pytest -m slow tests/oracles` runs every sample; without it, a fixed tenth. Must not know any
operation: entries.py says which of ours is meant.
"""

from __future__ import annotations

import warnings
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import groundup as gu

from . import harness
from .absent import ABSENT
from .entries import NUMBERS, RANDOM, SHAPED, WRONG_THERE, function, tolerance
from .matrices import INVARIANT

pytestmark = pytest.mark.peers
LEAST = 650  # entries that answer
MOST = 8  # samples of a type of an entry in the fixed tenth: some entries have hundreds

if find_spec("torch") is None or find_spec("expecttest") is None:
    pytest.skip("needs torch and expecttest: pip install -e '.[peers]'", allow_module_level=True)


@cache
def entries() -> dict[str, Any]:
    """The list, by name and variant."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torch.testing._internal.common_methods_invocations import op_db
    return {_key(op): op for op in op_db}


def _key(op: Any) -> str:
    return op.name + (f":{op.variant_test_name}" if op.variant_test_name else "")


MAPPED = [k for k, op in entries().items() if function(op.name, op.variant_test_name) is not None]


def types(op: Any) -> list[str]:
    """The types an entry is tried in: floating ones, or where it has none, int64 and bool, or where
    it has none of them, complex ones (those of the others: test_op_db_complex.py)."""
    import torch

    for kinds in (("float64", "float32"), ("int64", "bool"), ("complex128", "complex64")):
        found = [k for k in kinds if getattr(torch, k) in op.dtypes]
        if found:
            return found
    return []


def run(key: str, every: bool) -> None:
    """All samples of an entry, or the fixed tenth of them, in each type."""
    import torch

    op = entries()[key]
    ours = function(op.name, op.variant_test_name)
    assert ours is not None
    room = tolerance(op.name)
    wrong: list[str] = []
    for kind in types(op):
        exact = kind in ("float64", "complex128")
        grad = exact and op.supports_autograd and op.name not in WRONG_THERE
        taken = 0
        for number, sample in harness.samples(op, getattr(torch, kind), grad):
            if not (every or harness.chosen(key, kind, number)):
                continue
            taken += 1
            if not every and taken > MOST:
                break
            random = op.name in RANDOM and bool(RANDOM[op.name](sample))
            try:
                found = harness.check_sample(
                    op,
                    ours,
                    sample,
                    grad,
                    room,
                    kind,
                    random,
                    op.name in INVARIANT,
                    SHAPED.get(op.name),
                )
            except harness.Unsupported:
                continue
            wrong += [f"{kind} {number} ({harness.described(sample)}): {f}" for f in found]
    assert not wrong, f"{len(wrong)} differences:\n" + "\n".join(wrong[:10])


@pytest.mark.parametrize("key", MAPPED)
def test_a_tenth_of_the_samples(key: str) -> None:
    run(key, every=False)


@pytest.mark.slow
@pytest.mark.parametrize("key", MAPPED)
def test_every_sample(key: str) -> None:
    run(key, every=True)


@pytest.mark.parametrize("key", [k for k in MAPPED if entries()[k].error_inputs_func])
def test_every_error_input_raises_one_of_our_errors(key: str) -> None:
    op = entries()[key]
    ours = function(op.name, op.variant_test_name)
    assert ours is not None
    wrong = []
    for n, case in enumerate(op.error_inputs("cpu")):
        sample = case.sample_input
        try:
            args, kwargs = harness.arguments(sample, [])
        except harness.Unsupported:
            continue
        if (key in NUMBERS or op.name in NUMBERS) and harness.number_for_tensor(sample):
            continue
        try:
            for result in harness.flat(ours(*args, **kwargs)):
                if isinstance(result, gu.Tensor):
                    result.realize()
        except Exception as error:
            if not harness.is_ours(error):
                wrong.append(f"{n} ({harness.described(sample)}): {error!r} slipped out")
        else:
            wrong.append(f"{n} ({harness.described(sample)}): no error; {case.error_regex}")
    assert not wrong, "\n".join(wrong)


def test_every_entry_is_answered_or_absent_for_a_reason() -> None:
    names = set(entries())
    missing = sorted(names - set(MAPPED) - set(ABSENT))
    assert not missing, f"neither answered nor absent: {missing}"
    assert not sorted(set(ABSENT) - names), "absent from a list that does not have them"
    assert not sorted(set(ABSENT) & set(MAPPED))
    assert all(len(reason) > 8 for reason in ABSENT.values())


def test_enough_entries_are_answered() -> None:
    assert len(MAPPED) >= LEAST
    told = (Path(__file__).parents[2] / "docs" / "pytorch.md").read_text(encoding="utf-8")
    assert f"{len(MAPPED)} of the {len(entries())}" in told.replace("\n", " ")


def test_the_comparison_sees_a_wrong_value_type_shape_and_gradient() -> None:
    """Each kind of difference, made on purpose."""
    import torch

    op = entries()["sin"]
    sample = next(s for _, s in harness.samples(op, torch.float64, True))
    wrong = {
        "elements differ": lambda x: x.sin() + 1e-9,
        "dtype": lambda x: x.float().sin(),
        "shape": lambda x: x.sin().reshape(1, -1),
        "gradient": lambda x: x.sin().detach() + 0 * x,
    }
    for word, function_ in wrong.items():
        found = harness.check_sample(op, function_, sample, True)
        assert found and word in found[0], (word, found)
    assert not harness.check_sample(op, gu.sin, sample, True)
