"""Copies and pickles of tensors: tensors that share memory before share it after.

What is kept: values, type, strides, requires_grad and a subclass's attributes; `deepcopy` also
keeps `.grad`. Must not know NumPy or files.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from ..ir import node as ir
from ..ir.dtype import DType
from ..ir.extent import product
from ..runtime import allocate
from . import storage as store
from .core import Core, Paired, force
from .errors import GradError, at_line
from .storage import Storage
from .tensor import Tensor
from .view import Affine, Reshape, Strided, View, Windows, reshaped_strides


def name_of(function: Any) -> str | None:
    """The name under which a function of ours, made of a user's, stands where that one was written,
    which is pickled by it; None where it does not."""
    name: str = getattr(function, "__qualname__", "")
    found: Any = sys.modules.get(getattr(function, "__module__", ""))
    for part in name.split("."):
        found = getattr(found, part, None)
    return name if found is function else None


def _chain(a: Core) -> list[View]:
    """The views between a tensor's storage and itself, outermost last."""
    views: list[View] = []
    at: Core | None = a
    while at is not None:
        if at._view is not None:
            views.append(at._view)
        at = at._parent
    return views[::-1]


def _attributes(a: Core) -> dict[str, Any]:
    return {k: v for k, v in vars(a).items() if not k.startswith("_")}


def _seen(kind: type[Tensor], storage: Storage, views: Sequence[View]) -> Tensor:
    """A tensor of a class on a storage, through views."""
    plain = Tensor._make(storage)
    for view in views:
        plain = plain.through(view)
    result = kind.__new__(kind)
    plain.alias(result)
    return result


def _steps(a: Core) -> tuple[int, ...]:
    return tuple([s.__index__() for s in a.layout()[0]])


def _with_steps(a: Core, steps: tuple[int, ...]) -> bool:
    """Give axes of size 1, whose strides depend on how a view came about, those strides; False if
    the others differ."""
    strides, offset = a.layout()
    if len(steps) != len(strides):
        return False
    a._layout = steps, offset
    return all(s == t for s, t, n in zip(steps, strides, a._shape, strict=True) if n != 1)


def deep_copy(a: Core, memo: dict[Any, Any]) -> Tensor:
    """A leaf with memory of its own; two that share memory share the copy, if copied together."""
    if isinstance(a, Paired):
        return _copy_of_complex(a, memo)
    if a.tracked() and a._leaf is None:
        raise GradError(
            "only leaves can be copied deeply; use x.detach().clone(), or x.clone() to keep the "
            "history" + at_line()
        )
    from copy import deepcopy

    storage = memo.get(id(a._storage))
    if storage is None:
        old = a._storage
        storage = Storage(old.shape, old.dtype, ir.detach(old.read()))
        storage.oldest = old.oldest
        memo[id(old)] = storage
        memo.setdefault(id(memo), []).append(old)  # its id stays its own
    kind: Any = type(a)
    result: Tensor = _seen(kind, storage, _chain(a))
    _with_steps(result, _steps(a))
    memo[id(a)] = result
    vars(result).update(deepcopy(_attributes(a), memo))
    if a._leaf is not None:
        result.requires_grad_()
    if a._grad is not None:
        result._grad = deepcopy(a._grad, memo)
    return result


def _copy_of_complex(a: Paired, memo: dict[Any, Any]) -> Tensor:
    """The copy of a complex tensor, of the copy of its pairs."""
    from copy import deepcopy

    kind: Any = type(a)
    result: Tensor = kind(deepcopy(a._pair, memo))
    memo[id(a)] = result
    vars(result).update(deepcopy(_attributes(a), memo))
    return result


# ---- pickles -------------------------------------------------------------------------------------


def parts(a: Core) -> Any:
    """What pickle keeps of a tensor; the storage is one object, which pickle keeps once."""
    store.asked("pickle")
    if isinstance(a, Paired):
        return restored_complex, (a._pair,), _attributes(a)
    force([a._storage])
    views = [_plain(v) for v in _chain(a)]
    wants = a.tracked() and a.dtype.kind in "fc"
    return restored, (type(a), a._storage, views, _steps(a), wants), _attributes(a)


