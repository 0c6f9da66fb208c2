"""How far a compiled result may be from the reference: the one place that says so.

Every test of values uses these numbers. Must not know who computes.
"""

from __future__ import annotations

from typing import Any

# Units in the last place between a compiled transcendental function and its exact value: float32 is
# measured over all of its numbers by tests/emit/test_accuracy.py; float64 is the system's libm; the
# 16-bit types are float32's result rounded once more. Every other operation on one element is
# exact: rounded once, or not at all.
ULPS = {
    "exp": 1.0, "expm1": 1.6, "log": 1.0, "log1p": 1.6, "sin": 1.6, "cos": 1.6, "tan": 2.0,
    "tanh": 1.6, "erf": 1.5, "pow": 0.6, "hypot": 0.8,
}  # fmt: skip
ULPS_FLOAT64 = 1.0

# The same of functions that are the system's libm in every type: what the GNU C library states for
# x86-64 (manual, "Known Maximum Errors in Math Functions"), and half a unit for the rounding of
# the reference, which goes by way of float64.
LIBM = {
    "erfc": 5.5, "exp2": 1.5, "asin": 1.5, "acos": 1.5, "atan": 1.5, "sinh": 2.5, "cosh": 2.5,
    "asinh": 2.5, "acosh": 2.5, "atanh": 2.5, "lgamma": 7.5, "atan2": 1.5,
}  # fmt: skip
# Python's own lgamma, the reference, is exact near its zeros to this in absolute value only.
NEAR_ZERO = {"lgamma": 2.0**-50}


def ulps(operation: str, bits: int = 32) -> float:
    """The greatest distance of a compiled result from the exact value, in units in the last place;
    0.5 for what is rounded once. `bits` is the size of the floating type.

    >>> ulps("exp"), ulps("add")
    (1.0, 0.5)
    """
    known = ULPS.get(operation) or LIBM.get(operation)
    if known is None:
        return 0.5
    if bits == 16:
        return 0.5 + 2 * known / 256  # float16 and bfloat16: 8 bits or more are dropped
    if operation in LIBM:
        return known
    return ULPS_FLOAT64 if bits == 64 else ULPS[operation]


def sum_bound(terms: int, eps: float, total: Any) -> Any:
    """The greatest error of a sum of n terms, in any order, with or without fused products.

        (n + 8) · eps · Σ|term|

    `eps` is the type's gap after 1, `total` is Σ|term| (a number or an array of them). Any order of
    n - 1 additions stays within (n - 1)·eps/2·Σ|term| to first order (Higham, Accuracy and
    Stability of Numerical Algorithms, 2nd ed., §4.2); a rounded product adds eps/2 to a term.

    >>> sum_bound(2, 2.0**-52, 1.0) == 10 * 2.0**-52
    True
    """
    return (terms + 8) * eps * total


def flushed(terms: int) -> float:
    """What a sum of n products of bfloat16 may lose beside its rounding: each running value below
    2⁻¹²⁶ may become zero. (A factor below 2⁻¹²⁶ is zero: that is the operation itself.)

    >>> flushed(2) == 2.0**-125
    True
    """
    return terms * 2.0**-126
