"""Chebyshev coefficients of the Bessel and Airy functions in groundup/ir/bessel.py, by mpmath.

Usage: python tools/fit_bessel.py > groundup/ir/bessel_tables.py. Each table is the interpolant at
Chebyshev nodes of one smooth part of a function, to 40 digits, cut where what is left is below
2⁻⁵⁶ of the greatest coefficient.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath as mp

mp.mp.dps = 40
NODES = 64
Function = Callable[[Any], Any]


def fitted(f: Function, low: Any, high: Any) -> list[float]:
    """c with f(x) = Σ c_k T_k(u), u = (2x − low − high) / (high − low)."""
    middle, half = (mp.mpf(high) + low) / 2, (mp.mpf(high) - low) / 2
    angles = [mp.pi * (j + mp.mpf(1) / 2) / NODES for j in range(NODES)]
    values = [f(middle + half * mp.cos(a)) for a in angles]
    c = [
        2 * mp.fsum(v * mp.cos(k * a) for v, a in zip(values, angles, strict=True)) / NODES
        for k in range(NODES)
    ]
    c[0] /= 2
    largest = max(abs(v) for v in c)
    last = max(k for k, v in enumerate(c) if abs(v) > largest * mp.mpf(2) ** -56)
    return [float(v) for v in c[: last + 1]]


def roots(order: int) -> list[Any]:
    return [mp.besseljzero(order, k) ** 2 for k in (1, 2)]


def near_j(order: int) -> Function:
    """J₀(√t), or J₁(√t)/√t, without its two roots up to 64."""
    first, second = roots(order)

    def f(t: Any) -> Any:
        x = mp.sqrt(t)
        return mp.besselj(order, x) / (x**order * (t - first) * (t - second))

    return f


def near_y(order: int) -> Function:
    """What Y has beside the logarithm (and −2/(π·x) of Y₁, which is divided by x)."""

    def f(t: Any) -> Any:
        x = mp.sqrt(t)
        rest = mp.bessely(order, x) - 2 / mp.pi * mp.log(x / 2) * mp.besselj(order, x)
        return rest if order == 0 else (rest + 2 / (mp.pi * x)) / x

    return f


def far(order: int, second: bool) -> Function:
    """P, or Q, of z = (8/x)²: J = √(2/πx)·(P cos χ − (8/x) Q sin χ), χ = x − π/4 − order·π/2."""

    def f(z: Any) -> Any:
        x = 8 / mp.sqrt(z)
        chi = x - mp.pi / 4 - order * mp.pi / 2
        m, c, s = mp.sqrt(2 / (mp.pi * x)), mp.cos(chi), mp.sin(chi)
        j, y = mp.besselj(order, x), mp.bessely(order, x)
        return (y * c - j * s) / m * x / 8 if second else (j * c + y * s) / m

    return f


def near_k(order: int) -> Function:
    """What K has beside the logarithm (and 1/x of K₁, which is divided by x)."""

    def f(t: Any) -> Any:
        x = mp.sqrt(t)
        sign = 1 if order else -1
        rest = mp.besselk(order, x) - sign * mp.log(x / 2) * mp.besseli(order, x)
        return rest if order == 0 else (rest - 1 / x) / x

    return f


def far_k(order: int) -> Function:
    """√x·eˣ·K of u = 1/x."""
    return lambda u: mp.sqrt(1 / u) * mp.exp(1 / u) * mp.besselk(order, 1 / u)


def zeta(x: Any) -> Any:
    return mp.mpf(2) / 3 * x ** mp.mpf("1.5")


def airy_right(u: Any) -> Any:
    """2·√π·x^¼·e^ζ·Ai(x) of u = 1/ζ."""
    z = 1 / u
    x = (mp.mpf(3) / 2 * z) ** (mp.mpf(2) / 3)
    return 2 * mp.sqrt(mp.pi) * x ** mp.mpf("0.25") * mp.exp(z) * mp.airyai(x)


def airy_left(second: bool) -> Function:
    """P, or Q, of w = 1/ζ²: Ai(−x) = (P cos χ + (1/ζ) Q sin χ) / (√π·x^¼), χ = ζ − π/4."""

    def f(w: Any) -> Any:
        z = 1 / mp.sqrt(w)
        x = (mp.mpf(3) / 2 * z) ** (mp.mpf(2) / 3)
        a, b = mp.airyai(-x), mp.airybi(-x)
        scale, chi = mp.sqrt(mp.pi) * x ** mp.mpf("0.25"), z - mp.pi / 4
        c, s = mp.cos(chi), mp.sin(chi)
        return (a * s + b * c) * scale * z if second else (a * c - b * s) * scale

    return f


def split(value: Any) -> tuple[float, float]:
    """A number as the sum of two floats."""
    high = float(value)
    return high, float(value - high)


def main() -> None:
    print('"""Chebyshev coefficients, written by tools/fit_bessel.py, which says what of."""')
    print("\n# fmt: off")
    for order in (0, 1):
        print(f"ROOTS_{order} = {tuple(split(r) for r in roots(order))}")
        tables: dict[str, tuple[Function, Any, Any]] = {
            "J_NEAR": (near_j(order), 0, 64), "Y_NEAR": (near_y(order), 0, 64),
            "P": (far(order, False), 0, 1), "Q": (far(order, True), 0, 1),
            "K_NEAR": (near_k(order), 0, 1), "K_FAR": (far_k(order), 0, 0.25),
            "K_HALFWAY": (far_k(order), 0.25, 1),
        }  # fmt: skip
        for name, (f, low, high) in tables.items():
            show(f"{name}_{order}", fitted(f, low, high))
    show("AIRY_MIDDLE", fitted(mp.airyai, mp.mpf("-4.5"), 2))
    show("AIRY_RIGHT", fitted(airy_right, 0, 1 / zeta(mp.mpf(2))))
    edge = 1 / zeta(mp.mpf("4.5")) ** 2
    show("AIRY_P", fitted(airy_left(False), 0, edge))
    show("AIRY_Q", fitted(airy_left(True), 0, edge))


def show(name: str, values: list[float]) -> None:
    print(f"{name} = (")
    for i in range(0, len(values), 3):
        print("    " + " ".join(f"{v!r}," for v in values[i : i + 3]))
    print(")")


if __name__ == "__main__":
    main()
