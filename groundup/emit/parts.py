"""Pairs of elements that follow one another, such as the parts of complex numbers: vectors of both
are moved at once, and put apart or together in registers.

Knows where values are; must not know loops or what the pairs mean.
"""

from __future__ import annotations

from ..ir.node import Node
from . import moves
from .builder import Operand
from .expression import Emitter, Scope, Value
from .kernel import Access
from .operations import storage_type


def load_part(
    e: Emitter, node: Node, position: Value, lanes: int, mask: Operand | None, scope: Scope
) -> Operand:
    """A vector of one part; what is loaded has both, and serves the other part, too."""
    access: Access = node.arg
    region, ty = scope.region, storage_type(node.dtype)
    key = ("both", access.pointer, position.name, lanes, mask)
    known = e.memo.get(key)
    if known is None or known.scope is not scope:
        address = moves.element(e.fn, e.pointer(access.pointer), position.name, ty, region)
        wide = None if mask is None else moves.twice(e.fn, mask, lanes, region)
        size = node.dtype.itemsize
        name = moves.load(e.fn, ty, 2 * lanes, address, wide, size, region)
        if mask is None and access.pointer in e.ahead:
            moves.ask(e.fn, address, 2 * lanes * size, region)
        known = e.memo[key] = Value(name, node.dtype, 2 * lanes, scope)
        scope.memo.append(key)
    return moves.every_other(e.fn, ty, known.name, lanes, access.part, region)


def store_both(e: Emitter, values: tuple[Value, Value], accesses: tuple[Access, Access]) -> None:
    """Write both parts of an element, or vectors of them alternately, in the innermost open
    scope."""
    position, stride, lanes, _ = e.position(accesses[0], None)
    if not lanes or stride != 2:
        for value, access in zip(values, accesses, strict=True):
            e.store(value, access)
        return
    dtype, ty, region = values[0].dtype, storage_type(values[0].dtype), e.scope.region
    parts = [e.widen(value, lanes) for value in values]
    if dtype.kind == "b":
        vt, bt = e.type_of(dtype, lanes, storage=True), e.type_of(dtype, lanes)
        parts = [e.fn.put(f"zext {bt} {x} to {vt}", region) for x in parts]
    name = moves.alternately(e.fn, ty, parts[0], parts[1], lanes, region)
    address = moves.element(e.fn, e.pointer(accesses[0].pointer), position.name, ty, region)
    mask, align = e.mask(), dtype.itemsize
    if mask is None and e.stream:
        moves.stream(e.fn, ty, 2 * lanes, name, address, align, region)
        return
    wide = None if mask is None else moves.twice(e.fn, mask, lanes, region)
    moves.store(e.fn, ty, 2 * lanes, name, address, wide, align, region)
