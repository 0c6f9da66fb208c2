"""Yours beside the library's, on one input after the other: the first that tells them apart, made
as small as it can be. Must not know which function it is, nor the rules.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import groundup as gu
from groundup.tensor import Tensor
from groundup.tensor.errors import shape_text

from .inputs import INF, Spec, built, smaller, specs
from .rules import NotBuiltYet

_SECONDS = 3.0  # that looking for a smaller input may take
_TRIES = 400
# How far a result may be off, as a share of the largest magnitude: an order of sums is free.
_NEAR = {"float64": 1e-9, "float32": 1e-4, "bfloat16": 3e-2, "float16": 3e-3}


class Disagreement(AssertionError):
    """What was given to `game.unlock` does not do what the library's does."""


class Difference(NamedTuple):
    """How two results differ, in a word and in lines."""

    kind: str
    lines: tuple[str, ...]


class Trial(NamedTuple):
    """One input: arguments, in which `Spec`s stand for tensors; `refused`: the library raises."""

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any] = {}
    refused: bool = False


Compare = Callable[[Trial], Difference | None]


def check(name: str, compare: Compare, trials: Sequence[Trial]) -> None:
    """Raise Disagreement at the first trial that tells yours apart, with the smallest input that
    does."""
    for number, trial in enumerate(trials, 1):
        found = compare(trial)
        if found is not None:
            least, found = _smallest(compare, trial, found)
            raise Disagreement(_report(name, number, len(trials), least, found))


def _smallest(compare: Compare, trial: Trial, found: Difference) -> tuple[Trial, Difference]:
    """A smaller trial that differs in the same way, as long as there is one and time is left."""
    end, tries = time.monotonic() + _SECONDS, 0
    improved = True
    while improved:
        improved = False
        for args in smaller(trial.args):
            tries += 1
            if tries > _TRIES or time.monotonic() > end:
                return trial, found
            if args == trial.args:
                continue
            candidate = trial._replace(args=args)
            other = compare(candidate)
            if other is not None and other.kind == found.kind:
                trial, found, improved = candidate, other, True
                break
    return trial, found


def _report(name: str, number: int, count: int, trial: Trial, found: Difference) -> str:
    lines = [f"{name}: yours and the library's differ ({found.kind}), first in trial {number} of "
             f"{count}. The smallest input that shows it:"]  # fmt: skip
    for i, arg in enumerate(trial.args):
        lines.append(f"  argument {i}   {_text(arg)}")
    lines += [f"  {key}={_text(value)}" for key, value in trial.kwargs.items()]
    return "\n".join([*lines, *("  " + line for line in found.lines)])


def _text(value: Any) -> str:
    """An argument as a user would write it."""
    if isinstance(value, Spec):
        tensor = value.build()
        extra = {"t": ", transposed", "expand": ", expanded", "step": ", every second element"}
        shape = f"shape {shape_text(value.shape)}, {value.dtype.name}{extra.get(value.view, '')}"
        listed = repr(tensor.tolist())
        return f"{listed}   {shape}" if len(listed) <= 200 else shape
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_text, value)) + "]"
    return repr(value)


# ---- functions ------------------------------------------------------------------------------


def functions(mine: Callable[..., Any], library: Callable[..., Any]) -> Compare:
    """Compare two functions of tensors: values, shapes, types, errors, and what they write."""

    def compare(trial: Trial) -> Difference | None:
        try:
            expected = library(*built(trial.args), **trial.kwargs)
        except Exception as error:
            return _must_refuse(mine, trial, error) if trial.refused else None
        if trial.refused:
            return None
        given = built(trial.args)
        try:
            result = mine(*given, **trial.kwargs)
        except NotBuiltYet:  # says more than a report would
            raise
        except Exception as error:
            return Difference(
                "yours raises",
                (f"yours      {type(error).__name__}: {str(error).partition(chr(10))[0]}",
                 f"library's  {_value(expected)}"),
            )  # fmt: skip
        for i, (spec, tensor) in enumerate(zip(specs(trial.args), _tensors(given))):
            after = tensor.tolist()
            if not _same_values(after, spec.build().tolist()):
                return Difference(
                    "yours writes into its input",
                    (f"tensor {i} is afterwards {after}",
                     "work on a clone(): whoever called still needs what was there"),
                )  # fmt: skip
        return differ(result, expected)

    return compare


def _must_refuse(mine: Callable[..., Any], trial: Trial, error: Exception) -> Difference | None:
    try:
        result = mine(*built(trial.args), **trial.kwargs)
    except NotBuiltYet:
        raise
    except Exception:
        return None
    said = str(error).partition("\n")[0]
    return Difference(
        "yours computes what cannot be",
        (f"yours      {_value(result)}", f"library's  {type(error).__name__}: {said}",
         "assert that the shapes fit"),
    )  # fmt: skip


def _tensors(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, list | tuple):
        return [t for v in value for t in _tensors(v)]
    return []


def _same_values(a: Any, b: Any) -> bool:
    if isinstance(a, list):
        return len(a) == len(b) and all(map(_same_values, a, b))
    return bool(a == b) or (a != a and b != b)


# ---- results --------------------------------------------------------------------------------


