"""The memory of a plan: temporaries share an arena, and none that lives is overwritten. A plan
serves every size of its plain kernels."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from groundup import runtime
from groundup.autodiff import gradient
from groundup.emit.kernel import Contraction, Several
from groundup.ir.node import Node
from groundup.runtime import Program
from groundup.runtime.code import stats
from groundup.schedule import Plan, Signature, execute
from groundup.schedule.steps import Step, Temp

from .. import build as B
from ..graphs import examples, make


def _plan(roots: list[Node]) -> Plan:
    return Plan(Signature(roots), roots, [None] * len(roots))


def _lives(plan: Plan) -> dict[int, tuple[int, int]]:
    """First and last step that touch each temporary, from the steps alone."""
    lives: dict[int, tuple[int, int]] = {}
    for at, step in enumerate(plan.steps):
        for ref in (*step.writes, *step.reads):
            if isinstance(ref, Temp):
                lives[ref.index] = (lives.get(ref.index, (at, at))[0], at)
    return lives


def _rooms(step: Step) -> set[object]:
    """Memory that a product's threads fill themselves, on their way."""
    kernels = step.kernel.parts if isinstance(step.kernel, Several) else (step.kernel,)
    found: set[object] = set()
    for k in kernels:
        if isinstance(k, Contraction):
            for part in (k.panel, k.prologue):
                if part is not None:
                    found.add(step.words[part.room.position][1])  # type: ignore[index]
    return found


def _check(plan: Plan) -> None:
    bound = plan.bind(plan.hint)
    lives = _lives(plan)
    assert set(lives) == set(bound.temps)
    written: set[object] = set()
    for step in plan.steps:
        reads = step.reads - _rooms(step)
        temps = [ref for ref in reads if isinstance(ref, Temp)]
        assert all(ref in written or not bound.sizes[ref.index] for ref in temps)  # no elements
        written.update(step.writes)
    for t in lives:
        assert bound.temps[t] % 64 == 0 and bound.temps[t] + bound.sizes[t] <= bound.arena
    for s, t in combinations(lives, 2):
        if lives[s][0] <= lives[t][1] and lives[t][0] <= lives[s][1]:
            a, b = sorted([(bound.temps[s], bound.sizes[s]), (bound.temps[t], bound.sizes[t])])
            assert a[0] + a[1] <= b[0], f"temporaries {s} and {t} live at once and overlap"


def _network(layers: int, width: int = 32) -> tuple[Node, list[Node]]:
    """tanh of a product, again and again: each layer's result is stored, and read by the next."""
    rng = np.random.default_rng(0)
    x = B.tensor(rng.normal(size=(width, width)).astype("float32"))
    weights = [B.param(rng.normal(size=(width, width)).astype("float32")) for _ in range(layers)]
    for w in weights:
        x = B.op("tanh", B.matmul(x, w))
    return x, weights


def test_a_chain_of_layers_needs_two_temporaries_of_memory() -> None:
    root, _ = _network(12)
    plan = _plan([root])
    _check(plan)
    bound = plan.bind(plan.hint)
    assert len(bound.temps) >= 11
    # One is read while the other is written; a third is room for a copy into another layout.
    assert bound.live <= bound.arena <= 3 * 32 * 32 * 4 < sum(bound.sizes.values()) / 3


def test_gradients_share_memory_too() -> None:
    """All activations live until their layer's gradient, but gradients come and go."""
    root, weights = _network(8)
    seed = B.tensor(np.ones((32, 32), "float32"))
    first, *_ = gradient(root, seed, weights)
    assert first is not None
    plan = _plan([first])
    _check(plan)
    bound = plan.bind(plan.hint)
    assert bound.live <= bound.arena < sum(bound.sizes.values())


@settings(max_examples=examples(100), deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 2**64 - 1), st.integers(2, 12))
@example(1287, 6)
def test_temporaries_that_live_at_once_never_overlap(seed: int, steps: int) -> None:
    _check(_plan(make(seed, steps).roots))


# ---- a second shape ------------------------------------------------------------------------------

NOTHING = "define void @nothing(ptr %a, i64 %t, i64 %n) nounwind {\n  ret void\n}\n"
FORMS = {
    "pointwise": lambda x: B.op("exp", B.op("mul", x, x)),
    "sum of all": lambda x: B.over("sum", x, range(2)),
    "sum of rows": lambda x: B.over("sum", x, [1]),
    "sum of columns": lambda x: B.over("sum", x, [0]),
    "max of rows": lambda x: B.over("max", x, [1]),
    "softmax": B.softmax,
}


def _made() -> tuple[float, float]:
    """Kernels compiled, and kernels taken from the cache on disk."""
    return stats()["compiled"], stats()["loaded_from_cache"]


@pytest.mark.parametrize("form", FORMS)
def test_another_shape_compiles_nothing(form: str) -> None:
    rng = np.random.default_rng(0)
    make_it = FORMS[form]

    def run(rows: int, columns: int) -> None:
        execute([make_it(B.tensor(rng.normal(size=(rows, columns)).astype("float32")))])

    Program([(runtime.function(NOTHING, "nothing"), [], 0)] * 2).run(2)  # the driver, too, is made
    run(37, 50)
    run(37, 70)  # rows of at least partial.INNER elements are summed on their own
    before = _made()
    for shape in [(41, 67), (100, 33), (512, 700), (35, 1000)]:
        run(*shape)
    assert _made() == before


def test_runs_of_a_long_sum_go_in_lanes() -> None:
    """Their index, start + r, is no window's."""
    plan = _plan([B.over("sum", B.tensor(np.zeros(1 << 17, np.float32)), (0,), "lanes")])
    orders = [r.arg[2] for s in plan.steps for g in s.groups for r in g.reductions]
    assert orders[0] == "lanes"
