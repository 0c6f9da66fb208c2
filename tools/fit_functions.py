"""Fit the polynomials of groundup/emit/scalar_math.py: `python tools/fit_functions.py [NAME …]`.

Each row of FITS says what is approximated, on which interval, and how the error counts. A fit is a
weighted least-squares problem whose weights are moved until the greatest error is as small as it
gets (Lawson, 1961). Coefficients are rounded to the type one after the other, lowest power first,
and the others fitted again around each. Targets are computed with 60 digits by mpmath.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from mpmath import mp, mpf

mp.dps = 60
NODES = 1201


class Fit(NamedTuple):
    """target(x) ≈ Σ c_k · x^powers[k] on [low, high]; weight(x) turns errors into what counts."""

    target: Callable[[Any], Any]
    low: float
    high: float
    powers: tuple[int, ...]
    weight: Callable[[Any], Any]
    dtype: type = np.float32


def solve(basis: np.ndarray, target: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Coefficients whose greatest weighted error is (nearly) the least possible."""
    scale = np.abs(basis).max(axis=0)
    share = np.full(len(target), 1.0 / len(target))
    best, least = None, np.inf
    for _ in range(400):
        w = np.sqrt(share) * weight
        found = np.linalg.lstsq(basis / scale * w[:, None], target * w, rcond=None)[0] / scale
        error = np.abs((basis @ found - target) * weight)
        if error.max() < least:
            best, least = found, error.max()
        share = share * np.maximum(error / error.max(), 1e-12)
        share /= share.sum()
    assert best is not None
    return best


def fitted(fit: Fit) -> tuple[list[float], float]:
    """(coefficients, lowest power first; the greatest weighted error after rounding them)."""
    angle = (np.arange(NODES) + 0.5) * np.pi / NODES
    x = (fit.low + fit.high) / 2 + (fit.high - fit.low) / 2 * np.cos(angle)
    target = np.array([float(fit.target(mpf(v))) for v in x])
    weight = np.array([float(fit.weight(mpf(v))) for v in x])
    basis = np.stack([x**p for p in fit.powers], axis=1)
    done: list[float] = []
    for k in range(len(fit.powers)):
        rest = target - basis[:, :k] @ np.array(done) if done else target
        done.append(float(fit.dtype(solve(basis[:, k:], rest, weight)[0])))
    return done, float(np.abs((basis @ np.array(done) - target) * weight).max())


def _rest(f: Callable[[Any], Any], power: int, *known: float) -> Callable[[Any], Any]:
    """(f(x) − Σ known_k·x^k) / x^power"""

    def target(x: Any) -> Any:
        return (f(x) - sum(mpf(c) * x**k for k, c in enumerate(known))) / x**power

    return target


def _log_half(m: Any) -> Any:
    """log2(1 + s)/(1 − s)) = s·(…) as a function of s²."""
    s = mp.sqrt(m)
    return mp.log((1 + s) / (1 - s)) / (s * mp.log(2))


LN2 = float(mp.log(2)) / 2 * 1.003
EIGHTH = float(mp.pi) / 4 + 0.01
FITS: dict[str, Fit] = {
    # e^r = 1 + r + r²·P(r), relative error
    "EXP": Fit(_rest(mp.exp, 2, 1, 1), -LN2, LN2, (0, 1, 2, 3, 4), lambda r: r**2 / mp.exp(r)),
    # e^r − 1 = r + r²·P(r), relative error
    "EXPM1": Fit(_rest(mp.exp, 2, 1, 1), -LN2, LN2, (0, 1, 2, 3, 4),
                 lambda r: abs(r**2 / mp.expm1(r))),
    # tanh x = x + x³·P(x²), relative error
    "TANH": Fit(lambda z: (mp.tanh(mp.sqrt(z)) - mp.sqrt(z)) / mp.sqrt(z) ** 3, 1e-9, 0.31**2,
                (0, 1, 2), lambda z: mp.sqrt(z) ** 3 / mp.tanh(mp.sqrt(z))),
    # 2^f = 1 + f·P(f), relative error
    "EXP2": Fit(_rest(lambda f: mpf(2) ** f, 1, 1), -0.5, 0.5, (0, 1, 2, 3, 4),
                lambda f: abs(f) * mpf(2) ** -f),
    # ln(1 + r) = r + r²·P(r), relative error
    "LOG": Fit(_rest(mp.log1p, 2, 0, 1), -0.3336, 0.3336, tuple(range(9)),
               lambda r: abs(r**2 / mp.log1p(r))),
    # sin r = r + r³·P(r²), relative error; the variable is z = r²
    "SIN": Fit(lambda z: (mp.sin(mp.sqrt(z)) - mp.sqrt(z)) / mp.sqrt(z) ** 3, 1e-9, EIGHTH**2,
               (0, 1, 2), lambda z: mp.sqrt(z) ** 3 / mp.sin(mp.sqrt(z))),
    # cos r = 1 + r²·P(r²), relative error
    "COS": Fit(lambda z: (mp.cos(mp.sqrt(z)) - 1) / z, 1e-9, EIGHTH**2,
               (0, 1, 2, 3), lambda z: z / mp.cos(mp.sqrt(z))),
    # tan r = r + r³·P(r²), relative error
    "TAN": Fit(lambda z: (mp.tan(mp.sqrt(z)) - mp.sqrt(z)) / mp.sqrt(z) ** 3, 1e-9, EIGHTH**2,
               (0, 1, 2, 3, 4, 5, 6), lambda z: mp.sqrt(z) ** 3 / mp.tan(mp.sqrt(z))),
    # erf x = x + x·P(x²), relative error
    "ERF": Fit(lambda z: mp.erf(mp.sqrt(z)) / mp.sqrt(z) - 1, 1e-9, 0.93**2, (0, 1, 2, 3, 4, 5),
               lambda z: mp.sqrt(z) / mp.erf(mp.sqrt(z))),
    # erf x = 1 − 2^(x·P(x)), relative error
    "ERFC": Fit(lambda x: mp.log(mp.erfc(x)) / mp.log(2) / x, 0.9, 4.0, tuple(range(8)),
                lambda x: x * mp.erfc(x) * mp.log(2) / mp.erf(x)),
    # log2((1 + s)/(1 − s)) = s·P(s²), relative error, in double precision
    "LOG2": Fit(_log_half, 1e-12, 0.0295, (0, 1, 2, 3, 4), lambda z: 1 / _log_half(z), np.float64),
    # 2^f = 1 + f·P(f), relative error, in double precision
    "EXP2_64": Fit(_rest(lambda f: mpf(2) ** f, 1, 1), -0.5, 0.5, tuple(range(6)),
                   lambda f: abs(f) * mpf(2) ** -f, np.float64),
}  # fmt: skip


def main() -> None:
    for name in sys.argv[1:] or FITS:
        coefficients, error = fitted(FITS[name])
        digits = 9 if FITS[name].dtype is np.float32 else 17
        print(f"# the greatest weighted error is 2^{np.log2(error):.1f}")
        print(f"_{name} = [{', '.join(f'{c:.{digits}e}' for c in reversed(coefficients))}]")


if __name__ == "__main__":
    main()
