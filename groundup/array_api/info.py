"""What the namespace says of itself: `__array_namespace_info__()`. Must not know any function."""

from __future__ import annotations

from groundup.ir.dtype import DType
from groundup.tensor.errors import at_line
from groundup.tensor.linalg.lapack import most_axes

from .types import (
    DEFAULT_COMPLEX,
    DEFAULT_INTEGER,
    DEFAULT_REAL,
    KINDS,
    STANDARD,
    Device,
    check_device,
    isdtype,
)


class Info:
    """Capabilities, devices and types of the namespace."""

    def capabilities(self) -> dict[str, bool | int]:
        """What is supported beyond the least; "max dimensions": what `linalg` and `fft` take, which
        call NumPy. Nothing else has a limit.
        """
        most = most_axes()
        return {"boolean indexing": True, "data-dependent shapes": True, "max dimensions": most}

    def default_device(self) -> Device:
        """'cpu'"""
        return "cpu"

    def default_dtypes(self, *, device: Device | None = None) -> dict[str, DType]:
        """The types of what is made without one."""
        check_device("default_dtypes", device)
        return {
            "real floating": DEFAULT_REAL,
            "complex floating": DEFAULT_COMPLEX,
            "integral": DEFAULT_INTEGER,
            "indexing": DEFAULT_INTEGER,
        }

    def devices(self) -> tuple[Device, ...]:
        """The one device."""
        return ("cpu",)

    def dtypes(
        self, *, device: Device | None = None, kind: str | tuple[str, ...] | None = None
    ) -> dict[str, DType]:
        """The standard's types by name, all or those of kinds; groundup also has two 16-bit ones.

        >>> sorted(Info().dtypes(kind="real floating"))
        ['float32', 'float64']
        """
        check_device("dtypes", device)
        kinds = (kind,) if isinstance(kind, str) else tuple(KINDS) if kind is None else kind
        for k in kinds:
            if k not in KINDS:
                raise ValueError(f"dtypes: kinds are {', '.join(KINDS)}, not {k!r}" + at_line())
        return {d.name: d for d in STANDARD if any(isdtype(d, k) for k in kinds)}


def __array_namespace_info__() -> Info:
    """An object that tells capabilities, devices and types."""
    return Info()
