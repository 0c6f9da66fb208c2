"""Tensor: a value with a shape and a type, computed when it is asked for.

Thin methods only; each operation lives in its own room. Must not hold any meaning of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Self, TypeAlias, overload

from ..ir.dtype import DType
from ..ir.extent import product
from . import backward as derive
from . import door, hooks, indexing, picking, shape, show
from . import pointwise as pw
from . import storage as store
from .along import Along
from .complex.methods import Parts
from .conversions import Conversions
from .core import Core, force, has_axes, operand, plain, wrap
from .data import storage_from_data
from .drawn import Drawn
from .errors import GradError, ShapeError, at_line, check_dim, lined_up
from .hooks import RemovableHandle
from .inplace import InPlace
from .leaf import Leaf
from .matrices import Matrices
from .methods import Methods
from .misuse import named
from .mode import no_grad
from .numeric import Numeric
from .outward import Outward
from .reductions import Reductions
from .renamed import Renamed
from .storage import Storage
from .structural import Structural

if TYPE_CHECKING:
    from types import EllipsisType

    import numpy as np

    from .describe import Summary
    from .info import StorageInfo
    from .notation import Indexed

    Plain: TypeAlias = (
        int | slice | EllipsisType | Core | list[Any] | range | "np.ndarray[Any, Any]" | None
    )


class Tensor(
    Methods, Reductions, Along, Matrices, Conversions, Numeric, Structural, Parts, Drawn, Outward,
    Renamed, InPlace,
):
    """A multi-dimensional array whose operations are recorded and computed when asked for.

    Made by `gu.tensor`, `gu.zeros`, `gu.randn` and the like; `Tensor(data)` copies data, and of a
    tensor gives another view of the same memory without its history.

    >>> x = gu.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> (x @ x).tolist()
    [[7.0, 10.0], [15.0, 22.0]]
    """

    def __init__(self, data: Any = (), dtype: DType | None = None) -> None:
        if isinstance(data, Core):
            data.alias(self)
        else:
            storage = storage_from_data(data, dtype)
            if not isinstance(storage, Storage):
                raise TypeError(
                    "complex numbers make a tensor of another class; write gu.tensor(data)"
                    + at_line()
                )
            self._storage, self._shape = storage, storage.shape

    @staticmethod
    def _make(storage: Storage) -> Tensor:
        self = Tensor.__new__(Tensor)
        self._storage, self._shape = storage, storage.shape
        return self

    if not TYPE_CHECKING:  # of what there is, types know

        def __getattr__(self, name: str) -> Any:
            from .absent import of_tensor

            raise AttributeError(of_tensor(type(self).__name__, name))

    # ---- what it is ------------------------------------------------------------------------

    def size(self, dim: int | None = None) -> Any:
        """The shape, or the size of one axis."""
        return self.shape if dim is None else self._shape[check_dim("size", dim, self.ndim)]

    def dim(self) -> int:
        """The number of axes."""
        return len(self._shape)

    def numel(self) -> int:
        """The number of elements."""
        return product(self._shape)

    nelement = numel

    def stride(self, dim: int | None = None) -> Any:
        """How many elements of memory lie between neighbours along each axis, or along one."""
        strides = self.layout()[0]
        return strides if dim is None else strides[check_dim("stride", dim, self.ndim)]

    def storage_offset(self) -> int:
        """The position of the first element in its memory."""
        return self.layout()[1]

    def storage_info(self) -> StorageInfo:
        """Strides, offset, what is stored and who shares the memory, to be looked at.

        >>> c = gu.tensor([10.0, 20.0, 30.0])
        >>> rows = c.expand(4, 3)
        >>> print(rows.storage_info())
        float32 of shape (4, 3): strides (0, 1), offset 0, in elements
        12 elements, 3 stored (12 bytes): axis 0 repeats one copy 4 times
        memory: 12 bytes, computed
        shared with c of shape (3,)
        """
        from .info import storage_info

        return storage_info(self)

    def describe(self) -> Summary:
        """One line: shape, range, mean, std, how many NaN, infinite and zero (see `gu.lovely`).

        >>> gu.ones(3).describe()
        float32 (3,) n=3 x∈[1, 1] mean=1 std=0 [1, 1, 1]
        """
        from .describe import lovely

        return lovely(self)

    def is_contiguous(self) -> bool:
        """Do the elements lie in row-major order, without gaps?"""
        return shape.is_contiguous(self)

    def is_floating_point(self) -> bool:
        """Is the type a floating one?"""
        return self.dtype.is_float

    def element_size(self) -> int:
        """Bytes of one element."""
        return self.dtype.itemsize

    @property
    def itemsize(self) -> int:
        """Bytes of one element."""
        return self.dtype.itemsize

    @property
    def nbytes(self) -> int:
        """Bytes of all elements."""
        return product(self._shape) * self.dtype.itemsize

    @property
    def device(self) -> str:
        """Where the values live: 'cpu'."""
        return "cpu"

    # ---- derivatives -------------------------------------------------------------------------

    @property
    def requires_grad(self) -> bool:
        """Do derivatives flow through this tensor?"""
        return self.tracked() and self.dtype.is_float

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        self.requires_grad_(value)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Ask for the derivatives with respect to this tensor (or stop asking); returns it."""
        if requires_grad:
            if not self.dtype.is_float:
                raise GradError(
                    f"only floating types have derivatives, not {self.dtype.name}" + at_line()
                )
            if (cut := self.cut()) is not None:
                cut.refuse("requires_grad_")
            if not self.tracked():
                self._leaf, self._known = Leaf(self), None
        elif self._leaf is not None:
            self._leaf = self._known = None
        elif self.tracked():
            raise GradError(
                "requires_grad_(False) of a computed tensor; detach() gives it without its history"
                + at_line()
            )
        return self

    @property
    def is_leaf(self) -> bool:
        """Was this tensor made by the user rather than computed from tensors that require grad?"""
        return self._leaf is not None or not self.tracked()

    @property
    def grad(self) -> Tensor | None:
        """The derivative that `.backward()` has summed up, or None."""
        return self._grad

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        derive.check_gradient(self, value)
        self._grad = value

    @property
    def grad_fn(self) -> str | None:
        """What computed this tensor, in a word, if derivatives flow through it; else None."""
        if self._leaf is not None or not self.requires_grad:
            return None
        return self.node.op

    @named
    def backward(
        self, gradient: Tensor | None = None, retain_graph: bool = True, create_graph: bool = False
    ) -> None:
        """Add the derivative of this tensor to `.grad` of every leaf that it was computed from.

        gradient: what multiplies each element; 1 for a tensor with one element.
        create_graph: whether the derivatives can be derived again.
        """
        derive.backward(self, gradient, create_graph)

    def retain_grad(self) -> None:
        """Let `.backward()` fill `.grad` of this tensor too, which is not a leaf."""
        door.passing()
        if not self.requires_grad:
            raise GradError("retain_grad of a tensor that does not require grad" + at_line())
        hooks.retain(self)

    def register_hook(self, hook: Callable[[Tensor], Tensor | None]) -> RemovableHandle:
        """Have a function called with the derivative by this tensor, whenever it is computed.

        What it gives, a tensor of that shape and type, goes on in the place of the derivative;
        None changes nothing. Hooks are called in the order in which they were registered, before
        `.grad` is filled. The handle's `remove()` takes the hook away. In a captured function
        hooks are called while it is captured, with tensors that compute nothing yet.

        >>> x = gu.tensor([1.0, 2.0], requires_grad=True)
        >>> y = x * 3
        >>> handle = y.register_hook(lambda g: g * 10)
        >>> y.sum().backward()
        >>> x.grad.tolist()
        [30.0, 30.0]
        """
        return hooks.register(self, hook)

    def register_post_accumulate_grad_hook(self, hook: Callable[[Tensor], None]) -> RemovableHandle:
        """Have a function called with this leaf once `.backward()` has added to its `.grad`."""
        return hooks.register_after(self, hook)

    def detach(self) -> Tensor:
        """The same memory without its history."""
        result = Tensor.__new__(Tensor)
        self.alias(result)
        return result

    def detach_(self) -> Self:
        """Forget the history of this tensor."""
        self._detached, self._leaf, self._known = True, None, None
        return self

    @property
    def data(self) -> Tensor:
        """The same memory without its history."""
        return self.detach()

    @data.setter
    def data(self, value: Core) -> None:
        with no_grad():
            if value._shape == self._shape and value.dtype is self.dtype:
                self.copy_(value)
                return
            if value._parent is not None:  # perhaps of this tensor, and this one may have views
                value = plain(value)
            from .reform import leave_views

            leave_views(self)
        value.alias(self)
        self._known = self._layout = None

    # ---- values --------------------------------------------------------------------------------

    def realize(self) -> Self:
        """Compute the value now."""
        store.asked("realize()")
        force([self._storage])
        return self

    def item(self) -> Any:
        """The one element as a Python number."""
        s = self._storage
        if not self._shape and s.pending is None and not store.tracers:
            number = s.number
            return s.get(self.layout()[1]) if number is None else number
        store.asked("item()")
        if product(self._shape) != 1:
            raise ShapeError(
                f"item() needs exactly one element, not {self.numel()}"
                + lined_up(shape=self._shape)
                + at_line()
            )
        return indexing.host_values(self, "item()")[0]

    def tolist(self) -> Any:
        """The elements as nested lists of Python numbers."""
        values: list[Any] = indexing.host_values(self, "tolist()")
        if not self._shape:
            return values[0]
        if not values:
            return nested_empty(self._shape)
        for size in reversed(self._shape[1:]):
            n = int(size)
            values = [values[i : i + n] for i in range(0, len(values), n)]
        return values

    def __bool__(self) -> bool:
        if product(self._shape) != 1:
            raise ShapeError(
                f"is a tensor of {self.numel()} elements true? write x.any(), x.all() or "
                f"x.numel() > 0" + lined_up(shape=self._shape) + at_line()
            )
        return bool(self.item())

    def __complex__(self) -> complex:
        return complex(self.item())

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __index__(self) -> int:
        if not self.dtype.is_int or product(self._shape) != 1:
            raise TypeError(
                f"one integer is a position, not shape {tuple(self._shape)} of {self.dtype.name}"
                + at_line()
            )
        return int(self.item())

    def __len__(self) -> int:
        if not self._shape:
            raise TypeError("a 0-d tensor has no length" + at_line())
        return int(self._shape[0])

    def __iter__(self) -> Iterator[Tensor]:
        if not self._shape:
            raise TypeError("a 0-d tensor cannot be iterated" + at_line())
        return iter(shape.unbind(self))

    def __contains__(self, value: object) -> bool:
        equal: Any = self == value
        return equal if isinstance(equal, bool) else bool(equal.any().item())

    def __repr__(self) -> str:
        return show.show(self)

    def _repr_html_(self) -> str:
        from .picture import page

        return page(self)

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if not self._shape else format(repr(self), spec)

    # ---- indexing --------------------------------------------------------------------------------

    @overload
    def __getitem__(self, key: Indexed) -> Indexed: ...
    @overload
    def __getitem__(  # type: ignore[overload-overlap]  # a tuple without axes is the narrower one
        self, key: Plain | tuple[Plain, ...]
    ) -> Tensor: ...
    @overload
    def __getitem__(self, key: tuple[Plain | Indexed, ...]) -> Indexed: ...
    def __getitem__(self, key: Any) -> Any:
        if type(key) is tuple and len(key) == len(self._shape):
            for k in key:
                if type(k) is not int:
                    break
            else:
                found = indexing.element_view(self, key)
                if found is not None:
                    return found
        if has_axes(key):
            from .notation import indexed

            return indexed(self, key)
        return indexing.getitem(self, key)

    def __setitem__(self, key: Any, value: Any) -> None:
        if has_axes(key):
            raise TypeError(
                "a tensor cannot be assigned through axes; write y = (…).order(i, j)" + at_line()
            )
        indexing.setitem(self, key, value)

    def gather(self, dim: int, index: Core) -> Tensor:
        """y[…, i, …] = x[…, index[…, i, …], …] along `dim`"""
        return picking.gather(self, dim, index)

    def index_select(self, dim: int, index: Core) -> Tensor:
        """The elements of one axis that a list of indices names."""
        return picking.index_select(self, dim, index)

    def take_along_dim(self, indices: Core, dim: int | None = None) -> Tensor:
        """gather, after broadcasting the other axes."""
        return picking.take_along_dim(self, indices, dim)

    def nonzero(self, *, as_tuple: bool = False) -> Any:
        """The indices of what is not 0, one row each, or a tensor for each axis (computed now)."""
        if as_tuple:
            return tuple(indexing.nonzero(self))
        from .search import argwhere

        return argwhere(self)

    @named
    def masked_select(self, mask: Core) -> Tensor:
        """The elements where a mask holds, in one axis (computed now)."""
        size = pw.broadcast("masked_select", self._shape, mask._shape)
        return indexing.getitem(shape.expand(self, size), shape.expand(mask, size))

    # ---- shapes ----------------------------------------------------------------------------------

    def reshape(self, *size: Any) -> Tensor:
        """The same elements in another shape; one size may be -1."""
        return shape.reshape(self, *size)

    def view(self, *size: Any) -> Tensor:
        """reshape that never copies.

        Raises ShapeError where a copy would be needed, TypeError for a dtype: memory is not read
        as bits of another type.
        """
        if size and isinstance(size[0], DType):
            raise TypeError(
                f"view: memory of {self.dtype.name} is not read as {size[0].name}; x.to(dtype) "
                f"converts numbers, gu.from_numpy(x.numpy().view(…)) reads bits" + at_line()
            )
        return shape.reshape(self, *size, operation="view")

    @named
    def view_as(self, other: Core) -> Tensor:
        """view in another tensor's shape."""
        return self.view(other._shape)

    @named
    def reshape_as(self, other: Core) -> Tensor:
        """reshape in another tensor's shape."""
        return shape.reshape(self, other._shape)

    def flatten(self, start_dim: int = 0, end_dim: int = -1) -> Tensor:
        """The axes from start_dim to end_dim as one."""
        return shape.flatten(self, start_dim, end_dim)

    def ravel(self) -> Tensor:
        """All axes as one."""
        return shape.reshape(self, -1)

    def unflatten(self, dim: int, sizes: Sequence[int]) -> Tensor:
        """One axis as several."""
        return shape.unflatten(self, dim, sizes)

    def permute(self, *axes: Any, dims: Sequence[int] | None = None) -> Tensor:
        """The axes in another order."""
        return shape.permute(self, shape.sizes(axes if dims is None else (*axes, dims)))

    def transpose(self, dim0: int, dim1: int) -> Tensor:
        """Two axes exchanged."""
        return shape.transpose(self, dim0, dim1)

    def swapaxes(self, axis0: int, axis1: int) -> Tensor:
        """Two axes exchanged."""
        return shape.transpose(self, axis0, axis1)

    def t(self) -> Tensor:
        """The transpose of a matrix."""
        return shape.t(self)

    @property
    def T(self) -> Tensor:
        """The axes in reverse order."""
        return shape.permute(self, range(self.ndim - 1, -1, -1))

    @property
    def mT(self) -> Tensor:
        """The last two axes exchanged."""
        return shape.transpose(self, -2, -1)

    def unsqueeze(self, dim: int) -> Tensor:
        """A new axis of size 1."""
        return shape.unsqueeze(self, dim)

    @named
    def squeeze(self, dim: int | Sequence[int] | None = None) -> Tensor:
        """Without axes of size 1."""
        return shape.squeeze(self, dim)

    def expand(self, *sizes: Any, size: Sequence[int] | None = None) -> Tensor:
        """Axes of size 1 repeated without copying."""
        return shape.expand(self, *(sizes if size is None else (*sizes, size)))

    @named
    def expand_as(self, other: Core) -> Tensor:
        """expand to another tensor's shape."""
        return shape.expand(self, other._shape)

    def broadcast_to(self, *size: Any) -> Tensor:
        """expand."""
        return shape.expand(self, *size)

    def repeat(self, *times: Any) -> Tensor:
        """The tensor tiled."""
        return shape.repeat(self, *times)

    def split(self, split_size: int | Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
        """Pieces along an axis."""
        return shape.split(self, split_size, dim)

    def chunk(self, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
        """A number of pieces along an axis."""
        return shape.chunk(self, chunks, dim)

    def unbind(self, dim: int = 0) -> tuple[Tensor, ...]:
        """The elements of one axis."""
        return shape.unbind(self, dim)

    def narrow(self, dim: int, start: int, length: int) -> Tensor:
        """A run of one axis."""
        return shape.narrow(self, dim, start, length)

    def select(self, dim: int, index: int) -> Tensor:
        """One element of an axis."""
        return shape.select(self, dim, index)

    def diagonal(self, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
        """A diagonal of two axes, as the last axis."""
        return shape.diagonal(self, offset, dim1, dim2)

    def flip(self, *axes: Any, dims: Sequence[int] | None = None) -> Tensor:
        """Axes in reverse order."""
        return shape.flip(self, shape.sizes(axes if dims is None else (*axes, dims)))

    def tril(self, diagonal: int = 0) -> Tensor:
        """The lower triangle, 0 above."""
        return shape.triangle(self, diagonal, upper=False)

    def triu(self, diagonal: int = 0) -> Tensor:
        """The upper triangle, 0 below."""
        return shape.triangle(self, diagonal, upper=True)

    # ---- types and copies ------------------------------------------------------------------------

    @named
    def clone(self) -> Tensor:
        """A tensor of its own with the same value (and history)."""
        return wrap(self, operand(self), self)

    @named
    def contiguous(self) -> Tensor:
        """This tensor if its memory is in row-major order, else a copy that is."""
        return self if shape.is_contiguous(self) else self.clone()

    @named
    def new_zeros(self, *size: Any, dtype: DType | None = None) -> Tensor:
        """Zeros of this tensor's type."""
        return self._filled(shape.sizes(size), 0, dtype)

    @named
    def new_ones(self, *size: Any, dtype: DType | None = None) -> Tensor:
        """Ones of this tensor's type."""
        return self._filled(shape.sizes(size), 1, dtype)

    @named
    def new_full(self, size: Sequence[int], fill_value: Any, dtype: DType | None = None) -> Tensor:
        """One value, of this tensor's type."""
        return self._filled(tuple(size), fill_value, dtype)

    def _filled(self, size: tuple[Any, ...], value: Any, dtype: DType | None) -> Tensor:
        from .create import filled

        return filled(size, value, dtype or self.dtype)


def nested_empty(size: Sequence[int]) -> list[Any]:
    """Nested lists of a shape without elements."""
    if len(size) == 1 or size[0] == 0:
        return []
    return [nested_empty(size[1:]) for _ in range(int(size[0]))]
