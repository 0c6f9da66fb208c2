"""The base of all distributions: shapes, checks of arguments and values, and what follows from the
rest (expansion, deviations, samples without derivatives).

Must not know any distribution.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

from groundup.tensor import DType, Generator, Size, Tensor, float32, full, no_grad
from groundup.tensor.errors import ShapeError, at_line, lined_up
from groundup.tensor.generator import known
from groundup.tensor.misuse import named
from groundup.tensor.pointwise import broadcast
from groundup.tensor.shape import sizes

from .constraints import Constraint

Shape = Sequence[int]


def tensors(name: str, **given: Any) -> list[Tensor]:
    """Parameters, tensors or numbers, as tensors of one shape: that to which they broadcast.

    A number is of the first tensor's type, or float32. Integers are float32.
    """
    whole = [v for v in given.values() if isinstance(v, Tensor)]
    for key, value in given.items():
        if not isinstance(value, Tensor | int | float):
            raise TypeError(
                f"{name}: {key} is a tensor or a number, not a {type(value).__name__}" + at_line()
            )
    kinds = [t.dtype for t in whole if t.dtype.is_float]
    kind = kinds[0] if kinds else float32
    shape = broadcast(name, *(t.shape for t in whole)) if whole else ()
    return [as_tensor(v, kind).expand(shape) for v in given.values()]


def as_tensor(value: Any, kind: DType) -> Tensor:
    """A parameter as a tensor of a floating type."""
    if isinstance(value, Tensor):
        return value if value.dtype.is_float else value.to(kind)
    if not isinstance(value, int | float):
        raise TypeError(
            f"a value is a tensor or a number, not a {type(value).__name__}" + at_line()
        )
    return full((), float(value), dtype=kind)


class Distribution:
    """A law of random numbers: batch_shape many of them, each draw of shape event_shape.

    `sample(shape)` draws, `rsample(shape)` so that derivatives flow to the parameters, where there
    is a way; `log_prob(value)` is the logarithm of its density (or probability); `expand`,
    `entropy`, `mean`, `mode`, `variance`, `stddev`, `cdf`, `icdf` as far as they have a formula.
    Arguments and values are checked, outside captured and mapped functions (where nothing is known
    of values: NaN comes of wrong ones), unless validate_args is False. Derivatives flow through all
    but `sample`.

    >>> d = gu.distributions.Normal(gu.zeros(3), 2.0)
    >>> d.sample((5,)).shape, d.batch_shape, d.event_shape
    ((5, 3), (3,), ())
    """

    arg_constraints: ClassVar[Mapping[str, Constraint]] = {}
    has_rsample: bool = False  # of some laws made of others, as these have it
    has_enumerate_support: ClassVar[bool] = False
    _validates: ClassVar[bool] = True

    @named
    def __init__(
        self, given: Mapping[str, Tensor], batch_shape: Shape, event_shape: Shape = (),
        validate_args: bool | None = None, options: Mapping[str, Any] | None = None,
    ) -> None:  # fmt: skip
        self._given, self._options = dict(given), dict(options or {})
        self._batch_shape, self._event_shape = Size(batch_shape), Size(event_shape)
        self._validate = Distribution._validates if validate_args is None else bool(validate_args)
        if self._validate and known():
            for name, value in given.items():
                rule = self.arg_constraints[name]
                if not bool(rule.check(value.detach()).all().item()):
                    raise ValueError(
                        f"{self._name}: {name} must be {rule.text}, everywhere; it is {value!r}"
                        + at_line()
                    )

    @staticmethod
    def set_default_validate_args(value: bool) -> None:
        """Are arguments and values checked where validate_args is left out?"""
        Distribution._validates = bool(value)

    @property
    def _name(self) -> str:
        return type(self).__name__

    @property
    def batch_shape(self) -> Size:
        """The shape of independent laws."""
        return self._batch_shape

    @property
    def event_shape(self) -> Size:
        """The shape of one draw of one of them."""
        return self._event_shape

    @property
    def support(self) -> Constraint:
        """The values that may be drawn."""
        raise self._lacks("support")

    def expand(self, batch_shape: Shape) -> Self:
        """The same laws, repeated to a larger batch_shape to which this one broadcasts

        >>> gu.distributions.Normal(0.0, 1.0).expand((2, 3)).batch_shape
        (2, 3)
        """
        shape = tuple(batch_shape)
        given = {}
        for name, value in self._given.items():
            own = value.ndim - self.arg_constraints[name].event_dim
            given[name] = value.expand(*shape, *value.shape[own:])
        again: Any = type(self)
        made: Self = again(**given, **self._options, validate_args=False)
        made._validate = self._validate
        return made

    def _require(self, low: str, a: Tensor, high: str, b: Tensor) -> None:
        """Raise unless a < b everywhere, where arguments are checked."""
        if self._validate and known() and not bool((a < b).all().item()):
            raise ValueError(
                f"{self._name}: {low} must be less than {high}, everywhere; they are {a!r} and "
                f"{b!r}" + at_line()
            )

    def _some_axes(self, name: str, value: Tensor, n: int) -> None:
        """Raise unless a parameter has the axes of one law's."""
        if value.ndim < n:
            raise ShapeError(
                f"{self._name}: {name} has {n} {'axis' if n == 1 else 'axes'} or more, the last "
                f"for one law" + lined_up(**{name: value.shape}) + at_line()
            )

    def _lacks(self, what: str) -> NotImplementedError:
        return NotImplementedError(f"{self._name} has no {what}: there is no formula" + at_line())

    # ---- moments ---------------------------------------------------------------------------------

    @property
    def mean(self) -> Tensor:
        """The expected value."""
        raise self._lacks("mean")

    @property
    def mode(self) -> Tensor:
        """The value of the greatest density."""
        raise self._lacks("mode")

    @property
    def variance(self) -> Tensor:
        """The expected squared distance from the mean."""
        raise self._lacks("variance")

    @property
    def stddev(self) -> Tensor:
        """√variance"""
        return self.variance.sqrt()

    # ---- draws -----------------------------------------------------------------------------------

    def sample(self, sample_shape: Shape = (), generator: Generator | None = None) -> Tensor:
        """Draws of shape (*sample_shape, *batch_shape, *event_shape), without derivatives."""
        with no_grad():
            return self._draw(self._extended(sample_shape), generator)

    def rsample(self, sample_shape: Shape = (), generator: Generator | None = None) -> Tensor:
        """Draws through which derivatives flow to the parameters."""
        if not self.has_rsample:
            raise NotImplementedError(
                f"{self._name} has no rsample: its draws do not move with its parameters; take "
                f"sample() and the derivative of log_prob" + at_line()
            )
        return self._draw(self._extended(sample_shape), generator)

    def _draw(self, shape: tuple[int, ...], generator: Generator | None) -> Tensor:
        """Draws of a whole shape."""
        raise self._lacks("sample")

    def _extended(self, sample_shape: Shape) -> tuple[int, ...]:
        lead = sizes((sample_shape,))
        return (*lead, *self._batch_shape, *self._event_shape)

    # ---- densities -------------------------------------------------------------------------------

    def log_prob(self, value: Any) -> Tensor:
        """The logarithm of the density (of the probability, of a discrete law) at a value."""
        return self._log_prob(self._checked(value))

    def _log_prob(self, x: Tensor) -> Tensor:
        raise self._lacks("log_prob")

    def cdf(self, value: Any) -> Tensor:
        """The probability of at most this value."""
        return self._cdf(self._checked(value))

    def _cdf(self, x: Tensor) -> Tensor:
        raise self._lacks("cdf")

    def icdf(self, value: Any) -> Tensor:
        """The value of which the cdf is this probability."""
        return self._icdf(as_tensor(value, self._kind()))

    def _icdf(self, p: Tensor) -> Tensor:
        raise self._lacks("icdf")

    def entropy(self) -> Tensor:
        """The expected −log_prob of a draw, of batch_shape."""
        raise self._lacks("entropy")

    def perplexity(self) -> Tensor:
        """e^entropy"""
        return self.entropy().exp()

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """All values of a discrete law of finitely many, along a first axis; not expanded to
        batch_shape, if not expand."""
        raise self._lacks("enumerate_support")

    def _enumerated(self, values: Tensor, expand: bool) -> Tensor:
        values = values.reshape(-1, *(1,) * len(self._batch_shape))
        return values.expand(-1, *self._batch_shape) if expand else values

    def _checked(self, value: Any) -> Tensor:
        """A value as a tensor; raises ValueError unless it is one that may be drawn."""
        if not isinstance(value, Tensor):
            value = as_tensor(value, self._kind())
        own = (*self._batch_shape, *self._event_shape)
        tail = value.shape[value.ndim - len(self._event_shape) :]
        if value.ndim < len(self._event_shape) or tuple(tail) != tuple(self._event_shape):
            raise ShapeError(
                f"{self._name}: the last axes of a value are one draw"
                + lined_up(value=value.shape, draw=self._event_shape) + at_line()
            )  # fmt: skip
        broadcast(f"{self._name}.log_prob", value.shape, own)
        if self._validate and known():
            rule = self.support
            if not bool(rule.check(value.detach()).all().item()):
                raise ValueError(
                    f"{self._name}: a value must be {rule.text}; {value!r} is not" + at_line()
                )
        return value if value.dtype.is_float or value.dtype.is_complex else self._typed(value)

    def _typed(self, value: Tensor) -> Tensor:
        return value.to(self._kind())

    def _kind(self) -> DType:
        """The type of a value that is given as a Python number."""
        return next(iter(self._given.values())).dtype if self._given else float32

    def __repr__(self) -> str:
        said = [
            f"{k}: {v.item()}" if v.numel() == 1 else f"{k}: {tuple(v.shape)}"
            for k, v in self._given.items()
        ] if known() else list(self._given)  # fmt: skip
        return f"{self._name}({', '.join(said)})"
