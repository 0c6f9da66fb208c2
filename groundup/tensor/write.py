"""In-place writes: x += y, x.copy_(y), x[…] = y.

A value replaces the viewed part of an expression; elements and rows that a loop selects are
written into memory at once. Must not know what the written value means.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..ir import node as ir
from ..ir.dtype import DType
from ..ir.scalar import cast as cast_number
from . import pointwise as pw
from . import storage as store
from .arithmetic import SIGNS
from .core import Core, Paired, force, operand, value_of
from .errors import at_line, cannot_enlarge, check_holds
from .storage import Storage
from .view import Affine

if TYPE_CHECKING:
    from .tensor import Tensor


def inplace(op: str, a: Core, b: Any) -> None:
    """a ← a op b, in a's own storage, shape and type."""
    sign = f"{SIGNS.get(op, op)}="
    if not a._shape and not (isinstance(b, Core) and b._shape):
        own = a._storage.dtype
        same = isinstance(b, Core) and b._storage.dtype is own
        known = pw.folded(op, a, b, own if same else pw.result_type(a, b)) if a.can_poke() else None
        if known is not None:
            got = known._storage
            assert got.number is not None
            value = got.number
            if got.dtype is not own:
                _check_kind(sign, own, got.dtype)
                value = cast_number(value, own)
            a.check_writable(sign)
            a._storage.set(a.layout()[1], value)
            return
    result = pw.binary(op, a, b)
    overwrite(sign, a, result)


def _check_kind(operation: str, target: DType, value: DType) -> None:
    if pw.category(value) > pw.category(target):
        raise TypeError(
            f"{operation}: the result has type {value.name}, which cannot be written in place "
            f"into {target.name}; write x = x … instead" + at_line()
        )


def overwrite(operation: str, a: Core, value: Tensor) -> None:
    """a ← value, a tensor of a's shape whose type can be converted to a's."""
    _check_kind(operation, a._storage.dtype, value._storage.dtype)
    if pw.broadcast(operation, a._shape, value._shape) != a._shape:
        raise cannot_enlarge(operation, a._shape, value._shape)
    write(operation, a, value)


def write(operation: str, a: Core, value: Any) -> None:
    """a ← value (a tensor or number that broadcasts to a's shape), converted to a's type."""
    if isinstance(a, Paired) or isinstance(value, Paired):
        from .complex.write import write as counterpart

        counterpart(operation, a, value)
        return
    dtype, shape = a._storage.dtype, a._shape
    check_holds(value, dtype)
    view = a._parent is not None
    if view and _looped(a) and a.can_poke() and not (isinstance(value, Core) and value.tracked()):
        a.check_writable(operation)
        poke(a, value)
        return
    if isinstance(value, Core):
        node = operand(value)
        if node.shape != shape or node.dtype is not dtype:
            node = ir.loops(shape, ir.cast(pw.read_at(node, shape), dtype))
        oldest = value._storage.oldest
    else:
        node, oldest = ir.loops(shape, pw.scalar(value, dtype)), store.serial
    a.assign(operation, node, oldest)


def _looped(a: Core) -> bool:
    """Was an element or row selected by an integer, as loops do? Then write into memory now."""
    at: Core | None = a
    while at is not None:
        if type(at._view) is Affine and any(axis < 0 for _, _, axis in at._view.rules):
            return True
        at = at._parent
    return False


def poke(a: Core, value: Any) -> None:
    """Write a tensor or number into the memory behind a view, now."""
    dtype, shape = a._storage.dtype, a._shape
    force([a._storage])
    if not isinstance(value, Core):
        a.poke([pw.scalar(value, dtype).value])
        return
    known = value.number() if not value._shape else None
    if known is not None:
        a.poke([cast_number(known, dtype)])
        return
    node = value_of(value)
    if node.shape != shape or node.dtype is not dtype:
        node = ir.loops(shape, ir.cast(pw.read_at(node, shape), dtype))
    temporary = Storage(shape, dtype, node)
    force([temporary])
    values = temporary.values()
    if values:
        a.poke(values)


def copy(a: Core, source: Any) -> None:
    """a ← source, pw.broadcast to a's shape and converted to its type."""
    if isinstance(source, Core) and pw.broadcast("copy_", a._shape, source._shape) != a._shape:
        raise cannot_enlarge("copy_", a._shape, source._shape)
    write("copy_", a, source)
