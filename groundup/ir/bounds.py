"""How far a compiled result may be from the reference: the one place that says so.

Every test of values uses these numbers. Must not know who computes.
"""

from __future__ import annotations

from typing import Any

# Units in the last place between a transcendental function and its exact value.
ULPS = 4
TRANSCENDENTAL = frozenset(
    ("exp", "expm1", "log", "log1p", "sin", "cos", "tanh", "erf", "pow")
)  # everything else on one element is exact: rounded once, or not at all


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
