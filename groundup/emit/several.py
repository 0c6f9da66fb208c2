"""Writes a `Several` kernel: each part as a function, and one that calls them in turn.

Must not know what the parts compute.
"""

from __future__ import annotations

from .builder import Function, module
from .expression import Emitter
from .kernel import Nest, Several
from .nest import SIGNATURE, carefully, write_nest


def emit_several(kernel: Several, name: str) -> str:
    """The kernel as a module of LLVM IR text."""
    texts: list[str] = []
    declared: dict[str, None] = {}
    main = Function(name, SIGNATURE)
    e = Emitter(main, 1)

    def calls() -> None:
        for i, _ in enumerate(kernel.parts):
            main.do(f"call void @{name}.{i}({SIGNATURE})")

    for i, part in enumerate(kernel.parts):
        fn = Function(f"{name}.{i}", SIGNATURE)
        inside = Emitter(fn, part.width)
        if isinstance(part, Nest):
            write_nest(inside, part)
        else:
            from .contraction import ContractionWriter  # the larger half: only when there is one

            ContractionWriter(inside, part).write()
        texts.append(fn.text(linkage="internal "))
        declared.update(fn.declared)
    carefully(e, kernel.careful, calls)
    return module([*texts, main.text()], {**declared, **main.declared})
