"""Invertible functions of random numbers, with the logarithm of how much they stretch.

Must not know any distribution.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

from groundup.tensor import Tensor, arange
from groundup.tensor.errors import at_line, whole_number
from groundup.tensor.misuse import named
from groundup.tensor.shape import pad

from . import constraints
from .constraints import Constraint
from .counts import softplus

__all__ = [
    "AffineTransform", "ComposeTransform", "ExpTransform", "PowerTransform", "SigmoidTransform",
    "SoftplusTransform", "StickBreakingTransform", "TanhTransform", "Transform",
    "identity_transform",
]  # fmt: skip


class Transform:
    """y = f(x), invertible: `t(x)`, `t.inv(y)`, and log|dy/dx| as t.log_abs_det_jacobian(x, y).

    event_dim: so many last axes are one value, whose stretching is the product of its parts'.

    >>> t = gu.distributions.transforms.ExpTransform()
    >>> t(gu.tensor(0.0)).item(), t.inv(gu.tensor(1.0)).item()
    (1.0, 0.0)
    """

    domain: Constraint = constraints.real
    codomain: Constraint = constraints.real
    event_dim: int = 0
    # The sign of dy/dx, one number or a tensor; of what turns with x, there is none.
    sign: ClassVar[Any] = 1

    def __call__(self, x: Tensor) -> Tensor:
        """y"""
        raise NotImplementedError

    def inverse(self, y: Tensor) -> Tensor:
        """The x with f(x) = y."""
        raise NotImplementedError

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        """log|dy/dx| of an x and its y, summed over one value's parts."""
        raise NotImplementedError

    def forward_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """The shape of f(x), of an x of this shape."""
        return tuple(shape)

    def inverse_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """The shape of the x, of an f(x) of this shape."""
        return tuple(shape)

    @property
    def inv(self) -> Transform:
        """The inverse function."""
        return _Inverse(self)

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other)

    def __hash__(self) -> int:
        return hash(type(self))

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class _Inverse(Transform):
    """x = f⁻¹(y)"""

    @named
    def __init__(self, of: Transform) -> None:
        self.of, self.event_dim = of, of.event_dim
        self.domain, self.codomain = of.codomain, of.domain

    @property
    def sign(self) -> Any:
        return self.of.sign

    @property
    def inv(self) -> Transform:
        return self.of

    def __call__(self, x: Tensor) -> Tensor:
        return self.of.inverse(x)

    def inverse(self, y: Tensor) -> Tensor:
        return self.of(y)

    def forward_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        return self.of.inverse_shape(shape)

    def inverse_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        return self.of.forward_shape(shape)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return -self.of.log_abs_det_jacobian(y, x)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Inverse) and self.of == other.of

    def __hash__(self) -> int:
        return hash((_Inverse, self.of))

    def __repr__(self) -> str:
        return f"{self.of!r}.inv"


class AffineTransform(Transform):
    """y = loc + scale·x, scale not 0; numbers or tensors

    >>> gu.distributions.transforms.AffineTransform(1.0, 2.0)(gu.tensor(3.0)).item()
    7.0
    """

    @named
    def __init__(self, loc: Any, scale: Any, event_dim: int = 0) -> None:
        self.loc = _parameter("AffineTransform", "loc", loc)
        self.scale = _parameter("AffineTransform", "scale", scale)
        self.event_dim = whole_number("AffineTransform", "event_dim", event_dim)
        if event_dim:
            self.domain = self.codomain = constraints.independent(constraints.real, event_dim)

    @property
    def sign(self) -> Any:
        if isinstance(self.scale, Tensor):
            return self.scale.sign()
        return math.copysign(1, self.scale)

    def __call__(self, x: Tensor) -> Tensor:
        y: Tensor = self.loc + self.scale * x
        return y

    def inverse(self, y: Tensor) -> Tensor:
        x: Tensor = (y - self.loc) / self.scale
        return x

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        if isinstance(self.scale, Tensor):
            found = self.scale.abs().log() + x * 0
        else:
            found = x * 0 + math.log(abs(self.scale))
        return summed(found, self.event_dim)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, AffineTransform):
            return False
        return _same(self.loc, other.loc) and _same(self.scale, other.scale)

    def __hash__(self) -> int:
        return hash(AffineTransform)

    def __repr__(self) -> str:
        return f"AffineTransform({self.loc!r}, {self.scale!r})"


def _parameter(name: str, key: str, value: Any) -> Any:
    """A parameter that is a tensor or a number, as it is."""
    if not isinstance(value, Tensor | int | float):
        raise TypeError(
            f"{name}: {key} is a tensor or a number, not a {type(value).__name__}" + at_line()
        )
    return value


def _same(a: Any, b: Any) -> bool:
    """Are two parameters, numbers or tensors, equal?"""
    if a is b:
        return True
    equal = (a.detach() if isinstance(a, Tensor) else a) == b
    return bool(equal.all().item()) if isinstance(equal, Tensor) else bool(equal)


def summed(a: Tensor, n: int) -> Tensor:
    """The sum over the last n axes."""
    return a.sum(tuple(range(-n, 0))) if n else a


class ExpTransform(Transform):
    """y = e^x"""

    codomain = constraints.positive

    def __call__(self, x: Tensor) -> Tensor:
        return x.exp()

    def inverse(self, y: Tensor) -> Tensor:
        return y.log()

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return x


