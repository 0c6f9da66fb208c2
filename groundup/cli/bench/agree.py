"""Whether two sides compute the same, asked before anything is timed.

The bound is that of ir/bounds.py. Must not know how a side computes.
"""

from __future__ import annotations

from groundup.cli.bench import sides
from groundup.cli.bench.record import BenchError, Case
from groundup.cli.bench.sides import Array
from groundup.ir import bounds

EPS = 2.0**-23  # of f32


def check(case: Case, found: list[Array], peer: str, theirs: list[Array]) -> float:
    """The largest difference of our results and a peer's. Raises BenchError beyond the bound.

    Each side may be off by (terms + 8)·eps·Σ|term|, so the two by twice that. Σ|term| is what a
    linear case gives, in f64, for the absolute values of its inputs; otherwise the largest element
    of the result stands for it.
    """
    import numpy as np

    totals = _totals(case) if case.linear else [np.abs(y).max(initial=0.0) for y in theirs]
    worst = 0.0
    for a, b, total in zip(found, theirs, totals, strict=True):
        if a.shape != b.shape:
            raise BenchError(f"the shape of our result is {a.shape}, {peer}'s is {b.shape}")
        off = np.abs(a.astype(np.float64) - b)
        bound = 2 * bounds.sum_bound(case.terms, EPS, total)
        if case.eps > EPS:  # both sides then round to a shorter type
            bound = bound + case.eps * np.abs(b)
        if not np.all(off <= bound):
            share = np.mean(~(off <= bound))
            raise BenchError(
                f"our result and {peer}'s differ by up to {off.max():.2e}, and {share:.1%} of it by"
                f" more than rounding explains (≤ {np.max(bound):.2e}): not the same mathematics"
            )
        worst = max(worst, float(off.max(initial=0.0)))
    return worst


def _totals(case: Case) -> list[Array]:
    """What torch gives in f64 for the absolute values of the inputs."""
    import numpy as np

    torch = sides.torch_module()
    args = [
        torch.from_numpy(np.asarray(np.abs(a.astype(np.float64))) if a.dtype == np.float32 else a)
        for a in sides.arrays(case)
    ]
    return [y.detach().numpy() for y in sides.torch_function(torch, case, args, False)()]
