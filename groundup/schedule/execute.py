"""Runs graphs: finds or makes the plan of a graph and runs it on the graph's memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..ir.node import Node
from ..ir.outside import OutOfRange, sites_in
from ..runtime import Buffer, code, pool
from . import plan as plans
from .plan import Plan
from .signature import Signature

_plans: dict[Any, list[Plan]] = {}  # of one graph several, for runtime sizes far apart
MAX_STEPS = 1 << 14  # of all plans that are remembered; one takes about 10 KB
LEAST = 64  # graphs whose plans are remembered, however many steps they have
MOST = 16  # plans of one graph
_CODE = 5  # what the code of a new kernel takes, in steps
_steps = 0


def execute(
    roots: Sequence[Node],
    into: Sequence[Buffer | None] = (),
    signature: Signature | None = None,
) -> list[Buffer]:
    """The values of tensors, each in its own row-major memory.

    `into[i]` may name memory that the graph reads and nobody needs afterwards: result i may be
    written there. Raises IndexError when an index that comes from data leaves its tensor.
    """
    free = list(into) or [None] * len(roots)
    with pool.lock:  # while a graph is looked at, no other thread computes a part of it
        signature = signature or Signature(roots)
        wish = tuple(
            signature.buffers.index(b) if b is not None and b in signature.buffers else None
            for b in free
        )
        plan = plan_for(signature, roots, wish)
        if plans.watcher is not None:
            plans.watcher.meet(plan, roots)
        try:
            return plan.run(signature.buffers, signature.n, free)
        except OutOfRange as error:
            raise error.written(sites_in(signature.order)) from None


def plan_for(
    signature: Signature, roots: Sequence[Node], wish: tuple[int | None, ...]
) -> Plan:
    """The plan of a graph: a known one when an equal graph has been scheduled before, with the same
    runtime size or one that may share its plan.

    `wish[i]`: which of the signature's buffers result i may overwrite. The caller holds the pool's
    lock since before the signature was made.
    """
    global _steps
    if signature.hosts:
        from .segments import Segmented

        return Segmented(signature, roots, wish)
    key = (signature.key, wish)
    known = _plans.get(key, [])
    for plan in known:
        if plan.serves(signature.n):
            return plan
    before = code.stats()["linked"]
    plan = Plan(signature, roots, wish, recall=True)
    plan.weight = 1 + len(plan.steps) + _CODE * int(code.stats()["linked"] - before)
    _plans.pop(key, None)  # the newest graph comes last
    _steps += plan.weight - sum(p.weight for p in known[MOST - 1 :])
    while len(_plans) >= LEAST and _steps > MAX_STEPS:
        _steps -= sum(p.weight for p in _plans.pop(next(iter(_plans))))
    _plans[key] = [plan, *known[: MOST - 1]]
    return plan