def storage_parts(s: Storage) -> Any:
    """What pickle keeps of a storage: its bytes, its shape, its type."""
    store.asked("pickle")
    force([s])
    shape = tuple(n.__index__() for n in s.shape)
    raw = s.memory().read_bytes(0, int(product(shape)) * s.dtype.itemsize)
    return restored_storage, (raw, shape, s.dtype)


def _plain(view: View) -> tuple[Any, ...]:
    """A view in numbers."""
    source = tuple(n.__index__() for n in view.source)
    shape = tuple(n.__index__() for n in view.shape)
    if isinstance(view, Affine):
        return "affine", source, shape, view.rules
    if isinstance(view, Strided):
        return "strided", source, shape, view.steps, view.offset
    if isinstance(view, Windows):
        return "windows", source, shape, view.axis, view.step
    return "reshape", source, shape


def restored_storage(raw: bytes, shape: tuple[int, ...], dtype: DType) -> Storage:
    """A storage out of a pickle. Raises ValueError if the bytes are not those of its shape."""
    wanted = int(product(shape)) * dtype.itemsize
    if min(shape, default=0) < 0 or len(raw) != wanted:
        raise ValueError(
            f"this pickle is damaged: {dtype.name} of shape {shape} has {wanted} bytes, here are "
            f"{len(raw)}" + at_line()
        )
    buffer = allocate(max(1, len(raw)))
    buffer.write_bytes(raw)
    return Storage(shape, dtype, buffer=buffer)


def restored(
    kind: type[Tensor],
    storage: Storage,
    views: Sequence[tuple[Any, ...]],
    steps: tuple[int, ...],
    requires_grad: bool,
) -> Tensor:
    """A tensor out of a pickle. Raises ValueError if a view does not fit its memory."""
    made: list[View] = []
    at = Tensor._make(storage)
    for form, source, size, *rest in views:
        view = _view(form, source, size, rest) if tuple(source) == at._shape else None
        if type(view) is Reshape and reshaped_strides(at._shape, at.layout()[0], size) is None:
            view = None
        if view is None:
            raise ValueError(
                f"this pickle is damaged: a {form!r} view of shape {size} does not fit memory of "
                f"shape {tuple(at._shape)}" + at_line()
            )
        made.append(view)
        at = at.through(view)
    result = _seen(kind, storage, made)
    if not _with_steps(result, steps) and 0 not in result._shape:
        raise ValueError(
            f"this pickle is damaged: strides {steps} are not those of its views" + at_line()
        )
    return result.requires_grad_() if requires_grad else result


def restored_complex(pair: Tensor) -> Tensor:
    """A complex tensor out of a pickle. Raises ValueError if its pairs cannot be some."""
    from .complex.tensor import ComplexTensor

    strides, _ = pair.layout()
    if not pair._shape or pair._shape[-1] != 2 or not pair.dtype.is_float or strides[-1] != 1:
        raise ValueError("this pickle is damaged: its complex numbers are no pairs" + at_line())
    return ComplexTensor(pair)


def _view(
    form: str, source: tuple[int, ...], size: tuple[int, ...], rest: list[Any]
) -> View | None:
    """A view, if it stays inside its source."""
    if min(size, default=0) < 0:
        return None
    if form == "reshape":
        return Reshape(source, size) if product(source) == product(size) else None
    if form == "windows":
        axis, step = rest
        inside = 0 <= axis < len(source) == len(size) - 1 and step > 0
        if not inside or size[-1] > source[axis]:
            return None
        count = (source[axis] - size[-1]) // step + 1
        fits = size[:-1] == (*source[:axis], count, *source[axis + 1 :])
        return Windows(source, size, axis, step) if fits else None
    if form == "strided":
        steps, offset = rest
        if len(source) != 1 or len(steps) != len(size):
            return None
        ends = [offset, offset]
        for step, n in zip(steps, size, strict=True):
            ends[step > 0] += step * (n - 1)
        fits = 0 in size or (ends[0] >= 0 and ends[1] < source[0])
        return Strided(source, size, tuple(steps), offset) if fits else None
    (rules,) = rest
    if form != "affine" or len(rules) != len(source):
        return None
    for n, (start, step, axis) in zip(source, rules, strict=True):
        last = start + (step * (size[axis] - 1) if 0 <= axis < len(size) else 0)
        if axis >= len(size) or not (0 in size or (0 <= start < n and 0 <= last < n)):
            return None
    return Affine(source, size, tuple(rules))
