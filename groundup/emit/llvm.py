"""One kernel → LLVM IR text. The table of what can be emitted, and nothing else."""

from __future__ import annotations

from .kernel import Argsort, Chain, Contraction, Kernel, Nest, Pack, Placing, Ranks, Scan, Several
from .nest import emit_nest

SYMBOL = "kernel"


def emit(kernel: Kernel) -> str:
    """The module of IR text that defines `kernel(ptr args, i64 tid, i64 nthreads)`."""
    if isinstance(kernel, Contraction):
        from .contraction import emit_contraction  # the larger half: only when there is one

        return emit_contraction(kernel, SYMBOL)
    if isinstance(kernel, Several):
        from .several import emit_several

        return emit_several(kernel, SYMBOL)
    if isinstance(kernel, Chain):
        from .chain import emit_chain

        return emit_chain(kernel, SYMBOL)
    if isinstance(kernel, Pack):
        from .pack import emit_pack

        return emit_pack(kernel, SYMBOL)
    if isinstance(kernel, Nest):
        return emit_nest(kernel, SYMBOL)
    if isinstance(kernel, Argsort):
        from .argsort import emit_argsort

        return emit_argsort(kernel, SYMBOL)
    if isinstance(kernel, Scan):
        from .scan import emit_scan

        return emit_scan(kernel, SYMBOL)
    if isinstance(kernel, Placing):
        from .placing import emit_placing

        return emit_placing(kernel, SYMBOL)
    from .scatter import emit_ranks, emit_segments

    if isinstance(kernel, Ranks):
        return emit_ranks(kernel, SYMBOL)
    return emit_segments(kernel, SYMBOL)
