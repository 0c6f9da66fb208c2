"""What names a kernel: kernels with one name are written alike, and different ones have different
names."""

from __future__ import annotations

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from groundup.emit import llvm
from groundup.emit.fingerprint import fingerprint
from groundup.emit.kernel import Kernel
from groundup.ir.record import replace
from groundup.schedule import Plan, Signature

from .. import build as B
from ..graphs import examples, make

named: dict[str, Kernel] = {}  # by name, over all that follows


def _kernels(roots) -> list[Kernel]:  # type: ignore[no-untyped-def]
    return [s.kernel for s in Plan(Signature(roots), roots, [None] * len(roots)).steps]


@settings(max_examples=examples(100), deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 2**64 - 1), st.integers(2, 12))
def test_one_name_one_text(seed: int, steps: int) -> None:
    for kernel in _kernels(make(seed, steps).roots):
        name = fingerprint(kernel)
        assert name is not None
        assert len(name) < len(llvm.emit(kernel)) + 1000
        known = named.setdefault(name, kernel)
        assert known == kernel and llvm.emit(known) == llvm.emit(kernel)


def test_every_part_counts() -> None:
    rng = np.random.default_rng(0)
    a, b = (B.tensor(rng.normal(size=(33, 33)).astype("float32")) for _ in range(2))
    for kernel in _kernels([B.matmul(a, b), B.softmax(a), B.op("add", a, b)]):
        others = [
            replace(kernel, careful=True),
            replace(kernel, width=kernel.width * 2),
        ]
        if hasattr(kernel, "rows"):
            others.append(replace(kernel, rows=kernel.rows + 1))
        names = [fingerprint(k) for k in (kernel, *others)]
        assert len(set(names)) == len(names)


def test_numbers_are_told_apart_by_their_bits() -> None:
    x = B.tensor(np.ones(5, "float32"))
    values = [0.0, -0.0, 1.0, float("nan"), float("inf")]
    kernels = [
        k
        for v in values
        for k in _kernels([B.pointwise(lambda e, v=v: B.alu("add", e, B.number(v, e)), x)])
    ]
    assert len({fingerprint(k) for k in kernels}) == len(set(kernels))