class PowerTransform(Transform):
    """y = x^exponent of x > 0

    >>> gu.distributions.transforms.PowerTransform(2.0)(gu.tensor(3.0)).item()
    9.0
    """

    domain = codomain = constraints.positive

    @named
    def __init__(self, exponent: Any) -> None:
        self.exponent = _parameter("PowerTransform", "exponent", exponent)

    @property
    def sign(self) -> Any:
        if isinstance(self.exponent, Tensor):
            return self.exponent.sign()
        return math.copysign(1, self.exponent)

    def __call__(self, x: Tensor) -> Tensor:
        y: Tensor = x**self.exponent
        return y

    def inverse(self, y: Tensor) -> Tensor:
        x: Tensor = y ** (1 / self.exponent)
        return x

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        slope: Tensor = self.exponent * y / x
        return slope.abs().log()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PowerTransform) and _same(self.exponent, other.exponent)

    def __hash__(self) -> int:
        return hash(PowerTransform)

    def __repr__(self) -> str:
        return f"PowerTransform({self.exponent!r})"


class SigmoidTransform(Transform):
    """y = 1 / (1 + e^−x)"""

    codomain = constraints.unit_interval

    def __call__(self, x: Tensor) -> Tensor:
        return x.sigmoid()

    def inverse(self, y: Tensor) -> Tensor:
        return y.log() - (-y).log1p()

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return -softplus(-x) - softplus(x)


class TanhTransform(Transform):
    """y = tanh x"""

    codomain = constraints.interval(-1.0, 1.0)

    def __call__(self, x: Tensor) -> Tensor:
        return x.tanh()

    def inverse(self, y: Tensor) -> Tensor:
        return y.atanh()

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return 2 * (math.log(2.0) - x - softplus(-2 * x))


class SoftplusTransform(Transform):
    """y = log(1 + e^x)"""

    codomain = constraints.positive

    def __call__(self, x: Tensor) -> Tensor:
        return softplus(x)

    def inverse(self, y: Tensor) -> Tensor:
        return (-(-y).expm1()).log() + y

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return -softplus(-x)


class StickBreakingTransform(Transform):
    """y = shares (k,) of a stick, of numbers x (k − 1,): of what is left, the i-th takes the share
    1 / (1 + e^(log(k − i) − xᵢ)), i from 1; the last takes the rest. At 0 all are equal.

    >>> t = gu.distributions.transforms.StickBreakingTransform()
    >>> t(gu.zeros(3, dtype=gu.float64)).tolist()
    [0.25, 0.25, 0.25, 0.25]
    """

    domain, codomain, event_dim = constraints.real_vector, constraints.simplex, 1

    def _moved(self, x: Tensor) -> Tensor:
        n = int(x.shape[-1])
        return x - arange(n, 0, -1, dtype=x.dtype).log()

    def __call__(self, x: Tensor) -> Tensor:
        z = self._moved(x).sigmoid()
        left = (1 - z).cumprod(-1)
        return pad(z, (0, 1), value=1.0) * pad(left, (1, 0), value=1.0)

    def inverse(self, y: Tensor) -> Tensor:
        parts = y[..., :-1]
        left = 1 - parts.cumsum(-1)
        n = int(parts.shape[-1])
        return parts.log() - left.log() + arange(n, 0, -1, dtype=y.dtype).log()

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        moved = self._moved(x)
        return (y[..., :-1].log() - moved - softplus(-moved)).sum(-1)

    def forward_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        return (*shape[:-1], int(shape[-1]) + 1)

    def inverse_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        return (*shape[:-1], int(shape[-1]) - 1)


class ComposeTransform(Transform):
    """y = fₙ(… f₂(f₁(x))), of a list of functions, the first first

    >>> from groundup.distributions.transforms import AffineTransform, ComposeTransform
    >>> t = ComposeTransform([AffineTransform(0.0, 2.0), ExpTransform()])
    >>> t(gu.tensor(0.0)).item()
    1.0
    """

    @named
    def __init__(self, parts: Sequence[Transform]) -> None:
        given: list[Any] = list(parts) if isinstance(parts, list | tuple) else [parts]
        for t in given:
            if not isinstance(t, Transform):
                raise TypeError(
                    f"ComposeTransform is made of transforms, not of a {type(t).__name__}"
                    + at_line()
                )
        self.parts: list[Transform] = given
        if self.parts:
            self.domain, self.codomain = self.parts[0].domain, self.parts[-1].codomain
        self.event_dim = max((t.event_dim for t in self.parts), default=0)

    @property
    def sign(self) -> Any:
        sign: Any = 1
        for t in self.parts:
            sign = sign * t.sign
        return sign

    def __call__(self, x: Tensor) -> Tensor:
        for t in self.parts:
            x = t(x)
        return x

    def inverse(self, y: Tensor) -> Tensor:
        for t in reversed(self.parts):
            y = t.inverse(y)
        return y

    def forward_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        for t in self.parts:
            shape = t.forward_shape(shape)
        return tuple(shape)

    def inverse_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        for t in reversed(self.parts):
            shape = t.inverse_shape(shape)
        return tuple(shape)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        total = summed(x * 0, self.event_dim)
        for t in self.parts:
            after = t(x)
            total = total + summed(t.log_abs_det_jacobian(x, after), self.event_dim - t.event_dim)
            x = after
        return total

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ComposeTransform) and self.parts == other.parts

    def __hash__(self) -> int:
        return hash(tuple(self.parts))

    def __repr__(self) -> str:
        return f"ComposeTransform({self.parts!r})"


identity_transform = ComposeTransform([])
