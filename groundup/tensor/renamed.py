"""PyTorch's second names of the functions of one Tensor, and what it asks a tensor about itself.

Must not hold any meaning of its own: a name here is another name of a method.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from .core import Core
from .misuse import named

if TYPE_CHECKING:
    from ..ir.dtype import DType
    from .digits import Frexp
    from .tensor import Tensor


def _as(name: str) -> Callable[..., Any]:
    """A method under another name."""

    def method(self: Any, /, *args: Any, **options: Any) -> Any:
        return getattr(self, name)(*args, **options)

    method.__name__ = method.__qualname__ = name
    method.__doc__ = f"`{name}`"
    return method


def _of(room: str, name: str) -> Callable[..., Any]:
    """A function of a room as a method."""

    def method(self: Any, /, *args: Any, **options: Any) -> Any:
        from importlib import import_module

        return getattr(import_module(f"groundup.tensor.{room}"), name)(self, *args, **options)

    method.__name__ = method.__qualname__ = name
    method.__doc__ = f"`gu.{name}` of this tensor"
    return method


class Renamed(Core):
    """Names beside those of the other rooms."""

    absolute, negative, fix, clip = _as("abs"), _as("neg"), _as("trunc"), _as("clamp")
    arccos, arccosh, arcsin, arcsinh = _as("acos"), _as("acosh"), _as("asin"), _as("asinh")
    arctan, arctanh, arctan2 = _as("atan"), _as("atanh"), _as("atan2")
    divide, multiply, subtract = _as("div"), _as("mul"), _as("sub")
    sgn = _of("functions", "sgn")
    true_divide = _of("functions", "true_divide")
    greater, greater_equal, less, less_equal = _as("gt"), _as("ge"), _as("lt"), _as("le")
    not_equal, ger, moveaxis, swapdims = _as("ne"), _as("outer"), _as("movedim"), _as("transpose")
    adjoint = _of("second", "adjoint")
    split_with_sizes, unsafe_split, unsafe_chunk = _as("split"), _as("split"), _as("chunk")
    isclose, allclose = _of("functions", "isclose"), _of("functions", "allclose")
    equal = _of("functions", "equal")
    nextafter = _of("digits", "nextafter")
    igamma, igammac = _of("gamma", "igamma"), _of("gamma", "igammac")
    multinomial, bernoulli = _of("random", "multinomial"), _of("random", "bernoulli")
    geqrf, orgqr, ormqr = (_of("linalg.older", n) for n in ("geqrf", "orgqr", "ormqr"))
    lu, qr, svd = (_of("linalg.older", n) for n in ("lu", "qr", "svd"))
    lu_solve, triangular_solve = (_of("linalg.older", n) for n in ("lu_solve", "triangular_solve"))
    cholesky_inverse = _of("linalg.triangular", "cholesky_inverse")
    cholesky_solve = _of("linalg.triangular", "cholesky_solve")

    @property
    def is_cpu(self) -> bool:
        """Does it live on the one device there is? True."""
        return True

    @property
    def is_cuda(self) -> bool:
        """Does it live on a graphics card? False."""
        return False

    @named
    def polygamma(self, n: int) -> Tensor:
        """The n-th derivative of digamma: `gu.polygamma`."""
        from .special import polygamma

        return polygamma(n, self)

    def frexp(self) -> Frexp:
        """(mantissa, exponent): `gu.frexp`."""
        from .digits import frexp

        return frexp(self)

    @named
    def narrow_copy(self, dim: int, start: int, length: int) -> Tensor:
        """`narrow` in memory of its own."""
        from .shape import narrow

        return narrow(self, dim, start, length).clone()

    # ---- questions -------------------------------------------------------------------------------

    def ndimension(self) -> int:
        """The number of axes."""
        return self.ndim

    def is_signed(self) -> bool:
        """Does the type have numbers below 0?

        >>> gu.ones(1).is_signed(), gu.ones(1).bool().is_signed()
        (True, False)
        """
        return self.dtype.kind not in "ub"

    @named
    def is_same_size(self, other: Core) -> bool:
        """Are the shapes equal?"""
        return tuple(self._shape) == tuple(other._shape)

    def is_nonzero(self) -> bool:
        """Is the one element not 0? Raises as `bool(x)` does for any other number of elements."""
        return bool(self)

    def get_device(self) -> int:
        """−1: memory of the host."""
        return -1

    # ---- others of this kind ---------------------------------------------------------------------

    @named
    def new_tensor(
        self, data: Any, dtype: DType | None = None, *, requires_grad: bool = False
    ) -> Tensor:
        """Data as a tensor, of this one's type unless said otherwise.

        >>> gu.ones(1, dtype=gu.float64).new_tensor([1, 2]).dtype.name
        'float64'
        """
        from .create import tensor

        kind = self.dtype if dtype is None else dtype
        given = data.detach() if isinstance(data, Core) else tensor(data)  # type: ignore[attr-defined]
        made: Tensor = given.to(kind).clone()
        return made.requires_grad_() if requires_grad else made

    @named
    def new_empty(
        self, *size: int | Sequence[int], dtype: DType | None = None, requires_grad: bool = False
    ) -> Tensor:
        """A tensor of a size whose elements are not set, of this one's type unless said otherwise.

        >>> gu.ones(1).new_empty(2, 3).shape
        (2, 3)
        """
        from .create import empty

        made = empty(*size, dtype=self.dtype if dtype is None else dtype)
        return made.requires_grad_() if requires_grad else made
