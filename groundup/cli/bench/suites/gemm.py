"""gemm: matrix products at the shapes of real layers, both transposes, matrix times vector, and
products in bfloat16 of float32 operands.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from groundup.cli.bench.record import Asked, Case, Input, Suite

ASKED = Asked({"torch": 0.95})
# A whole core at work: these must come close to what its multiply-adds can do at all.
PEAK = Asked({"torch": 0.95}, one_core=0.9)

LAYERS = [(5, 784, 10), (64, 784, 50), (50000, 784, 50)]
CUBES = [(s, s, s) for s in (128, 512, 1024, 2048)]


def _product(lib: Any, a: Any, b: Any) -> Any:
    return a @ b


def _first_turned(lib: Any, a: Any, b: Any) -> Any:
    return a.T @ b


def _second_turned(lib: Any, a: Any, b: Any) -> Any:
    return a @ b.T


def _halves(lib: Any, a: Any, b: Any) -> Any:
    return (a.to(lib.bfloat16) @ b.to(lib.bfloat16)).to(lib.float32)


def _case(
    name: str,
    formula: Callable[..., Any],
    shapes: tuple[tuple[int, ...], tuple[int, ...]],
    result: tuple[int, ...],
    k: int,
    asked: Asked = ASKED,
) -> Case:
    inputs = tuple(Input(s) for s in shapes)
    cells = 1
    for size in result:
        cells *= size
    return Case(
        name, inputs, result, formula, formula, formula,
        flop=2.0 * cells * k, read=sum(i.nbytes for i in inputs), written=4.0 * cells,
        terms=k, linear=True, asked=asked,
    )  # fmt: skip


def suite(small: bool = False) -> Suite:
    """Return the rows; small: an eighth of each size."""

    def size(n: int) -> int:
        return max(1, n // 8) if small else n

    cases = []
    for shape in LAYERS + CUBES:
        m, k, n = map(size, shape)
        cube = shape[0] if shape[0] == shape[1] == shape[2] else 0
        name = f"{cube}³" if cube else "×".join(map(str, shape))
        asked = PEAK if cube >= 512 else ASKED
        cases.append(_case(name, _product, ((m, k), (k, n)), (m, n), k, asked))
    for name, formula in (("AᵀB", _first_turned), ("ABᵀ", _second_turned)):
        for s in (128, 512, 1024):
            n = size(s)
            cases.append(_case(f"{name} {s}", formula, ((n, n), (n, n)), (n, n), n))
    for s in (512, 1024, 2048):
        n = size(s)
        case = _case(f"bf16 {n}³", _halves, ((n, n), (n, n)), (n, n), n)
        # No roofline: that is float32's.
        cases.append(replace(case, jax=None, flop=0.0, read=0.0, written=0.0, eps=2.0**-7))
    n = size(4096)
    cases.append(_case("gemv 4096²", _product, ((n, n), (n,)), (n,), n))
    cases.append(_case("gemv 4096² xA", _product, ((n,), (n, n)), (n,), n))
    return Suite("gemm", tuple(cases), {"torch": 0.75})
