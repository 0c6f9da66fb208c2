"""Functions with a derivative that the user gives: `gu.custom_derivative`.

Must not know how derivatives are asked for, or run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import update_wrapper
from typing import Any, Generic, ParamSpec, TypeVar, cast

from . import door
from .core import Core, operand, value_of
from .create import zeros
from .errors import GradError, at_line
from .host import with_derivative
from .pickled import name_of
from .tensor import Tensor

P = ParamSpec("P")
R = TypeVar("R")


class Custom(Generic[P, R]):
    """A function whose derivative is given; made by `custom_derivative`."""

    def __init__(self, function: Callable[P, R]) -> None:
        self.function = function
        self._derivative: Callable[..., Any] | None = None
        update_wrapper(self, function)

    def derivative(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Register the derivative, as a decorator: see `custom_derivative`."""
        self._derivative = function
        return function

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        name = getattr(self.function, "__name__", "the function")
        rule = self._derivative
        if rule is None:
            raise GradError(
                f"{name} has no derivative yet: write one under @{name}.derivative" + at_line()
            )
        for key, value in kwargs.items():
            if isinstance(value, Core):
                raise TypeError(
                    f"{name}: the tensor {key} is given by name; tensors are given by position, "
                    f"so that the derivative can say which gradient is whose" + at_line()
                )
        sources = [a for a in args if isinstance(a, Core)]
        given = [a.detach() if isinstance(a, Tensor) else a for a in args]
        made: Any = cast(Callable[..., Any], self.function)(*given, **kwargs)
        several = isinstance(made, tuple)
        results: Sequence[Any] = made if several else (made,)
        for r in results:
            self._check(r, name)
        if not any(operand(s).tracked for s in sources):
            return cast(R, made)

        def derivative(
            gradients: Sequence[Tensor | None], ys: Sequence[Tensor], xs: Sequence[Tensor]
        ) -> Sequence[Core | None]:
            full = tuple(zeros(*y.shape, dtype=y.dtype) if g is None else g
                         for g, y in zip(gradients, ys, strict=True))  # fmt: skip
            found = iter(xs)
            again = [next(found) if isinstance(a, Core) else a for a in args]
            parts = (rule(full, tuple(ys), *again, **kwargs) if several
                     else rule(full[0], ys[0], *again, **kwargs))  # fmt: skip
            return parts if isinstance(parts, tuple) else (parts,)

        values = [value_of(r) for r in results]
        done = with_derivative(name, values, sources, derivative, linear=False)
        return cast(R, tuple(done) if several else done[0])

    def __reduce__(self) -> Any:
        return name_of(self) or (_again, (self.function, self._derivative))

    @staticmethod
    def _check(result: Any, name: str) -> None:
        if not isinstance(result, Core):
            raise TypeError(
                f"{name}: a function with a derivative gives a tensor or a tuple of tensors, not "
                f"a {type(result).__name__}" + at_line()
            )
        if result.tracked():
            raise GradError(
                f"{name}: the result depends on a tensor that requires grad and is no argument, "
                f"so its derivative would be lost; pass that tensor as an argument" + at_line()
            )


def _again(function: Callable[..., Any], rule: Callable[..., Any] | None) -> Custom[..., Any]:
    made = Custom(function)
    made._derivative = rule
    return made


def custom_derivative(function: Callable[P, R]) -> Custom[P, R]:
    """A function of tensors with a derivative that you give: a decorator.

    The function gives a tensor, or a tuple of them. The derivative, registered with a decorator
    too, is given

        g      the gradient of the result (for a tuple: a tuple of them, 0 where nothing asked),
        y      the result, and then all arguments,

    and gives Σ g · ∂y/∂x for each tensor among the arguments, in their order: one tensor or a
    tuple, None where it is 0. Where it is written in operations of tensors, of g, y and the
    arguments, it is differentiated in turn: derivatives of any order. Nothing needs to be saved
    for it: an expression that the function has computed is known when it is written again.

    Tensors are given by position. Runs in captured functions like any other; where the function
    asks for a value (`.item()`, `.numpy()`) it is refused there as everywhere.

    Raises GradError where the result depends on a tensor that requires grad and is no argument.

    >>> @gu.custom_derivative
    ... def straight(x):
    ...     return x.round()
    >>> @straight.derivative
    ... def _(g, y, x):
    ...     return g
    >>> x = gu.tensor([0.4, 1.7], requires_grad=True)
    >>> (straight(x) * 3).sum().backward()
    >>> x.grad.tolist()
    [3.0, 3.0]
    """
    door.passing()
    return Custom(function)
