"""Leaves: which tensors derivatives are asked for, as expressions know them. Must not know how a
derivative is taken.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .core import Core


class Leaf:
    """Identity of a tensor whose derivatives are asked for, as it appears in expressions.

    hooks  called, in this order, with the derivative when it is known, see hooks.py
    after  called with the tensor once `.grad` has been filled
    keeps  is `.grad` filled (a hook alone does not ask for it)?
    version  of the value that it is for; None for that of a leaf, whichever it is
    open   without a tensor: does the function run that derivatives by it are taken of?
    """

    __slots__ = ("__weakref__", "after", "hooks", "keeps", "open", "tensor", "version")

    def __init__(self, tensor: Core | None, keeps: bool = True) -> None:
        self.tensor = None if tensor is None else weakref.ref(tensor)
        self.keeps = keeps
        self.hooks: dict[int, Callable[[Any], Any]] | None = None
        self.after: dict[int, Callable[[Any], Any]] | None = None
        self.version: int | None = None
        self.open = False

    def wanted(self) -> Core | None:
        """The tensor, if it is alive and this is still its leaf, or for the value that it has."""
        tensor = None if self.tensor is None else self.tensor()
        if tensor is None:
            return None
        if self.version is not None:
            return tensor if self.version == tensor._storage.version else None
        return tensor if tensor._leaf is self else None

    def alive(self) -> bool:
        """May anything ask for the derivative by this leaf?"""
        return self.open if self.tensor is None else self.wanted() is not None
