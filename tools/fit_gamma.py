"""Chebyshev coefficients for the incomplete gamma functions in groundup/ir/gamma.py, by mpmath.

Usage: python tools/fit_gamma.py > groundup/ir/gamma_tables.py. RECIPROCAL is (1/Γ(1 + a) − 1)/a on
[0, 1]; UNIFORM are Temme's functions c_k(η) on [−0.63, 0.79], from their power series.
"""

from __future__ import annotations

from typing import Any

import mpmath as mp
from fit_bessel import fitted

mp.mp.dps = 60
TERMS, ORDERS, LEAST = 110, 13, 20  # of the power series; of c_k; the least a they are used for


def reciprocal(a: Any) -> Any:
    return (mp.rgamma(1 + a) - 1) / a


def stirling() -> list[Any]:
    """g_k: Γ(z) = √(2π/z)·(z/e)^z·Σ g_k·z^−k (DLMF 5.11.3), of the logarithm's series."""
    log = [mp.mpf(0)] * (ORDERS + 1)
    for k in range(1, ORDERS + 1, 2):
        log[k] = mp.bernoulli(k + 1) / (k * (k + 1))
    g = [mp.mpf(1)]
    for n in range(1, ORDERS + 1):
        g.append(mp.fsum(k * log[k] * g[n - k] for k in range(1, n + 1)) / n)
    return g


def temme() -> list[list[Any]]:
    """The power series of c_k(η) (DLMF 8.12.10): c_0 = 1/μ − 1/η, c_k = c_{k−1}′/η + (−1)^k·g_k/μ,
    where μ − log(1 + μ) = η²/2, so that μ·μ′ = η·(1 + μ)."""
    m = [mp.mpf(0), mp.mpf(1)]  # of μ
    for n in range(2, TERMS):
        others = mp.fsum(m[i] * m[n + 1 - i] for i in range(2, n))
        m.append((2 * m[n - 1] / (n + 1) - others) / 2)
    inverse = [mp.mpf(1)]  # of η/μ
    for n in range(1, TERMS - 1):
        inverse.append(-mp.fsum(m[j + 1] * inverse[n - j] for j in range(1, n + 1)))
    g, found = stirling(), [inverse[1:]]
    for k in range(1, ORDERS):
        slope = [n * c for n, c in enumerate(found[-1])][1:]
        sign = (-1) ** k * g[k]
        whole = [s + sign * u for s, u in zip(slope, inverse)]
        assert abs(whole[0]) < mp.mpf(10) ** -40  # the pole cancels
        found.append(whole[1:])
    return found


def uniform() -> list[list[float]]:
    """Each c_k, cut where what is left is below 2⁻⁵⁷ of c_0 at the least a."""
    rows = []
    for k, c in enumerate(temme()):
        row = fitted(lambda x, c=c: mp.polyval(c[::-1], x), mp.mpf("-0.63"), mp.mpf("0.79"))
        least = mp.mpf(LEAST) ** k / 3 * mp.mpf(2) ** -57
        rows.append(row[: max((j for j, v in enumerate(row) if abs(v) > least), default=0) + 1])
    return rows


def show(values: list[float], indent: str) -> str:
    lines = [values[i : i + 3] for i in range(0, len(values), 3)]
    return "".join(f"{indent}{', '.join(map(repr, line))},\n" for line in lines)


def main() -> None:
    print('"""Chebyshev coefficients, written by tools/fit_gamma.py, which says what of."""\n')
    print("# fmt: off")
    print("RECIPROCAL = (\n" + show(fitted(reciprocal, 0, 1), "    ") + ")")
    rows = "".join("    (\n" + show(row, "        ") + "    ),\n" for row in uniform())
    print("UNIFORM = (\n" + rows + ")")
    print("# fmt: on")


if __name__ == "__main__":
    main()
