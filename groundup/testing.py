"""Tests for cells of a notebook: one line each, and a failure that says what differs, where, and by
how much. Knows tensors and arrays; must not know pytest, models or training.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, TypeVar

from groundup.tensor.errors import at_line, picture

if TYPE_CHECKING:
    import numpy as np

__all__ = [
    "test", "test_close", "test_eq", "test_fail", "test_ne", "test_near", "test_near_zero",
]  # fmt: skip

F = TypeVar("F", bound=Callable[..., Any])
_SHOWN = 5  # elements that a message lists
_WIDTH = 60  # characters that a message spends on one value


def _tool(function: F) -> F:
    """The function, which pytest does not take for a test of its own where it is imported."""
    vars(function)["__test__"] = False
    return function


class _Rule(NamedTuple):
    """What counts as the same, and how a message calls it."""

    name: str
    rtol: float
    atol: float
    exact: bool  # equal values and equal types, not near ones

    def allowed(self) -> str:
        """The bound as a formula."""
        parts = [f"{self.atol:g}"] if self.atol or not self.rtol else []
        return " + ".join([*parts, f"{self.rtol:g}·|b|"] if self.rtol else parts)


def _fail(message: str) -> NoReturn:
    raise AssertionError(message + at_line())


# ---- the tests ----------------------------------------------------------------------------------


@_tool
def test(a: object, b: object, compare: Callable[[Any, Any], Any], name: str | None = None) -> None:
    """Assert compare(a, b): the test of which the others are made.

    compare: gives something true, or false; a tensor or array of truth values must be true
    everywhere. name: what a failure calls it. Raises AssertionError.

    >>> import operator
    >>> test(2, 3, operator.lt)
    """
    result = compare(a, b)
    held = _array(result)
    if bool(result) if held is None else bool(held.all()):
        return
    called = name or getattr(compare, "__name__", type(compare).__name__)
    _fail(f"test: {called}(a, b) does not hold\n  a  {_brief(a)}\n  b  {_brief(b)}")


@_tool
def test_eq(a: object, b: object) -> None:
    """Assert that a and b are equal: shapes, types and every element, in containers too.

    Tensors and arrays: equal shape, dtype and elements; NaN equals NaN at the same place, and
    0.0 equals −0.0. Beside a list or a number only shape and values count. A list equals a tuple
    of equal elements. Raises AssertionError that names the first places that differ.

    >>> test_eq(gu.arange(3), [0, 1, 2])
    >>> test_eq({"a": (1, float("nan"))}, {"a": [1, float("nan")]})
    >>> test_eq(gu.tensor([1.0, 2.0, 4.0]), [1.0, 2.0, 3.0])  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    AssertionError: test_eq: 1 of 3 elements differs
      at [2]:  a 4.0   b 3.0   a − b = 1
    ...
    """
    _check(a, b, _Rule("test_eq", 0.0, 0.0, True))


@_tool
def test_ne(a: object, b: object) -> None:
    """Assert that a and b are not equal in the sense of `test_eq`.

    >>> test_ne(gu.ones(2), gu.ones(3))
    """
    if _differ(a, b, _Rule("test_ne", 0.0, 0.0, True), "") is None:
        _fail(f"test_ne: a and b are equal\n  both are  {_brief(a)}")


@_tool
def test_near(a: object, b: object, rtol: float = 1e-3, atol: float = 1e-5) -> None:
    """Assert |a − b| ≤ atol + rtol·|b| for every element, in containers too.

    Shapes must be equal (nothing is broadcast), types need not be. NaN is near NaN, and an infinity
    near itself. Raises AssertionError with the places that are farthest off.

    >>> test_near(gu.tensor([1.0, 2.0]), [1.0005, 2.0])
    """
    _check(a, b, _Rule("test_near", _tolerance(rtol), _tolerance(atol), False))


@_tool
def test_close(a: object, b: object, eps: float = 1e-5) -> None:
    """Assert |a − b| ≤ eps for every element: `test_near` without the relative part.

    >>> test_close(0.1 + 0.2, 0.3)
    """
    _check(a, b, _Rule("test_close", 0.0, _tolerance(eps), False))


@_tool
def test_near_zero(a: object, atol: float = 1e-3) -> None:
    """Assert |a| ≤ atol for every element.

    >>> test_near_zero(gu.tensor([1e-4, -1e-5]))
    """
    rule = _Rule("test_near_zero", 0.0, _tolerance(atol), False)
    values = _array(a) if not isinstance(a, list | tuple) else _listed(a)
    if values is None or values.dtype.kind not in "biufc":
        _fail(f"test_near_zero: a is no number, tensor or array but {_brief(a)}")
    import numpy as np

    message = _arrays(values, np.zeros_like(values), rule, "", typed=False)
    if message:
        _fail(message)


@_tool
def test_fail(
    function: Callable[..., object],
    contains: str = "",
    kind: type[BaseException] | tuple[type[BaseException], ...] = Exception,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
) -> None:
    """Assert that function(*args, **kwargs) raises an error of a kind whose text contains a string.

    >>> test_fail(lambda: gu.ones(2) + gu.ones(3), contains="do not fit")
    """
    try:
        result = function(*args, **(kwargs or {}))
    except kind as error:
        if contains not in str(error):
            raise AssertionError(
                f"test_fail: the error does not say what was expected\n  expected  {contains!r}\n"
                f"  raised    {type(error).__name__}: {error}" + at_line()
            ) from error
        return
    except Exception as error:
        kinds = kind if isinstance(kind, tuple) else (kind,)
        wanted = " or ".join(k.__name__ for k in kinds)
        raise AssertionError(
            f"test_fail: {wanted} was expected, and {type(error).__name__} was raised: {error}"
            + at_line()
        ) from error
    _fail(f"test_fail: no error was raised; the result is {_brief(result)}")


def _tolerance(value: float) -> float:
    if not value >= 0:
        raise ValueError(f"a tolerance is 0 or more, not {value}" + at_line())
    return value


# ---- what differs -------------------------------------------------------------------------------


def _check(a: object, b: object, rule: _Rule) -> None:
    message = _differ(a, b, rule, "")
    if message is not None:
        _fail(message)


def _differ(a: object, b: object, rule: _Rule, path: str) -> str | None:
    """What differs between two values, in words, or None; `path`: where they stand in a and b."""
    where = f" at a{path}" if path else ""
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return _mappings(a, b, rule, path)
    if isinstance(a, set | frozenset) and isinstance(b, set | frozenset):
        if a == b:
            return None
        return f"{rule.name}: sets differ{where}" + _only(a - b, b - a)
    plain_a, plain_b = _sequence(a), _sequence(b)
    if plain_a is not None and plain_b is not None:
        return _sequences(plain_a, plain_b, rule, path)
    typed = _is_array(a) and _is_array(b)
    x, y = _numeric(a), _numeric(b)
    if x is not None and y is not None:
        return _arrays(x, y, rule, path, typed, _dtype(a), _dtype(b))
    if typed and x is None and y is None:  # texts, dates, objects: element by element
        found = _sequences(_elements(a), _elements(b), rule, path)
        return found or (None if _shape(a) == _shape(b) else _shapes_differ(a, b, rule, where))
    if _is_array(a) or _is_array(b):
        return (
            f"{rule.name}: an array of numbers and something else{where}"
            f"\n  a  {_brief(a)}\n  b  {_brief(b)}"
        )
    if not rule.exact and not (a is b or a == b):
        text = f"{rule.name}: what are no numbers must be equal{where}"
        return f"{text}\n  a  {_brief(a)}\n  b  {_brief(b)}"
    if a is b or bool(a == b):
        return None
    kinds = "" if type(a) is type(b) else f" ({type(a).__name__} and {type(b).__name__})"
    return f"{rule.name}: a and b differ{where}{kinds}" + _values(a, b)


def _shapes_differ(a: Any, b: Any, rule: _Rule, where: str) -> str:
    return f"{rule.name}: shapes differ{where}" + picture({"a": _shape(a), "b": _shape(b)})


def _shape(value: Any) -> tuple[int, ...]:
    return tuple(value.shape)


def _elements(value: Any) -> list[Any]:
    """The elements of an array of anything, in one list."""
    return list(value.reshape(-1).tolist())


def _values(a: object, b: object) -> str:
    """Two values under one another; of texts, a mark under the first character that differs."""
    if isinstance(a, str) and isinstance(b, str):
        at = next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))
        start = max(0, at - 20)
        x, y = repr(a[start : start + _WIDTH]), repr(b[start : start + _WIDTH])
        mark = len(repr(a[start:at])) - 1
        return f"\n  a  {x}\n  b  {y}\n     {'':<{mark}}^ character {at}"
    return f"\n  a  {_brief(a)}\n  b  {_brief(b)}"


def _mappings(
    a: Mapping[Any, Any], b: Mapping[Any, Any], rule: _Rule, path: str
) -> str | None:
    if a.keys() != b.keys():
        where = f" at a{path}" if path else ""
        return f"{rule.name}: keys differ{where}" + _only(a.keys() - b.keys(), b.keys() - a.keys())
    for key in a:
        message = _differ(a[key], b[key], rule, f"{path}[{key!r}]")
        if message is not None:
            return message
    return None


def _only(a: Iterable[Any], b: Iterable[Any]) -> str:
    """What only one of two collections has, a line each."""
    lines = ""
    for name, values in (("a", a), ("b", b)):
        texts = sorted(map(repr, values))
        if texts:
            more = f" and {len(texts) - _SHOWN} more" if len(texts) > _SHOWN else ""
            lines += f"\n  only in {name}:  {', '.join(texts[:_SHOWN])}{more}"
    return lines


def _sequences(a: Sequence[Any], b: Sequence[Any], rule: _Rule, path: str) -> str | None:
    if len(a) != len(b):
        where = f" at a{path}" if path else ""
        message = f"{rule.name}: lengths differ{where}: {len(a)} and {len(b)}"
        at = next((i for i, (x, y) in enumerate(zip(a, b)) if _differ(x, y, rule, "")), None)
        if at is None:
            longer, at = ("a", len(b)) if len(a) > len(b) else ("b", len(a))
            extra = (a if longer == "a" else b)[at]
            return f"{message}; the rest is equal\n  only in {longer}: [{at}] = {_brief(extra)}"
        return f"{message}; they differ from [{at}] on" + _values(a[at], b[at])
    for i, (x, y) in enumerate(zip(a, b)):
        message_or_none = _differ(x, y, rule, f"{path}[{i}]")
        if message_or_none is not None:
            return message_or_none
    return None


def _arrays(
    x: np.ndarray[Any, Any], y: np.ndarray[Any, Any], rule: _Rule, path: str, typed: bool,
    dtype_a: str = "", dtype_b: str = "",
) -> str | None:  # fmt: skip
    """What differs between two arrays of numbers."""
    import numpy as np

    where = f" at a{path}" if path else ""
    if x.shape != y.shape:
        return _shapes_differ(x, y, rule, where)
    if rule.exact and typed and dtype_a != dtype_b:
        return f"{rule.name}: types differ{where}: a is {dtype_a}, b is {dtype_b}"
    nan_x, nan_y = np.isnan(x), np.isnan(y)
    with np.errstate(all="ignore"):
        same = (x == y) | (nan_x & nan_y)
        if rule.exact and same.all():
            return None
        wide = np.complex128 if "c" in x.dtype.kind + y.dtype.kind else np.float64
        signed = x.astype(wide) - y.astype(wide)
        off = np.abs(signed)
        if not rule.exact:
            # An infinity is near itself alone: a bound that grows with it would let all pass.
            same |= np.isfinite(off) & (off <= rule.atol + rule.rtol * np.abs(y.astype(wide)))
    wrong = np.argwhere(~same)
    if not len(wrong):
        return None
    # The farthest first, for near values; in their order, for equal ones. NaN is farthest.
    if not rule.exact:
        far = np.where(np.isnan(off), np.inf, off)[~same]
        wrong = wrong[np.argsort(-far, kind="stable")]
    verb = "differs" if len(wrong) == 1 else "differ"
    bound = "" if rule.exact else f" by more than {rule.allowed()}"
    count = f"{len(wrong)} of {x.size} elements {verb}" if x.shape else "the numbers differ"
    lines = [f"{rule.name}: {count}{bound}{where}"]
    for place in wrong[:_SHOWN]:
        at = tuple(int(i) for i in place)
        label = f"at {list(at)}:  " if x.shape else ""
        exact = x.dtype.kind in "iub" and y.dtype.kind in "iub"  # of any size
        by = int(x[at]) - int(y[at]) if exact else f"{signed[at].item():.6g}"
        apart = "" if np.isnan(off[at]) else f"   a − b = {by}"
        if y[at] and np.isfinite(off[at]) and not rule.exact:
            apart += f", {off[at].item() / abs(y[at].item()):.3g} of |b|"
        lines.append(f"  {label}a {x[at]}   b {y[at]}{apart}")
    if len(wrong) > _SHOWN:
        order = "nearer ones" if not rule.exact else "more"
        lines.append(f"  … and {len(wrong) - _SHOWN} {order}")
    for name, here, there in (("a", nan_x, nan_y), ("b", nan_y, nan_x)):
        only = int((here & ~there).sum())
        if only:
            other = "b" if name == "a" else "a"
            lines.append(f"  {name} is NaN at {only} of these, where {other} is a number")
    if x.shape:
        kinds = dtype_a if dtype_a == dtype_b or not dtype_b else f"{dtype_a} and {dtype_b}"
        lines.append(f"  shape {x.shape}" + (f", {kinds}" if kinds else ""))
    return "\n".join(lines)


# ---- values as arrays ---------------------------------------------------------------------------


def _is_array(value: object) -> bool:
    """Is it a tensor or an array, ours or another library's?"""
    return hasattr(value, "__array__") and hasattr(value, "dtype") and hasattr(value, "shape")


