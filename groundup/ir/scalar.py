"""Scalar semantics: what each operation means on one element, in plain Python.

The reference for every emitter and the constant folder of the graph. Each value is held as a
Python bool, int or float that is exactly representable in its type. Must not know expressions.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from ctypes import c_float

from .dtype import DType

Number = bool | int | float


def round_to(value: float, dtype: DType) -> float:
    """The nearest value of a floating type (ties to even), Inf beyond its range."""
    if dtype.bits == 64:
        return value
    if dtype.bits == 32:
        return c_float(value).value
    single = c_float(value).value  # 16 bits: by way of float32, as PyTorch and processors do
    if dtype.name == "float16":
        try:
            return float(struct.unpack("<e", struct.pack("<e", single))[0])
        except OverflowError:
            return math.copysign(math.inf, single)
    if math.isnan(single):  # bfloat16: the upper half of a float32, ties to even
        return single
    (bits,) = struct.unpack("<I", struct.pack("<f", single))
    bits = (bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000
    return float(struct.unpack("<f", struct.pack("<I", bits))[0])


def wrap(value: int, dtype: DType) -> int:
    """Two's-complement wrap-around into an integer type."""
    value &= (1 << dtype.bits) - 1
    if dtype.kind == "i" and value >> (dtype.bits - 1):
        value -= 1 << dtype.bits
    return value


def cast(value: Number, dtype: DType) -> Number:
    """Convert one element: floats truncate toward zero into integers; NaN and beyond-range floats
    saturate (NaN gives 0), which every emitter does alike."""
    if dtype.kind == "b":
        return bool(value != 0)
    if dtype.is_float:
        return round_to(value if isinstance(value, float) else _nearest(value, dtype), dtype)
    if dtype.kind == "c":
        raise TypeError(f"one number of an expression is real, not {dtype.name}")
    if isinstance(value, float):
        if math.isnan(value):
            return 0
        if math.isinf(value):
            return dtype.max if value > 0 else dtype.min
        return min(max(int(value), dtype.min), dtype.max)
    return wrap(int(value), dtype)


def _nearest(value: int, dtype: DType) -> float:
    """An integer as a float that rounds to a type as the integer itself does."""
    extra = abs(value).bit_length() - 53
    if extra <= 0 or dtype.bits == 64:
        return float(value)
    # Rounding twice could go to the wrong side; a sticky lowest bit keeps a tie from arising.
    whole, rest = divmod(abs(value), 1 << extra)
    return math.copysign(math.ldexp(float(whole | (rest != 0)), extra), value)


def _divide(a: float, b: float) -> float:
    if b == 0.0:
        if a == 0.0 or math.isnan(a):
            return math.nan
        return math.copysign(math.inf, a) * math.copysign(1.0, b)
    return a / b


def _fmod_floor(a: float, b: float) -> float:
    if b == 0.0 or math.isinf(a) or math.isnan(a) or math.isnan(b):
        return math.nan
    r = math.fmod(a, b)
    return r + b if r != 0.0 and (r < 0) != (b < 0) else (r if r != 0.0 else math.copysign(0.0, b))


def _floor(q: float) -> float:
    return q if math.isinf(q) or math.isnan(q) else math.copysign(float(math.floor(q)), q)


def _floor_divide(a: float, b: float) -> float:
    return _floor(_divide(a, b))


def _pow(a: float, b: float) -> float:
    try:
        return math.pow(a, b)
    except OverflowError:
        return -math.inf if a < 0 and b % 2 == 1 else math.inf
    except ValueError:
        if a == 0.0:  # pole: 0 to a negative power
            odd = b == int(b) and int(b) % 2 == 1
            return math.copysign(math.inf, a) if odd else math.inf
        return math.nan


def _guard(f: Callable[[float], float], at_error: Callable[[float], float]) -> Callable[..., float]:
    def g(x: float) -> float:
        if math.isnan(x):
            return x
        try:
            return f(x)
        except (ValueError, OverflowError):
            return at_error(x)

    return g


def _maximum(a: Number, b: Number) -> Number:
    if a != a:
        return a
    if b != b:
        return b
    return a if a > b else b


def _minimum(a: Number, b: Number) -> Number:
    if a != a:
        return a
    if b != b:
        return b
    return a if a < b else b


def _round_even(x: float) -> float:
    return x if math.isinf(x) or math.isnan(x) else math.copysign(float(round(x)), x)


def _keep(f: Callable[[float], int]) -> Callable[[float], float]:
    return lambda x: x if math.isinf(x) or math.isnan(x) else math.copysign(float(f(x)), x)


def _erf(x: float) -> float:
    return math.erf(x)


