"""Derivatives compared with finite differences in float64.

Must not know how a derivative is taken: it asks for the same ones as everybody.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from ..ir.dtype import float64
from ..ir.extent import product
from . import tree
from .core import is_complex
from .create import tensor, zeros
from .errors import GradError, at_line
from .generator import Generator
from .mode import no_grad
from .random import randn
from .tensor import Tensor
from .transforms import linearize, vjp

Function = Callable[..., Any]


class GradcheckError(RuntimeError):
    """A derivative that finite differences contradict."""


class _Limits(NamedTuple):
    eps: float
    atol: float
    rtol: float


def gradcheck(
    func: Function, inputs: Tensor | Sequence[Any], *, eps: float = 1e-6, atol: float = 1e-5,
    rtol: float = 1e-3, raise_exception: bool = True, check_forward_ad: bool = False,
    fast_mode: bool = False,
) -> bool:  # fmt: skip
    """Are a function's first derivatives what finite differences say?

    ∂f[i]/∂x[j] ≈ (f(x + ε·e_j)[i] − f(x − ε·e_j)[i]) / 2ε, within atol + rtol · |difference|.

    inputs: the arguments, nested or not; those are looked at that require grad, and are float64.
    func gives a tensor or several, nested or not; each floating one is looked at.
    check_forward_ad: the derivatives of `gu.jvp` as well. fast_mode: a random combination of the
    elements of each tensor in the place of each element.

    Raises GradcheckError, which says which element differs, and by how much (where raise_exception
    is False, it gives False); GradError where there is nothing to look at.

    >>> x = gu.tensor([1.0, 2.0], dtype=gu.float64, requires_grad=True)
    >>> gu.autograd.gradcheck(lambda x: x.exp() * x, x)
    True
    """
    return _checked(_function(func, inputs), _Limits(eps, atol, rtol), raise_exception,
                    check_forward_ad, fast_mode)  # fmt: skip


def gradgradcheck(
    func: Function, inputs: Tensor | Sequence[Any],
    grad_outputs: Tensor | Sequence[Tensor] | None = None, *, eps: float = 1e-6,
    atol: float = 1e-5, rtol: float = 1e-3, raise_exception: bool = True,
    check_fwd_over_rev: bool = False, fast_mode: bool = False,
) -> bool:  # fmt: skip
    """Are a function's second derivatives what finite differences of its first ones say?

    Looks at the function that gives the derivatives of Σ f(x)·v, by x and by v; v is
    `grad_outputs`, random numbers if left out. Else as `gradcheck`.

    >>> x = gu.tensor([1.0, 2.0], dtype=gu.float64, requires_grad=True)
    >>> gu.autograd.gradgradcheck(lambda x: x.exp() * x, x)
    True
    """
    f, xs = _function(func, inputs)
    with no_grad():
        results = f(*xs)
    source = Generator(0)
    if grad_outputs is None:
        seeds = [randn(y._shape, dtype=y.dtype, generator=source) for y in results]
    else:
        seeds = [grad_outputs] if isinstance(grad_outputs, Tensor) else list(grad_outputs)
    count = len(xs)

    def slopes(*args: Tensor) -> list[Tensor]:
        _, pull = vjp(f, *args[:count])
        return list(pull(list(args[count:])))

    return _checked((slopes, [*xs, *(s.detach() for s in seeds)]), _Limits(eps, atol, rtol),
                    raise_exception, check_fwd_over_rev, fast_mode)  # fmt: skip


def _function(
    func: Function, inputs: Tensor | Sequence[Any]
) -> tuple[Callable[..., list[Tensor]], list[Tensor]]:
    """The function of the tensors that are looked at alone, with its floating results, and them."""
    given = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    leaves, spec = tree.flatten(given)
    xs: list[Tensor] = []
    for x in leaves:
        if isinstance(x, Tensor) and x.tracked() and not any(x is y for y in xs):
            xs.append(x)
    _check_inputs(xs)

    def f(*moved: Tensor) -> list[Tensor]:
        others = {id(x): y for x, y in zip(xs, moved, strict=True)}
        returned = func(*tree.unflatten([others.get(id(x), x) for x in leaves], spec))
        found = [
            y for y in tree.flatten(returned)[0] if isinstance(y, Tensor) and y.dtype.is_float
        ]
        if not found:
            raise GradError("gradcheck: the function gives no floating tensor" + at_line())
        return found

    return f, [x.detach() for x in xs]


def _check_inputs(xs: Sequence[Tensor]) -> None:
    if is_complex(*xs):
        raise GradError(
            "gradcheck looks at real numbers: write the function of gu.view_as_real(z)" + at_line()
        )
    if not xs:
        raise GradError(
            "gradcheck: no input requires grad, so that there is nothing to look at; write "
            "x.requires_grad_()" + at_line()
        )
    for x in xs:
        if x.dtype is not float64:
            raise GradError(
                f"gradcheck: finite differences of {x.dtype.name} say nothing about a derivative; "
                f"give it float64: x.detach().double().requires_grad_()" + at_line()
            )


def _checked(
    what: tuple[Callable[..., list[Tensor]], list[Tensor]], limits: _Limits, raises: bool,
    forward: bool, fast: bool,
) -> bool:  # fmt: skip
    f, xs = what
    try:
        _check(f, xs, limits, forward, _combinations if fast else _elements)
    except GradcheckError:
        if raises:
            raise
        return False
    return True


Directions = list[tuple[str, Tensor]]  # what each is of, in words


def _elements(x: Tensor) -> Directions:
    """A direction for each element."""
    size = product(x._shape)
    found: Directions = []
    for j in range(size):
        one = tensor([float(i == j) for i in range(size)], dtype=x.dtype).reshape(x._shape)
        at, place = j, []
        for n in reversed(x._shape):
            place.append(at % n)
            at //= n
        found.append((str(place[::-1]) if place else "", one))
    return found


def _combinations(x: Tensor) -> Directions:
    """One random direction."""
    found = randn(x._shape, dtype=x.dtype, generator=Generator(1))
    return [(", a random combination", found.realize())] if product(x._shape) else []


def _check(
    f: Callable[..., list[Tensor]], xs: list[Tensor], limits: _Limits, forward: bool,
    directions: Callable[[Tensor], Directions],
) -> None:  # fmt: skip
    ys, pull = vjp(f, *xs)
    push = linearize(f, *xs)[1] if forward else None
    by_output = [directions(y) for y in ys]
    rows = [
        [pull([s if i == k else zeros(y._shape, dtype=y.dtype) for i, y in enumerate(ys)])
         for _, s in by_output[k]]
        for k in range(len(ys))
    ]  # fmt: skip
    for m, x in enumerate(xs):
        for at, v in directions(x):
            up, down = (_moved(f, xs, m, v * (sign * limits.eps)) for sign in (1, -1))
            along = None
            if push is not None:
                along = push(*(v if i == m else zeros(z._shape, dtype=z.dtype)
                               for i, z in enumerate(xs)))  # fmt: skip
            for k, seeds in enumerate(by_output):
                difference = (up[k] - down[k]) / (2 * limits.eps)
                for (here, seed), row in zip(seeds, rows[k], strict=True):
                    want = float((difference * seed).sum())
                    name = f"∂ output {k}{here} / ∂ input {m}{at}"
                    _compare(name, "reverse", float((row[m] * v).sum()), want, limits)
                    if along is not None:
                        got = float((along[k] * seed).sum())
                        _compare(name, "forward", got, want, limits)


def _moved(
    f: Callable[..., list[Tensor]], xs: Sequence[Tensor], m: int, by: Tensor
) -> list[Tensor]:
    with no_grad():
        return f(*(x + by if i == m else x for i, x in enumerate(xs)))


def _compare(name: str, mode: str, got: float, want: float, limits: _Limits) -> None:
    if got == want or (got != got and want != want):  # infinities; NaN of a function that is NaN
        return
    if not abs(got - want) <= limits.atol + limits.rtol * abs(want):
        raise GradcheckError(
            f"{name}: {mode} mode says {got!r}, finite differences say {want!r}: they differ by "
            f"{abs(got - want):.3g}, and {limits.atol + limits.rtol * abs(want):.3g} is allowed"
            + at_line()
        )
