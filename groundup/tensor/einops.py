"""einops on tensors: what its functions ask of a library, registered in its own way.

One of the few files of this floor that may import another library, inside a function. Must not know
what a pattern means.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .core import Core
from .tensor import Tensor


def register_einops() -> None:
    """Let einops' own functions (`einops.rearrange`, `reduce`, `repeat`, `einsum`, `pack`, …) take
    tensors; derivatives flow through them. Calling it again changes nothing.

    `einops.array_api` takes tensors without it. Raises ImportError if einops is not installed.

    >>> import einops
    >>> gu.register_einops()
    >>> einops.rearrange(gu.zeros(2, 3, 4), "b h w -> (b w) h").shape
    (8, 3)
    """
    from einops import _backends

    known: Any = _backends.AbstractBackend
    if any(kind.framework_name == "groundup" for kind in known.__subclasses__()):
        return

    class Backend(known):  # type: ignore[misc]  # einops finds the subclasses of its class
        """groundup for einops: of shapes only the numbers, for it remembers them."""

        framework_name = "groundup"
        is_appropriate_type = staticmethod(_is_tensor)
        from_numpy = staticmethod(_from_numpy)
        to_numpy = staticmethod(_to_numpy)
        arange = staticmethod(_arange)
        shape = staticmethod(_shape)
        transpose = staticmethod(_transpose)
        reduce = staticmethod(_reduce)
        stack_on_zeroth_dimension = staticmethod(_stack)
        add_axis = staticmethod(_add_axis)
        add_axes = staticmethod(_add_axes)
        tile = staticmethod(_tile)
        concat = staticmethod(_concat)
        is_float_type = staticmethod(_is_float)
        einsum = staticmethod(_einsum)

    assert Backend.framework_name


def _is_tensor(x: object) -> bool:
    return isinstance(x, Tensor)


def _from_numpy(array: Any) -> Tensor:
    from .create import from_numpy

    return from_numpy(array)


def _to_numpy(x: Tensor) -> Any:
    return x.detach().numpy()


def _arange(start: int, stop: int) -> Tensor:
    from .create import arange

    return arange(start, stop)


def _shape(x: Core) -> tuple[int, ...]:
    return tuple([int(n) for n in x._shape])


def _transpose(x: Tensor, axes: Sequence[int]) -> Tensor:
    return x.permute(*axes)


def _reduce(x: Tensor, operation: str, axes: Sequence[int]) -> Tensor:
    dims = list(axes)
    name = {"min": "amin", "max": "amax"}.get(operation, operation)
    if name not in ("amin", "amax", "sum", "mean", "prod", "any", "all"):
        raise NotImplementedError(f"einops: reduction {operation!r} is not known")
    result: Tensor = getattr(x, name)(dims)
    return result


def _stack(tensors: list[Tensor]) -> Tensor:
    from .shape import stack

    return stack(tensors, 0)


def _add_axis(x: Tensor, place: int) -> Tensor:
    return x.unsqueeze(place)


def _add_axes(x: Tensor, n_axes: int, pos2len: dict[int, int]) -> Tensor:
    size = [-1] * n_axes
    for place, length in pos2len.items():
        x = x.unsqueeze(place)
        size[place] = length
    return x.expand(*size)


def _tile(x: Tensor, repeats: Sequence[int]) -> Tensor:
    return x.repeat(*repeats)


def _concat(tensors: Sequence[Tensor], axis: int) -> Tensor:
    from .shape import cat

    return cat(tensors, axis)


def _is_float(x: Core) -> bool:
    return x.dtype.is_float or x.dtype.is_complex


def _einsum(pattern: str, *x: Tensor) -> Tensor:
    from .contract import einsum

    return einsum(pattern, *x)
