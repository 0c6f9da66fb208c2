"""Realisation: values are computed when they are asked for.

Must not know how they are computed.
"""

from __future__ import annotations

from collections.abc import Iterable

from . import storage as store
from .core import Core, force
from .errors import at_line


def realize(*tensors: Core | Iterable[Core]) -> None:
    """Compute tensors now, together.

    >>> x = gu.arange(3) * 2
    >>> gu.realize(x)
    """
    store.asked("realize()")
    flat: list[Core] = []
    for t in tensors:
        flat.extend((t,) if isinstance(t, Core) else t if isinstance(t, Iterable) else [t])
    for t in flat:
        if not isinstance(t, Core):
            raise TypeError(f"realize takes tensors, not a {type(t).__name__}" + at_line())
    force([t._storage for t in flat])