def differ(mine: Any, expected: Any, where: str = "") -> Difference | None:
    """How a result differs from the expected one, or None."""
    if isinstance(expected, Tensor):
        return _differ_tensors(mine, expected, where)
    if isinstance(expected, list | tuple):
        if not isinstance(mine, list | tuple) or len(mine) != len(expected):
            return Difference(
                "structure",
                (f"yours      {_value(mine)}{where}",
                 f"library's  {len(expected)} values: {_value(expected)}"),
            )  # fmt: skip
        for i, (a, b) in enumerate(zip(mine, expected)):
            found = differ(a, b, f"{where} in value {i}")
            if found is not None:
                return found
        return None
    if isinstance(expected, float) and isinstance(mine, int | float | Tensor):
        got = float(mine)
        if got == expected or (got != got and expected != expected):
            return None
        if abs(got - expected) <= 1e-6 * max(1.0, abs(expected)):
            return None
    elif expected is None or isinstance(expected, bool | int | str):
        got_plain = mine.item() if isinstance(mine, Tensor) and mine.numel() == 1 else mine
        if got_plain == expected:
            return None
    else:
        return None  # what is no value (a captured function, say) is not compared
    lines = (f"yours      {_value(mine)}{where}", f"library's  {_value(expected)}")
    return Difference("value", lines)


def _differ_tensors(mine: Any, expected: Tensor, where: str) -> Difference | None:
    if not isinstance(mine, Tensor):
        lines = (f"yours      {_value(mine)}{where}", f"library's  {_value(expected)}")
        return Difference("yours gives no tensor", lines)
    shown = (f"yours      {_value(mine)}{where}", f"library's  {_value(expected)}")
    if tuple(mine.shape) != tuple(expected.shape):
        return Difference("shape", shown)
    if mine.dtype is not expected.dtype:
        return Difference("dtype", shown)
    a, b = _flat(mine), _flat(expected)
    if a == b or not b:
        return None
    finite = [abs(v) for v in b if v == v and abs(v) < INF]
    near = _NEAR.get(expected.dtype.name, 0.0) * max([1.0, *finite])
    for i, (x, y) in enumerate(zip(a, b)):
        if x == y or (x != x and y != y):
            continue
        if not abs(x - y) <= near or abs(y) == INF:
            kind = "NaN" if (x != x) != (y != y) else "value"
            at = f"  (element {i} of {len(b)})" if len(b) > 1 else ""
            return Difference(kind, (shown[0] + at, shown[1]))
    return None


def _flat(tensor: Tensor) -> list[Any]:
    tensor = tensor.detach()
    values = tensor.reshape(-1).tolist()
    return list(values)


def _value(value: Any) -> str:
    """A result in a line."""
    if isinstance(value, Tensor):
        shape = f"shape {shape_text(value.shape)}, {value.dtype.name}"
        listed = repr(value.detach().tolist())
        return f"{listed}   {shape}" if len(listed) <= 120 else shape
    if isinstance(value, list | tuple) and _tensors(value):
        return "(" + ", ".join(map(_value, value)) + ")"
    text = repr(value)
    return text if len(text) <= 120 else text[:119] + "…"


# ---- gradients ------------------------------------------------------------------------------


def gradients(
    claimed: Callable[..., Any], mine: Callable[..., Any], library: Callable[..., Any]
) -> Compare:
    """Compare claimed(g, *args) with the library's derivative of Σ g · library(*args)."""

    def compare(trial: Trial) -> Difference | None:
        found = _derivatives(library, trial)
        if found is None:
            return None
        g, expected = found
        given = built(trial.args)
        try:
            result = claimed(g, *given, **trial.kwargs)
        except NotBuiltYet:  # says more than a report would
            raise
        except Exception as error:
            said = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
            return Difference("your gradient raises", (said,))
        parts = result if isinstance(result, list | tuple) else (result,)
        difference = differ(list(parts)[: len(expected)], expected)
        if difference is None:
            return None
        lines = (f"g          {_value(g)}", *difference.lines)
        return Difference(f"gradient: {difference.kind}", lines)

    return compare


def _derivatives(
    library: Callable[..., Any], trial: Trial
) -> tuple[Tensor, list[Tensor]] | None:
    """A gradient of the result, and the derivative by each tensor of floats; None where the library
    has none, or where values are not finite (what holds there is a convention)."""
    if trial.refused or any(
        isinstance(v, float) and not abs(v) < INF for s in specs(trial.args) for v in s.values
    ):
        return None
    given = built(trial.args)
    wanted = [t.requires_grad_() for t in _tensors(given) if t.dtype.is_float and t.is_leaf]
    if not wanted:
        return None
    try:
        result = library(*given, **trial.kwargs)
    except Exception:
        return None
    if not isinstance(result, Tensor) or not result.requires_grad:
        return None
    count = result.numel()
    ramp = (gu.arange(count) % 3 - 0.5).to(result.dtype).reshape(*result.shape)
    found = gu.derivatives(result, wanted, ramp, allow_unused=True)
    zeros = [gu.zeros_like(t).detach() for t in wanted]
    return ramp, [z if d is None else d for d, z in zip(found, zeros)]
