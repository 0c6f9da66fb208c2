"""A tensor that looks at memory in another shape from now on: x.t_(), x.unsqueeze_(0), x.set_(y).

What it was goes on in another object, which it is a view of, and which its own views are told to
look at. Must not know what the shapes mean.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping
from typing import TYPE_CHECKING, Any

from ..ir.extent import product
from . import shape
from . import storage as store
from .core import Core, Paired, is_complex
from .errors import GradError, JitError, ShapeError, at_line, lined_up, shape_text
from .mode import enable_grad

if TYPE_CHECKING:
    from .tensor import Tensor

_LOOKS = ("_shape", "_parent", "_view", "_layout", "_detached")


def become(x: Core, name: str, seen: Callable[[Core], Core]) -> None:
    """Make x what `seen` makes of it: a view, of the same memory and with the same history.

    Views of x stay what they are. Raises GradError for a leaf that requires grad and for a tensor
    with hooks, JitError in a captured function for a tensor that was made outside.
    """
    _check(x, name)
    if isinstance(x, Paired):
        _take_pairs(x, seen(x))
        return
    past = _past(x)
    with enable_grad():  # it keeps its history: a shape is no new value
        new = seen(past)
    if new is past:
        return
    if new._storage is not past._storage:
        raise ShapeError(
            f"{name}: the elements do not lie such that this shape could be a view of them; write "
            f"x = x.{name.rstrip('_')}(…)" + at_line()
        )
    _pass_on_views(x, past)
    for field in _LOOKS:
        setattr(x, field, getattr(new, field))
    x._known, x._used = None, new._used


def _check(x: Core, name: str) -> None:
    out = name.rstrip("_")
    plain = x._pair if isinstance(x, Paired) else x
    if plain._leaf is not None:
        raise GradError(
            f"{name}: a leaf that requires grad keeps its shape, which its gradient has too; write "
            f"y = x.{out}(…), or x = x.detach().{out}(…).requires_grad_()" + at_line()
        )
    if plain._retains is not None:
        raise GradError(
            f"{name}: the tensor has a hook, or keeps its gradient, which has the shape of now; "
            f"write y = x.{out}(…)" + at_line()
        )
    tracer = store.tracing() if store.tracers else None
    if tracer is not None and not tracer.made(plain._storage):
        raise JitError(
            f"jit: {name} gives a tensor from outside another shape, which later calls would not; "
            f"write y = x.{out}(…) inside, or call {name} outside" + at_line()
        )


def _past(x: Core) -> Tensor:
    """What a tensor is now, as another object."""
    past: Tensor = x._make(x._storage)
    for field in _LOOKS:
        setattr(past, field, getattr(x, field))
    past._used = x._used
    return past


def _take_pairs(x: Any, new: Any) -> None:
    if new._pair._storage is not x._pair._storage:
        raise ShapeError("complex numbers do not lie such that this is a view of them" + at_line())
    x._pair, x._shape, x._parent = new._pair, new._shape, new._parent


def leave_views(x: Core) -> None:
    """Have the views of a tensor look at what it is now, whatever it becomes."""
    if x._viewed and not isinstance(x, Paired):
        past = _past(x)
        past._leaf = x._leaf
        _pass_on_views(x, past)


def _pass_on_views(x: Core, past: Core) -> None:
    """Have the views of x look at another object. They are known to the garbage collector alone: a
    tensor that listed them would pay for it with each view, and this is rare."""
    if not x._viewed:
        return
    for fields in _views(x):
        fields["_parent"] = past
    past._viewed, x._viewed = True, False


def _views(x: Core) -> Iterator[MutableMapping[str, Any]]:
    import gc

    for found in gc.get_referrers(x):
        fields = found if isinstance(found, dict) else getattr(found, "__dict__", None)
        if not isinstance(found, Core | dict) or fields is None:
            continue
        if fields.get("_parent") is x and "_view" in fields and "_storage" in fields:
            yield fields


def resize(x: Core, size: tuple[int, ...]) -> None:
    """x.resize_(size): as many elements or fewer, the first of its memory, in row-major order."""
    total, have = int(product(size)), int(product(x._shape))
    if min(size, default=0) < 0:
        raise ShapeError(f"resize_: sizes are 0 or more: {shape_text(size)}" + at_line())
    if total > have:
        raise ShapeError(
            f"resize_: {total} elements of a memory of {have}: the others have no value; write "
            f"x = gu.empty({shape_text(size)})" + lined_up(tensor=x._shape, wanted=size) + at_line()
        )
    if x.tracked():
        raise GradError(
            "resize_ of a tensor that derivatives flow through; write x = x.reshape(…)" + at_line()
        )
    if not shape.is_contiguous(x):
        raise ShapeError(
            "resize_: the elements do not lie in row-major order; write x = x.reshape(…)"
            + lined_up(tensor=x._shape, strides=x.layout()[0]) + at_line()
        )  # fmt: skip

    def first(t: Core) -> Core:
        flat = shape.reshape(t, -1)
        return shape.reshape(shape.narrow(flat, 0, 0, total), size)

    if tuple(map(int, x._shape)) != tuple(size):
        become(x, "resize_", first)


def look_at(x: Core, source: Core) -> None:
    """x.set_(source): x looks at the memory of another tensor from now on, without a history."""
    if is_complex(x, source) or x.dtype is not source.dtype:
        raise TypeError(
            f"set_: a tensor keeps its type, {x.dtype.name}, and the other's is "
            f"{source.dtype.name}; write x = y" + at_line()
        )
    _check(x, "set_")
    if x.tracked():
        raise GradError("set_ of a tensor that derivatives flow through; write x = y" + at_line())
    leave_views(x)
    source.alias(x)
    x._known = None
