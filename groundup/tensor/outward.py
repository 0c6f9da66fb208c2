"""How a Tensor leaves: to NumPy, to other libraries by DLPack, as Python's buffer, as a copy, in a
pickle. Thin methods; must not hold any meaning of their own.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any, Self

from .core import Core
from .errors import at_line

if TYPE_CHECKING:
    import numpy as np

    from .tensor import Tensor


class Outward(Core):
    """What other libraries, `copy` and `pickle` ask of a tensor."""

    def numpy(self, copy: bool = True) -> np.ndarray[Any, Any]:
        """The elements as a NumPy array; copy=False shares the memory.

        Raises TypeError for bfloat16, which NumPy lacks, and RuntimeError for copy=False where a
        derivative needs the value in this memory.
        """
        from .interop import to_array

        return to_array(self, copy)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        """The elements for NumPy, in a copy; copy=False shares memory, or raises ValueError.

        Raises RuntimeError if the tensor requires grad: NumPy would lose the derivative.
        """
        from .interop import as_array

        return as_array(self, self.numpy, dtype, copy)

    # NumPy's arrays and numbers leave arithmetic with a tensor to the tensor, as with PyTorch's.
    __array_priority__ = 1000

    def __dlpack__(
        self,
        *,
        stream: Any = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[int, int] | None = None,
        copy: bool | None = None,
    ) -> object:
        """A DLPack capsule of the memory, for another library's `from_dlpack`.

        Both see what either writes. copy: True for memory of its own; None copies only where a
        derivative needs the value in this memory, False raises BufferError there.
        """
        from .exchange import to_dlpack

        return to_dlpack(self, stream, max_version, dl_device, copy)

    def __dlpack_device__(self) -> tuple[int, int]:
        """Where the memory is, in DLPack's words: (1, 0), the CPU."""
        return 1, 0

    def __buffer__(self, flags: int) -> memoryview:
        """The memory for Python's buffer protocol (`memoryview(x)`, from Python 3.12 on)."""
        from .interop import to_array

        return to_array(self, copy=False).data

    # ---- the array API standard ------------------------------------------------------------------

    def __array_namespace__(self, *, api_version: str | None = None) -> ModuleType:
        """`groundup.array_api`: functions with the names of the array API standard.

        api_version: of the standard, up to 2025.12. Raises ValueError for another one.
        """
        known = ("2021.12", "2022.12", "2023.12", "2024.12", "2025.12")
        if api_version not in (None, *known):
            raise ValueError(
                f"versions of the array API standard are {', '.join(known)}, not {api_version!r}"
                + at_line()
            )
        return import_module("groundup.array_api")  # a floor above: the standard asks arrays for it

    def to_device(self, device: str, /, *, stream: None = None) -> Self:
        """This tensor: there is one device, 'cpu'. Raises ValueError for another, or a stream."""
        if device != "cpu" or stream is not None:
            raise ValueError(
                f"to_device: the device is 'cpu', without streams, not {device!r}, {stream!r}"
                + at_line()
            )
        return self

    # ---- copies and pickles ----------------------------------------------------------------------

    def __deepcopy__(self, memo: dict[Any, Any]) -> Tensor:
        from .pickled import deep_copy

        return deep_copy(self, memo)

    def __reduce__(self) -> Any:
        from .pickled import parts

        return parts(self)
