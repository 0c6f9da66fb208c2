"""How a tensor prints: values in PyTorch's layout.

Must not know derivatives beyond whether there are any.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, overload

from ..emit.elements import load
from ..ir import dtype as dt
from ..ir.extent import product
from ..runtime import Buffer
from . import storage as store
from .core import Core, force
from .errors import NoValue, at_line, shape_text
from .indexing import host_values


class _Options:
    """How tensors are printed."""

    def __init__(self) -> None:
        self.precision = 4  # digits after the point
        self.threshold: float = 1000  # elements; more are summarised
        self.edgeitems = 3  # elements shown at each end of a summarised axis
        self.linewidth = 80  # characters
        self.sci_mode: bool | None = None  # powers of ten; None: where they are shorter to read


options = _Options()
_PROFILES: dict[str, dict[str, float]] = {
    "default": {"precision": 4, "threshold": 1000, "edgeitems": 3, "linewidth": 80},
    "short": {"precision": 2, "threshold": 1000, "edgeitems": 2, "linewidth": 80},
    "full": {"precision": 4, "threshold": math.inf, "edgeitems": 3, "linewidth": 80},
}


def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """How tensors are printed from now on, in all threads; what is None stays (sci_mode: is chosen
    for each tensor).

    precision: digits after the point (4). threshold: elements from which on the middle is left out
    (1000). edgeitems: elements at each end that are shown then (3). linewidth: characters (80).
    profile: "default", "short" or "full", before the others. sci_mode: whether to write 1.5e+03.
    Raises ValueError for what is none of these.

    >>> with gu.printoptions(precision=2, sci_mode=False):
    ...     gu.tensor([3.14159, 1e-5])
    tensor([3.14, 0.00])
    """
    if profile is not None and profile not in _PROFILES:
        raise ValueError(
            f"set_printoptions: profile is one of {', '.join(_PROFILES)}, not {profile!r}"
            + at_line()
        )
    given = dict(_PROFILES.get(profile or "", {}))
    for name, value, least in (
        ("precision", precision, 0), ("threshold", threshold, 0), ("edgeitems", edgeitems, 1),
        ("linewidth", linewidth, 1),
    ):  # fmt: skip
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float) or not value >= least:
            raise ValueError(
                f"set_printoptions: {name} is a number from {least} on, not {value!r}" + at_line()
            )
        given[name] = value
    for name, value in given.items():
        setattr(options, name, value if name == "threshold" else int(value))
    options.sci_mode = sci_mode


def get_printoptions() -> dict[str, Any]:
    """How tensors are printed, for `set_printoptions(**…)`."""
    return dict(vars(options))


@contextmanager
def printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> Iterator[None]:
    """`set_printoptions` for a `with` block."""
    before = get_printoptions()
    try:
        set_printoptions(precision, threshold, edgeitems, linewidth, profile, sci_mode)
        yield
    finally:
        set_printoptions(**before)


class Format:
    """How each number of one tensor is written, all equally wide."""

    def __init__(self, values: list[Any], floating: bool) -> None:
        self.floating = floating
        self.scientific = self.whole = False
        counted = [v for v in values if v and math.isfinite(v)] if floating else values
        if floating:
            self.whole = all(v == math.floor(v) for v in values if math.isfinite(v))
            if counted:
                most, least = max(map(abs, counted)), min(map(abs, counted))
                self.scientific = most / least > 1000.0 or most > 1e8
                self.scientific |= not self.whole and least < 1e-4
                if options.sci_mode is not None:
                    self.scientific = options.sci_mode
        self.width = max((len(self.one(v)) for v in counted), default=1)

    def one(self, v: Any) -> str:
        if not self.floating:
            return str(v)
        if math.isnan(v):
            return "nan"
        if math.isinf(v):
            return "inf" if v > 0 else "-inf"
        if self.scientific:
            return f"{v:.{options.precision}e}"
        return f"{v:.0f}." if self.whole else f"{v:.{options.precision}f}"

    def padded(self, v: Any) -> str:
        return f"{self.one(v):>{self.width}}"


def show(a: Core) -> str:
    """tensor(…) with values, dtype where it is not the default, and whether it is tracked."""
    if store.tracing() is not None:
        return f"tensor(…, shape={shape_text(a._shape)}, dtype={a.dtype!r}, being captured)"
    few = product(a._shape) <= options.threshold
    try:
        values = host_values(a, "print") if few else Elements(a)
    except NoValue:
        return f"tensor(…, shape={shape_text(a._shape)}, dtype={a.dtype!r}, of each element)"
    named = a.dtype not in (dt.float32, dt.int64, dt.bool_) or (
        not values and a.dtype is not dt.float32
    )
    floating = a.dtype.is_float
    text = nested(a._shape, values, lambda picked: Format(picked, floating))
    return f"tensor({text}{ending(a, named, a._leaf is not None)})"


def ending(a: Core, named: bool, leaf: bool) -> str:
    """What stands behind the values: the size of none, the dtype if it is to be named, whether
    derivatives are asked for."""
    extra = ""
    if product(a._shape) == 0 and a._shape != (0,):
        extra += f", size={shape_text(a._shape)}"
    if named:
        extra += f", dtype={a.dtype!r}"
    if leaf:
        extra += ", requires_grad=True"
    elif a.tracked():
        extra += ", grad_fn=<…>"
    return extra


class Cells(Protocol):
    """How each number of one tensor is written."""

    width: int

    def one(self, v: Any) -> str:
        """A number by itself."""

    def padded(self, v: Any) -> str:
        """A number as wide as the others."""


class Elements(Sequence[Any]):
    """The elements of a tensor in row-major order, each read when it is asked for."""

    def __init__(self, a: Core) -> None:
        force([a._storage])
        self.memory, self.dtype = a._storage.memory(), a.dtype
        self.shape = tuple(int(s) for s in a._shape)
        self.strides, self.offset = a.layout()

    def __len__(self) -> int:
        return math.prod(self.shape)

    @overload
    def __getitem__(self, position: int) -> Any: ...
    @overload
    def __getitem__(self, position: slice) -> list[Any]: ...
    def __getitem__(self, position: int | slice) -> Any:
        if isinstance(position, slice):
            return [self[i] for i in range(*position.indices(len(self)))]
        at = self.offset
        for size, stride in zip(reversed(self.shape), reversed(self.strides), strict=True):
            at += position % size * int(stride)
            position //= size
        item = self.dtype.itemsize
        raw = Buffer.from_object(self.memory.address + at * item, item, owner=self.memory)
        return load(raw, self.dtype, 1)[0]


def nested(
    sizes: Sequence[int], values: Sequence[Any], formatted: Callable[[list[Any]], Cells]
) -> str:
    """Values in the nested brackets of a shape, the middle of long axes left out."""
    shape = tuple(int(s) for s in sizes)
    summary = len(values) > options.threshold
    edge = options.edgeitems
    fmt = formatted([values[p] for p in _corner(shape, edge)] if summary else list(values))
    if not shape:
        return fmt.one(values[0])
    if not values:
        return "[]"
    strides = [math.prod(shape[d + 1 :]) for d in range(len(shape))]

    def level(axis: int, offset: int) -> str:
        indent = " " * (len("tensor([") + axis)
        places: list[int | None] = list(range(shape[axis]))
        if summary and shape[axis] > 2 * edge:
            places = [*range(edge), None, *range(shape[axis] - edge, shape[axis])]
        if axis == len(shape) - 1:
            cells = [" ..." if p is None else fmt.padded(values[offset + p]) for p in places]
            per_line = max(1, (options.linewidth - len(indent) + 1) // (fmt.width + 2))
            lines = [cells[i : i + per_line] for i in range(0, len(cells), per_line)]
            return "[" + f",\n{indent}".join(", ".join(line) for line in lines) + "]"
        parts = [
            "..." if p is None else level(axis + 1, offset + p * strides[axis]) for p in places
        ]
        return "[" + (",".ljust(len(shape) - axis, "\n") + indent).join(parts) + "]"

    return level(0, 0)


def _corner(shape: tuple[int, ...], edge: int) -> list[int]:
    """The positions of the elements that a summary shows."""
    places = [0]
    for size in shape:
        own = list(range(size)) if size <= 2 * edge else [*range(edge), *range(size - edge, size)]
        places = [p * size + i for p in places for i in own]
    return places
