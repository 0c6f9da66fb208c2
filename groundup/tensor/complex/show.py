"""How a complex tensor prints: re+im·j in PyTorch's layout, each part in a format of its own.

Must not know how the rows are laid out.
"""

from __future__ import annotations

from typing import Any

from ...ir import dtype as dt
from .. import storage as store
from ..errors import shape_text
from ..show import Format, ending, nested
from .tensor import ComplexTensor


class _Pair:
    """How each number of one tensor is written: its parts, each equally wide."""

    def __init__(self, values: list[Any]) -> None:
        self.real = Format([v.real for v in values], True)
        self.imag = Format([v.imag for v in values], True)
        self.width = self.real.width + self.imag.width + 1

    def one(self, v: complex) -> str:
        return self._joined(self.real.one(v.real), v)

    def padded(self, v: complex) -> str:
        return self._joined(self.real.padded(v.real), v)

    def _joined(self, real: str, v: complex) -> str:
        imag = self.imag.one(v.imag)
        return real + (imag if imag.startswith("-") else f"+{imag}") + "j"


def show(a: ComplexTensor) -> str:
    """tensor(…) with values, dtype where it is not the default, and whether it is tracked."""
    if store.tracing() is not None:
        return f"tensor(…, shape={shape_text(a._shape)}, dtype={a.dtype!r}, being captured)"
    values = a.values("print")
    named = a.dtype is not dt.complex64 or not values
    extra = ending(a, named, a._pair._leaf is not None)
    return f"tensor({nested(a._shape, values, _Pair)}{extra})"
