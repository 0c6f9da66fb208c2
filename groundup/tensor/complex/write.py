"""In-place writes with complex numbers on either side.

Must not know what the written value means.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .. import indexing
from .. import write as plain
from ..core import Core, Paired
from .parts import converted, pairs_of

if TYPE_CHECKING:
    from ..indexing import _Gather


def write(operation: str, a: Core, value: Any) -> None:
    """a ← value, which broadcasts to a's shape; of a complex value a real tensor gets the real
    parts, with a warning, as in PyTorch."""
    if isinstance(a, Paired):
        plain.write(operation, a._pair, pairs_of(value, a.dtype))
    else:
        plain.write(operation, a, converted(value, a.dtype))


def scatter(a: Core, gathers: list[_Gather], value: Any) -> None:
    """a[index] ← value."""
    if isinstance(a, Paired):
        indexing._scatter(a._pair, gathers, pairs_of(value, a.dtype))
    else:
        indexing._scatter(a, gathers, converted(value, a.dtype))
