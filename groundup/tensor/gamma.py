"""The regularised incomplete gamma functions, and their derivatives.

Both are computed in float64 and rounded once. Must not know their formulas.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..ir import dtype as dt
from ..ir import gamma as formulas
from ..ir import node as ir
from . import pointwise as pw
from .core import Core, plain, value_of
from .errors import at_line
from .misuse import named
from .shape import expand
from .special import lgamma, pair, xlogy

if TYPE_CHECKING:
    from .tensor import Tensor


@named
def igamma(a: Any, x: Any) -> Tensor:
    """P(a, x) = 1/Γ(a) · ∫₀ˣ t^(a−1)·e^−t dt, the share of Gamma(a, 1) below x (DLMF 8.2.4)

    a and x broadcast; floating types. NaN for a < 0 or x < 0, and at (0, 0) and (∞, ∞). It is
    derived by both; by a (which PyTorch refuses) to a relative error of 1e-8 for a from 1e-3 to
    1e6, and at a = 0 to NaN. Error in units in the last place: 1 in float32; in float64 10 for
    a < 20, else 6·(1 − log P) (docs/special.md).

    Raises TypeError for integers and complex numbers, ShapeError where shapes do not fit.

    >>> [round(p, 4) for p in gu.igamma(gu.tensor([1.0, 2.0]), gu.tensor(1.0)).tolist()]
    [0.6321, 0.2642]
    """
    return _share("igamma", a, x, False)


@named
def igammac(a: Any, x: Any) -> Tensor:
    """Q(a, x) = 1 − P(a, x), without its cancellation (DLMF 8.2.4); see `igamma`

    >>> [round(q, 4) for q in gu.igammac(gu.tensor([1.0, 2.0]), gu.tensor(1.0)).tolist()]
    [0.3679, 0.7358]
    """
    return _share("igammac", a, x, True)


def _share(name: str, a: Any, x: Any, upper: bool) -> Tensor:
    for v in (a, x):
        if not isinstance(v, Core | int | float):
            raise TypeError(f"{name} takes tensors and numbers, not {type(v).__name__}" + at_line())
    kind = pw.result_type(a, x)
    if not kind.is_float:
        raise TypeError(
            f"{name} takes tensors of a floating type, not {kind.name}; convert one with "
            f".to(gu.float32)" + at_line()
        )  # fmt: skip

    def body(s: ir.Node, t: ir.Node) -> ir.Node:
        wide = formulas.incomplete(ir.cast(s, dt.float64), ir.cast(t, dt.float64), upper)
        return ir.cast(wide, s.dtype)

    given = [plain(v) if isinstance(v, Core) else v for v in (a, x)]
    value = pair(name, given[0], given[1], body)
    from .create import full
    from .host import with_derivative

    whole = [expand(pw.cast(v, kind), value._shape) if isinstance(v, Core)
             else full(value._shape, v, dtype=kind) for v in (a, x)]  # fmt: skip

    def derivative(
        g: Sequence[Tensor | None], _: Sequence[Tensor], of: Sequence[Tensor]
    ) -> Sequence[Core | None]:
        assert g[0] is not None
        return [None if d is None else g[0] * d for d in _slopes(of[0], of[1], upper)]

    return with_derivative(name, [value_of(value)], whole, derivative)[0]


def _slopes(a: Tensor, x: Tensor, upper: bool) -> list[Tensor | None]:
    """(∂/∂a, ∂/∂x), in float64: by x the density e^(−x + (a − 1)·log x)/Γ(a); by a, along the
    curve x(a) on which P is constant, −(∂x/∂a)·density. None by an a that has no history."""
    from .samplers import slope_of_log

    kind = a.dtype
    shape, at = a.to(dt.float64), x.to(dt.float64)
    inside = (shape > 0) & (shape < math.inf) & (at > 0) & (at < math.inf)
    # At x = ∞ and a = ∞ both are constant; at x = 0 the density is what it tends to.
    edge = pw.where((shape >= 0) & (at >= 0), 0.0, math.nan)
    start = (at == 0) & (shape > 0) & (shape < 2)
    s = pw.where(inside | start, shape, 1.0)
    t = pw.where(inside | start, at, 1.0)
    density = pw.exp(xlogy(s - 1, t) - t - lgamma(s))
    density = pw.where(inside | start, density, edge)
    by_x = -density if upper else density
    by_a: Tensor | None = None
    if a.node.tracked:
        s, t = pw.where(inside, shape, 1.0), pw.where(inside, at, 1.0)
        turned = slope_of_log(s, t.log()) * t * density
        turned = pw.where(inside, turned, pw.where(shape == 0, math.nan, edge))
        by_a = (turned if upper else -turned).to(kind)
    return [by_a, by_x.to(kind)]
