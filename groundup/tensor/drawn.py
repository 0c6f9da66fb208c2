"""Tensor's methods that write random numbers in place, and `randint_like`.

Each checks its arguments and names the formula; what is drawn is in `random` and `samplers`. A room
is imported when a method first asks for it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self, TypeVar

from . import write
from .core import Core, Paired
from .errors import at_line, real_number, whole_number
from .misuse import named

if TYPE_CHECKING:
    from ..ir.dtype import DType
    from ..ir.node import Node
    from .generator import Generator, Source
    from .tensor import Tensor

    Body = Callable[[Source, list[Node]], Node]


T = TypeVar("T", bound=Core)


class Drawn(Core):
    """In-place draws: the value is replaced, and has no history."""

    @named
    def normal_(
        self, mean: float = 0.0, std: float = 1.0, *, generator: Generator | None = None
    ) -> Self:
        """x ← normal numbers of this mean and standard deviation, half of whose square is that of
        each part of a complex number; the mean is then that of the real parts

        >>> gu.zeros(2).normal_(3.0, 0.0).tolist()
        [3.0, 3.0]
        """
        _numbers("normal_", mean=mean, std=std)
        _held("normal_", std >= 0, f"std is 0 or more, not {std}")
        pairs = _pairs(self)
        if pairs is not None:
            pairs.normal_(0.0, std * math.sqrt(0.5), generator=generator)
            pairs[..., 0] += mean
            return self
        _floating("normal_", self)
        _scaled(self, "normal", std, mean, generator)
        return self

    @named
    def uniform_(
        self, from_: float = 0.0, to: float = 1.0, *, generator: Generator | None = None
    ) -> Self:
        """x ← uniform numbers from [from, to), each part of complex ones

        >>> x = gu.zeros(100).uniform_(-2.0, 2.0)
        >>> bool(((x >= -2) & (x <= 2)).all())
        True
        """
        _numbers("uniform_", from_=from_, to=to)
        _held("uniform_", from_ <= to, f"from is at most to, not {from_} and {to}")
        pairs = _pairs(self)
        if pairs is not None:
            pairs.uniform_(from_, to, generator=generator)
            return self
        _floating("uniform_", self)
        _held(
            "uniform_", to - from_ <= self.dtype.greatest,
            f"the distance from {from_} to {to} is more than {self.dtype.name} holds",
        )  # fmt: skip
        _scaled(self, "uniform", to - from_, from_, generator)
        return self

    @named
    def exponential_(self, lambd: float = 1.0, *, generator: Generator | None = None) -> Self:
        """x ← numbers with density λ·e^(−λx), λ > 0

        >>> bool((gu.zeros(100).exponential_(2.0) >= 0).all())
        True
        """
        from .samplers import exponential

        _floating("exponential_", self)
        _numbers("exponential_", lambd=lambd)
        _held("exponential_", lambd > 0, f"lambd is more than 0, not {lambd}")
        return _put(self, "exponential_", exponential(float(lambd)), generator)

    @named
    def cauchy_(
        self, median: float = 0.0, sigma: float = 1.0, *, generator: Generator | None = None
    ) -> Self:
        """x ← numbers with density σ / (π·(σ² + (x − median)²)), σ > 0

        >>> gu.zeros(2, 3).cauchy_(0.0, 2.0).shape
        (2, 3)
        """
        from .samplers import cauchy

        _floating("cauchy_", self)
        _numbers("cauchy_", median=median, sigma=sigma)
        _held("cauchy_", sigma > 0, f"sigma is more than 0, not {sigma}")
        return _put(self, "cauchy_", cauchy(float(median), float(sigma)), generator)

    @named
    def log_normal_(
        self, mean: float = 1.0, std: float = 2.0, *, generator: Generator | None = None
    ) -> Self:
        """x ← e^z, z normal of this mean and standard deviation, std > 0

        >>> bool((gu.zeros(100).log_normal_(0.0, 1.0) > 0).all())
        True
        """
        from ..ir import node as ir
        from .random import normal_number
        from .samplers import wide

        _floating("log_normal_", self)
        _numbers("log_normal_", mean=mean, std=std)
        _held("log_normal_", std > 0, f"std is more than 0, not {std}")
        kind = wide(self.dtype)

        @named
        def body(words: Source, _: list[Node]) -> Node:
            z = ir.alu("mul", ir.const(float(std), kind), normal_number(words(0), kind))
            return ir.alu("exp", ir.alu("add", ir.const(float(mean), kind), z))

        return _put(self, "log_normal_", body, generator)

    @named
    def geometric_(self, p: float, *, generator: Generator | None = None) -> Self:
        """x ← 1, 2, … with probabilities p·(1 − p)^(x − 1), 0 < p < 1: the trials up to the first
        success. Any type but bool; what is beyond an integer type's range becomes its end.

        >>> bool((gu.zeros(100).geometric_(0.5) >= 1).all())
        True
        """
        from .samplers import geometric

        if self.dtype.kind == "b":
            raise TypeError("geometric_ counts trials, which bool cannot hold" + at_line())
        _numbers("geometric_", p=p)
        _held("geometric_", 0 < p < 1, f"p is more than 0 and less than 1, not {p}")
        return _put(self, "geometric_", geometric(float(p)), generator)

    @named
    def bernoulli_(self, p: Any = 0.5, *, generator: Generator | None = None) -> Self:
        """x ← 1 with probability p (a number, or a tensor that broadcasts to x), else 0

        >>> gu.zeros(3).bernoulli_(gu.tensor([0.0, 1.0, 1.0])).tolist()
        [0.0, 1.0, 1.0]
        """
        from .create import full
        from .random import bernoulli
        from .shape import expand

        if not isinstance(p, Core):
            _numbers("bernoulli_", p=p)
            _held("bernoulli_", 0 <= p <= 1, f"p is from 0 to 1, not {p}")
            p = full((), float(p))
        drawn = bernoulli(expand(p, self._shape), generator=generator)
        write.write("bernoulli_", self, drawn)
        return self

    @named
    def random_(
        self, from_: int | None = None, to: int | None = None, *,
        generator: Generator | None = None,
    ) -> Self:  # fmt: skip
        """x ← whole numbers, equally likely: random_(from, to) from `from` up to but without `to`;
        random_(to) from 0 on; random_() from 0 to the greatest that an integer type holds, or up to
        which a floating type holds all (float32: 2²⁴).

        >>> sorted(set(gu.zeros(200).random_(3).tolist()))
        [0.0, 1.0, 2.0]
        """
        from .random import integers

        dtype = self.dtype
        if from_ is not None and to is None:
            from_, to = None, from_
        first = 0 if from_ is None else whole_number("random_", "from", from_)
        end = _most(dtype) + 1 if to is None else whole_number("random_", "to", to)
        _held("random_", first < end, f"there is nothing from {first} up to but without {end}")
        _held(
            "random_", dtype.least <= first and end - 1 <= dtype.greatest,
            f"{dtype.name} does not hold all from {first} up to but without {end}",
        )  # fmt: skip
        _held("random_", first >= -(2**63) and end <= 2**64,
              f"from {first} up to but without {end} is more than 64 bits hold")  # fmt: skip
        write.write("random_", self, integers(first, end, self._shape, dtype, generator))
        return self


def _pairs(a: Core) -> Tensor | None:
    """The pairs of complex numbers."""
    return a._pair if isinstance(a, Paired) else None


def _most(dtype: DType) -> int:
    """The greatest of the numbers that random_() draws from."""
    if dtype.is_float:
        return {"float64": 2**53, "float32": 2**24, "float16": 2**11, "bfloat16": 2**8}[dtype.name]
    return dtype.max


def _floating(name: str, a: Core) -> None:
    if not a.dtype.is_float:
        raise TypeError(
            f"{name} writes numbers of a floating type, not {a.dtype.name}; draw into a floating "
            f"tensor, and convert that" + at_line()
        )


def _numbers(operation: str, **given: object) -> None:
    """Raise unless all arguments are numbers, none of them NaN."""
    for name, value in given.items():
        number = real_number(operation, name.rstrip("_"), value)
        _held(operation, number == number, f"{name.rstrip('_')} is a number, not NaN")


def _held(name: str, fine: bool, rule: str) -> None:
    if not fine:
        raise ValueError(f"{name}: {rule}" + at_line())


def _scaled(a: Core, kind: str, scale: float, shift: float, generator: Generator | None) -> None:
    from .random import fill, scaled

    operation = f"{kind}_"
    a.check_writable(operation)
    if a.tracked():  # its new value has no history; that of what it is a view of may have
        write.overwrite(operation, a, scaled(a, kind, scale, shift, generator))
    else:
        fill(a, kind, scale, shift, generator)


def _put(a: T, name: str, body: Body, generator: Generator | None) -> T:
    from ..ir import dtype as dt
    from .samplers import drawn

    write.write(name, a, drawn(a._shape, generator, a.dtype, body, kind=dt.float64))
    return a


@named
def randint_like(
    a: Core, low: int, high: int | None = None, *, dtype: DType | None = None,
    generator: Generator | None = None, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """Integers from low up to but without high (one number: from 0 up to it), equally likely, in
    the shape and type of another tensor

    >>> gu.randint_like(gu.zeros(2, 3), 5).dtype.name
    'float32'
    """
    from .random import randint

    if not isinstance(a, Core):
        raise TypeError(f"randint_like takes a tensor, not a {type(a).__name__}" + at_line())
    first, end = (0, low) if high is None else (low, high)
    made = randint(first, end, a._shape, dtype or a.dtype, generator)
    return made.requires_grad_() if requires_grad else made
