"""The conversions of Tensor as methods, apart from it so that `float` and `int` stay types there.

Must not hold any meaning of its own.
"""

from __future__ import annotations

import builtins
from typing import TYPE_CHECKING, Any, Self

from ..ir import dtype as dt
from ..ir.dtype import DType
from . import pointwise as pw
from .core import Core
from .errors import at_line
from .misuse import named

if TYPE_CHECKING:
    from .tensor import Tensor


class Conversions(Core):
    """Other types."""

    def _whole(self) -> Tensor:
        return self  # type: ignore[return-value]

    def _converted(self, dtype: DType) -> Tensor:
        """Converted to a dtype, as the user has asked for it."""
        return pw.cast(self, dtype)

    @named
    def to(self, *wanted: Any, dtype: Any = None, copy: builtins.bool = False) -> Tensor:
        """Converted to a dtype, or to another tensor's: x.to(gu.float64), x.to(y), x.to("cpu")

        Of that type already, the tensor itself; copy: a copy all the same. Raises ValueError for a
        device other than the one there is.

        >>> gu.tensor([1.7]).to(gu.int64).tolist()
        [1]
        """
        for value in wanted:
            if isinstance(value, builtins.bool):  # PyTorch's non_blocking
                continue
            if isinstance(value, str) and value != "cpu":
                raise ValueError(f"to: there is one device, 'cpu', not {value!r}" + at_line())
            if not isinstance(value, str):
                dtype = value.dtype if isinstance(value, Core) else value
        if dtype is not None and not isinstance(dtype, DType):
            raise TypeError(
                f"to(dtype) takes a dtype such as gu.float32, not {dtype!r}" + at_line()
            )
        result = self._whole() if dtype is None else self._converted(dtype)
        return result.clone() if copy and result is self else result

    def type(self, dtype: DType | None = None) -> Any:
        """Converted to a dtype; without one, the dtype's name."""
        return self.dtype.name if dtype is None else self._converted(dtype)

    @named
    def type_as(self, other: Core) -> Tensor:
        """Converted to another tensor's dtype."""
        return self._converted(other.dtype)

    def float(self) -> Tensor:
        """As float32."""
        return self._converted(dt.float32)

    def double(self) -> Tensor:
        """As float64."""
        return self._converted(dt.float64)

    def half(self) -> Tensor:
        """As float16."""
        return self._converted(dt.float16)

    def bfloat16(self) -> Tensor:
        """As bfloat16."""
        return self._converted(dt.bfloat16)

    def long(self) -> Tensor:
        """As int64."""
        return self._converted(dt.int64)

    def int(self) -> Tensor:
        """As int32."""
        return self._converted(dt.int32)

    def bool(self) -> Tensor:
        """x != 0"""
        return self._converted(dt.bool_)

    def cpu(self) -> Self:
        """This tensor."""
        return self