def _exp2(x: float) -> float:
    try:
        return math.exp2(x)
    except OverflowError:
        return math.inf


def _odd_overflow(f: Callable[[float], float]) -> Callable[..., float]:
    """Of a function that grows to ∞ with the sign of x."""
    return _guard(f, lambda x: math.copysign(math.inf, x))


def _fmod(a: float, b: float) -> float:
    if b == 0.0 or math.isinf(a) or math.isnan(a) or math.isnan(b):
        return math.nan
    return math.fmod(a, b)


def _hypot(a: float, b: float) -> float:
    return math.inf if math.isinf(a) or math.isinf(b) else math.hypot(a, b)


_nan = lambda x: math.nan  # noqa: E731
_log = _guard(math.log, lambda x: -math.inf if x == 0.0 else math.nan)
FLOAT: dict[str, Callable[..., Number]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": _divide,
    "floordiv": _floor_divide,
    "mod": _fmod_floor,
    "pow": _pow,
    "neg": lambda a: -a,
    "abs": abs,
    "maximum": _maximum,
    "minimum": _minimum,
    "exp": _guard(math.exp, lambda x: math.inf),
    "expm1": _guard(math.expm1, lambda x: math.inf),
    "log": _log,
    "log1p": _guard(math.log1p, lambda x: -math.inf if x == -1.0 else math.nan),
    "sqrt": lambda x: math.sqrt(x) if x >= 0 else (x if x != x or x == 0 else math.nan),
    "sin": _guard(math.sin, _nan),
    "cos": _guard(math.cos, _nan),
    "tan": _guard(math.tan, _nan),
    "tanh": math.tanh,
    "erf": _erf,
    "erfc": math.erfc,
    "exp2": _exp2,
    "asin": _guard(math.asin, _nan),
    "acos": _guard(math.acos, _nan),
    "atan": math.atan,
    "sinh": _odd_overflow(math.sinh),
    "cosh": _guard(math.cosh, lambda x: math.inf),
    "asinh": math.asinh,
    "acosh": _guard(math.acosh, _nan),
    "atanh": _guard(math.atanh, lambda x: math.copysign(math.inf, x) if abs(x) == 1 else math.nan),
    "lgamma": _guard(math.lgamma, lambda x: math.inf),
    "atan2": math.atan2,
    "hypot": _hypot,
    "fmod": _fmod,
    "copysign": math.copysign,
    "floor": _keep(math.floor),
    "ceil": _keep(math.ceil),
    "trunc": _keep(math.trunc),
    "round": _round_even,
}
INTEGER: dict[str, Callable[..., int]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    # Division by zero has no integer value; like the compiled code, the reference gives 0.
    "floordiv": lambda a, b: a // b if b else 0,
    "mod": lambda a, b: a % b if b else 0,
    "neg": lambda a: -a,
    "abs": abs,
    "maximum": max,
    "minimum": min,
    "and": lambda a, b: a & b,
    "or": lambda a, b: a | b,
    "xor": lambda a, b: a ^ b,
    "not": lambda a: ~a,
    "shl": lambda a, b: a << b if 0 <= b < 64 else 0,
    "shr": lambda a, b: a >> (min(b, 64) if b >= 0 else 64),
}
BOOL: dict[str, Callable[..., bool]] = {
    "and": lambda a, b: a and b,
    "or": lambda a, b: a or b,
    "xor": lambda a, b: a != b,
    "not": lambda a: not a,
    "maximum": lambda a, b: a or b,
    "minimum": lambda a, b: a and b,
}
COMPARE: dict[str, Callable[..., bool]] = {
    "lt": lambda a, b: a < b,
    "le": lambda a, b: a <= b,
    "eq": lambda a, b: a == b,
    "ne": lambda a, b: a != b,
}


def apply(op: str, dtype: DType, values: tuple[Number, ...]) -> Number:
    """One scalar operation whose operands have type `dtype`; comparisons give a bool."""
    if op in COMPARE:
        return COMPARE[op](*values)
    if dtype.is_float:
        if op == "floordiv":  # the floor of the rounded quotient
            return _floor(round_to(_divide(*values), dtype))
        try:
            return round_to(float(FLOAT[op](*values)), dtype)
        except OverflowError:
            return math.inf
    if dtype.kind == "b":
        return BOOL[op](*values)
    return wrap(INTEGER[op](*values), dtype)


def operations(dtype: DType) -> set[str]:
    """The names of the operations that exist on a type."""
    table: dict[str, Callable[..., Number]]
    table = FLOAT if dtype.is_float else BOOL if dtype.kind == "b" else INTEGER  # type: ignore[assignment]
    return set(table) | set(COMPARE)