def _dtype(value: Any) -> str:
    """The name of an array's type: of torch's, without its module."""
    if not _is_array(value):
        return ""
    return str(getattr(value.dtype, "name", value.dtype)).removeprefix("torch.")


def _array(value: Any) -> np.ndarray[Any, Any] | None:
    """A tensor, array or number as a NumPy array of what holds its values exactly; else None."""
    import numpy as np

    if isinstance(value, bool | int | float | complex):
        array = np.asarray(value)
        return array if array.dtype.kind in "biufc" else None  # an int of over 64 bits is none
    if not _is_array(value):
        return None
    if _dtype(value) == "bfloat16":  # NumPy has no such type; float32 holds it
        value = value.float() if hasattr(value, "float") else value.astype("float32")
    if hasattr(value, "detach"):
        value = value.detach()
    return np.asarray(value)


def _listed(value: object) -> np.ndarray[Any, Any] | None:
    """Nested lists of numbers as an array, or None where they are ragged or hold something else."""
    import numpy as np

    try:
        array = np.asarray(value)
    except (ValueError, TypeError, OverflowError):
        return None
    return array if array.dtype.kind in "biufc" else None


def _numeric(value: object) -> np.ndarray[Any, Any] | None:
    """What can be compared element by element with an array."""
    array = _listed(value) if isinstance(value, list | tuple) else _array(value)
    return array if array is not None and array.dtype.kind in "biufc" else None


def _sequence(value: object) -> Sequence[Any] | None:
    """A list, a tuple or what can be read once (a generator, a dict's values), as a sequence."""
    if isinstance(value, list | tuple | range):
        return value
    if isinstance(value, str | bytes) or _is_array(value) or not isinstance(value, Iterable):
        return None
    return list(value) if not isinstance(value, Mapping | set | frozenset) else None


def _brief(value: Any) -> str:
    """A value in one line of bounded length."""
    if _is_array(value):
        shape, dtype = tuple(value.shape), _dtype(value)
        array = _array(value)
        if array is None or array.size > 8:
            return f"{type(value).__name__} of shape {shape}, {dtype}"
        return f"{array.tolist()}, {dtype}"
    text = repr(value)
    return text if len(text) <= _WIDTH else text[: _WIDTH - 1] + "…"
