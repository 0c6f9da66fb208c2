"""Realisation: values are computed when they are asked for.

Must not know how they are computed.
"""

from __future__ import annotations

from collections.abc import Iterable

from . import storage as store
from .core import Core, force


def realize(*tensors: Core | Iterable[Core]) -> None:
    """Compute tensors now, together.

    >>> x = gu.arange(3) * 2
    >>> gu.realize(x)
    """
    store.asked("realize()")
    flat: list[Core] = []
    for t in tensors:
        flat.extend((t,) if isinstance(t, Core) else t)
    force([t._storage for t in flat])
