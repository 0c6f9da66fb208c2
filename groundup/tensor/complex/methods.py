"""The methods of Tensor that complex numbers bring, each one line to its room.

Must not hold any meaning of its own. A room is imported when a method first asks for it: a first
result needs none of them (tests/test_startup.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from ...ir import dtype as dt
from .. import pointwise as pw
from ..core import Core

if TYPE_CHECKING:
    from ..tensor import Tensor


class Parts(Core):
    """The parts of complex numbers; a real tensor is its own real part and conjugate."""

    def is_complex(self) -> bool:
        """Is the type a complex one?"""
        return self.dtype.is_complex

    @property
    def real(self) -> Tensor:
        """The real parts, in the same memory."""
        from .parts import real

        return real(self)

    @real.setter
    def real(self, value: Any) -> None:
        self.real.copy_(_tensor(value))

    @property
    def imag(self) -> Tensor:
        """The imaginary parts, in the same memory; TypeError for a real tensor."""
        from .parts import imag

        return imag(self)

    @imag.setter
    def imag(self, value: Any) -> None:
        self.imag.copy_(_tensor(value))

    def conj(self) -> Tensor:
        """re − i·im, a value of its own"""
        from .parts import conj

        return conj(self)

    conj_physical = conj

    def sgn(self) -> Tensor:
        """−1, 0 or 1; of a complex number z / |z|, or 0"""
        from ..functions import sgn

        return sgn(self)

    def resolve_conj(self) -> Self:
        """This tensor: a conjugate is a value, and never put off."""
        return self

    def resolve_neg(self) -> Self:
        """This tensor: a negative is a value, and never put off."""
        return self

    def is_conj(self) -> bool:
        """Is this a conjugate that is put off? Never: see conj."""
        return False

    def is_neg(self) -> bool:
        """Is this a negative that is put off? Never."""
        return False

    def cfloat(self) -> Tensor:
        """As complex64."""
        return pw.cast(self, dt.complex64)

    def cdouble(self) -> Tensor:
        """As complex128."""
        return pw.cast(self, dt.complex128)


def _tensor(value: Any) -> Core:
    """A value to be written: a tensor, or what makes one."""
    if isinstance(value, Core):
        return value
    from ..create import tensor

    return tensor(value)
