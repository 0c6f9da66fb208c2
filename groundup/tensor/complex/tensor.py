"""ComplexTensor: a Tensor whose elements are complex, held as pairs of real numbers.

What it is, its values and its derivatives; operations live in the other rooms of this package. Must
not know any operation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self

from ...ir.dtype import COMPLEX, DType
from ...ir.node import Cut, Node
from .. import backward as derive
from .. import indexing
from .. import storage as store
from ..core import Core, Paired, force
from ..errors import GradError, ShapeError, at_line, lined_up, shape_text
from ..misuse import named
from ..tensor import Tensor, nested_empty
from ..view import Affine, Reshape, Shape, View
from .refusal import Pairs, refuse

if TYPE_CHECKING:
    import numpy as np

    from ..info import StorageInfo


class ComplexTensor(Tensor, Paired):
    """A tensor of complex numbers z = re + i·im.

    Made by `gu.tensor` of complex numbers, `gu.complex(re, im)`, `gu.view_as_complex(pairs)`, or an
    operation with a complex operand. Its derivative of a real loss L is, as in PyTorch,
    ∂L/∂re + i·∂L/∂im.

    >>> z = gu.tensor([1 + 2j, 3 - 1j], requires_grad=True)
    >>> (z * z.conj()).real.sum().backward()
    >>> z.grad
    tensor([2.+4.j, 6.-2.j])
    """

    _storage: Any  # a stand-in: there is no storage of complex numbers

    def __init__(self, pair: Core) -> None:
        assert isinstance(pair, Tensor)
        self._pair = pair
        self._shape = pair._shape[:-1]
        self._storage = Pairs(COMPLEX[pair._storage.dtype.bits == 64])
        self._parent = pair._parent

    @staticmethod
    def of(pairs: Pairs) -> ComplexTensor:
        """The tensor of complex numbers that were just made."""
        assert pairs.real is not None
        return ComplexTensor(Tensor._make(pairs.real))

    def over(self, f: Callable[[Tensor], Tensor]) -> Tensor:
        return ComplexTensor(f(self._pair))

    # ---- what it is ------------------------------------------------------------------------

    @property
    def node(self) -> Node:
        refuse(self.dtype)

    def layout(self) -> tuple[Shape, int]:
        """Strides and offset, in complex elements."""
        strides, offset = self._pair.layout()
        return tuple(s // 2 for s in strides[:-1]), offset // 2

    def through(self, view: View) -> Tensor:
        """This tensor seen through a view, which leaves the pairs whole."""
        source, shape = (*view.source, 2), (*view.shape, 2)
        if isinstance(view, Reshape):
            return ComplexTensor(self._pair.through(Reshape(source, shape)))
        assert isinstance(view, Affine)  # foreign memory is seen as pairs before
        rules = (*view.rules, (0, 1, len(view.shape)))
        return ComplexTensor(self._pair.through(Affine(source, shape, rules)))

    def tracked(self) -> bool:
        return self._pair.tracked()

    def cut(self) -> Cut | None:
        return self._pair.cut()

    def alias(self, target: Core) -> None:
        if not isinstance(target, ComplexTensor):
            refuse(self.dtype)
        self._pair.alias(target._pair)
        target._shape, target._storage = self._shape, self._storage
        target._parent = target._pair._parent

    def number(self) -> None:
        return None

    def can_poke(self, limit: int = 1 << 16) -> bool:
        return False

    def check_writable(self, operation: str) -> None:
        self._pair.check_writable(operation)

    def storage_info(self) -> StorageInfo:
        """storage_info of the pairs, which are what is stored."""
        return self._pair.storage_info()

    # ---- derivatives -------------------------------------------------------------------------

    @property
    def requires_grad(self) -> bool:
        """Do derivatives flow through this tensor?"""
        return self.tracked()

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        self.requires_grad_(value)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Ask for the derivatives with respect to this tensor (or stop asking); returns it."""
        self._pair.requires_grad_(requires_grad)
        return self

    @property
    def is_leaf(self) -> bool:
        """Was this tensor made by the user rather than computed from tensors that require grad?"""
        return self._pair.is_leaf

    @property
    def grad(self) -> Tensor | None:
        """The derivative that `.backward()` has summed up, or None."""
        pair = self._pair._grad
        return None if pair is None else ComplexTensor(pair)

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        derive.check_gradient(self, value)
        if value is not None and not isinstance(value, ComplexTensor):
            raise TypeError(
                f"the gradient of {self.dtype.name} is complex, not {value.dtype.name}" + at_line()
            )
        self._pair._grad = None if value is None else value._pair

    @property
    def grad_fn(self) -> str | None:
        """What computed this tensor, in a word, if derivatives flow through it; else None."""
        return self._pair.grad_fn

    @named
    def backward(
        self, gradient: Tensor | None = None, retain_graph: bool = True, create_graph: bool = False
    ) -> None:
        """Add the derivative of Re Σ conj(gradient)·x to `.grad` of every leaf.

        gradient: of this shape; it must be given, since a complex number is no loss.
        """
        if gradient is None:
            raise GradError(
                f"backward of {self.dtype.name} needs a gradient: only a real number is a loss; "
                f"take x.real, x.abs() or the like, or give backward(gradient)" + at_line()
            )
        from .parts import pairs_of

        if gradient._shape != self._shape:
            raise ShapeError(
                "backward: the gradient has the shape of the tensor"
                + lined_up(tensor=self._shape, gradient=gradient._shape)
                + at_line()
            )
        derive.backward(self._pair, pairs_of(gradient, self.dtype), create_graph)

    def retain_grad(self) -> None:
        """Let `.backward()` fill `.grad` of this tensor too, which is not a leaf."""
        self._pair.retain_grad()

    def detach(self) -> Tensor:
        """The same memory without its history."""
        return ComplexTensor(self._pair.detach())

    def detach_(self) -> Self:
        """Forget the history of this tensor."""
        self._pair.detach_()
        return self

    def _converted(self, dtype: DType) -> Tensor:
        from .parts import converted

        return converted(self, dtype)

    # ---- values --------------------------------------------------------------------------------

    def clone(self) -> Tensor:
        """A tensor of its own with the same value (and history)."""
        return ComplexTensor(self._pair.clone())

    def realize(self) -> Self:
        """Compute the value now."""
        store.asked("realize()")
        force([self._pair._storage])
        return self

    def values(self, what: str) -> list[complex]:
        parts = indexing.host_values(self._pair, what)
        return [complex(re, im) for re, im in zip(parts[::2], parts[1::2], strict=True)]

    def item(self) -> Any:
        """The one element as a Python complex number."""
        store.asked("item()")
        if self.numel() != 1:
            raise ShapeError(
                f"item() needs exactly one element, not {self.numel()}"
                + lined_up(shape=self._shape)
                + at_line()
            )
        return self.values("item()")[0]

    def tolist(self) -> Any:
        """The elements as nested lists of Python complex numbers."""
        values: list[Any] = self.values("tolist()")
        if not self._shape:
            return values[0]
        if not values:
            return nested_empty(self._shape)
        for size in reversed(self._shape[1:]):
            n = int(size)
            values = [values[i : i + n] for i in range(0, len(values), n)]
        return values

    def numpy(self, copy: bool = True) -> np.ndarray[Any, Any]:
        """The elements as a NumPy array; copy=False shares the memory."""
        from ..interop import to_array

        pairs = to_array(self._pair, copy)
        if not pairs.size:
            return pairs[..., 0].astype(self.dtype.name)
        return pairs.view(self.dtype.name)[..., 0]

    def _one_real(self, kind: str) -> float:
        value = self.item()
        if value.imag:
            raise TypeError(
                f"{kind}(x) of {value}, which has an imaginary part; take x.real or x.abs()"
                + at_line()
            )
        return float(value.real)

    def __complex__(self) -> complex:
        return complex(self.item())

    def __float__(self) -> float:
        return self._one_real("float")

    def __int__(self) -> int:
        return int(self._one_real("int"))

    def __index__(self) -> int:
        raise TypeError(
            f"only 0-d integer tensors are positions, not {self.dtype.name} of shape "
            f"{shape_text(self._shape)}" + at_line()
        )

    def __repr__(self) -> str:
        from .show import show

        return show(self)
