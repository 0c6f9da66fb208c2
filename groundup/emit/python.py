"""The Python emitter: plain nested loops, run by Python itself.

The reference that every other emitter is compared with, and what a debugger steps through. It
knows loop nests and scalar semantics; it must not know schedules, fusion or machine code.
"""

from __future__ import annotations

import linecache
import weakref
from collections.abc import Callable, Sequence
from itertools import count
from typing import TYPE_CHECKING

from ..ir import dtype as dt
from ..ir.extent import product
from ..ir.node import Node, const, loops
from ..ir.outside import OutOfRange, Place, sites_in
from ..ir.scalar import Number
from ..ir.transform import TENSOR_OPS, body_nodes, rebuild, substitute, toposort
from ..runtime import Buffer, allocate
from .elements import load, store
from .python_body import body_source
from .python_support import namespace

if TYPE_CHECKING:
    from .python_files import Files

_numbers = count()
_compiled: weakref.WeakKeyDictionary[Node, Callable[..., None]] = weakref.WeakKeyDictionary()


def evaluate(roots: Sequence[Node], files: Files | None = None) -> list[Buffer]:
    """The memory of each tensor: computed by plain Python loops, or its own where it has one.

    files: where the source of the loops is put, for a debugger.

    Raises IndexError for a read outside a tensor and ValueError for the greatest of nothing.
    """
    known = _run(roots, files)
    buffers = []
    for root in roots:
        handle = _memory(_source_of(root))
        if handle is None:
            numbers = known[root]
            handle = allocate(max(1, len(numbers) * root.dtype.itemsize))
            store(handle, numbers, root.dtype)
        buffers.append(handle)
    return buffers


def values(roots: Sequence[Node]) -> list[list[Number]]:
    """The elements of each tensor as a flat list of Python numbers, in row-major order."""
    known = _run(roots)
    return [known[root] for root in roots]


def source(node: Node) -> str:
    """The Python source of a tensor's loops, with those of the tensors it needs before it."""
    order = toposort([node], stop=lambda n: _memory(n) is not None)
    names = _names(order)
    written = [n for n in order if n.op in ("loops", "scan", "argsort") and _memory(n) is None]
    texts = [body_source(n, names) for n in written]
    return "\n\n".join(texts)


# ---- memory --------------------------------------------------------------------------------------


def _memory(node: Node) -> Buffer | None:
    """The memory that already holds this tensor, or None."""
    handle = node.value if node.op == "buffer" else node.cache
    return handle if isinstance(handle, Buffer) else None


def _source_of(node: Node) -> Node:
    """The tensor whose row-major elements are this one's."""
    while node.op in ("reshape", "leaf", "detach", "result") and _memory(node) is None:
        node = node.src[0]
    return node


# ---- running -------------------------------------------------------------------------------------


def _run(roots: Sequence[Node], files: Files | None = None) -> dict[Node, list[Number]]:
    known: dict[Node, list[Number]] = {}
    for node in toposort(roots, stop=lambda n: _memory(n) is not None):
        if node.op not in TENSOR_OPS:
            continue
        handle = _memory(node)
        if handle is not None:
            known[node] = load(handle, node.dtype, product(node.shape))
        elif node.op == "buffer":
            raise TypeError(f"buffer of shape {node.shape} has no memory: {node.value!r}")
        elif node.op == "host":
            raise TypeError(f"{node.arg[0].name} is no loop nest: it has memory, or runs in a plan")
        elif node.op == "call":
            continue
        elif node.op in ("loops", "scan", "argsort"):
            out: list[Number] = [0] * product(node.shape)
            run = _function(node) if files is None else _function_in(files, node)
            try:
                run(out, *(known[t] for t in _reads(node)))
            except OutOfRange as error:
                error.written(_written(node, error, known))
                raise
            known[node] = out
        else:
            known[node] = known[node.src[0]]
    return known


def _written(node: Node, error: OutOfRange, known: dict[Node, list[Number]]) -> list[Place]:
    """Who may have written the index: of several that fit, that whose index still leaves its axis
    when the others go to position 0."""
    nodes = body_nodes(node.src[0])
    fitting = [p for p in sites_in(nodes) if p.fits(error)]
    if len(fitting) == 1 or node.op != "loops" or not error.size:
        return fitting
    zero = const(0, dt.int64)
    for place in fitting:
        mapping = {}
        for other in fitting:
            n = nodes[other.position]
            if other is not place and nodes[place.position] not in body_nodes(n):
                tensor = n.src[:1] if n.op == "read" else ()
                at = [zero if ix.src else ix for ix in n.src[len(tensor) :]]
                mapping[n] = rebuild(n, (*tensor, *at))
        alone = loops(node.shape, substitute(node.src[0], mapping))
        try:
            _function(alone)([0] * product(node.shape), *(known[t] for t in _reads(alone)))
        except OutOfRange:
            return [place]
    return fitting


def _reads(node: Node) -> list[Node]:
    """The tensors that a loops node reads, each once."""
    return [t for t in toposort([node.src[0]], stop=_is_tensor) if _is_tensor(t)]


def _is_tensor(node: Node) -> bool:
    return node.op in TENSOR_OPS


def _names(order: Sequence[Node]) -> dict[Node, str]:
    """Short names for tensors: A, B, … then T26, T27, …"""
    tensors = [n for n in order if _is_tensor(n)]
    return {n: chr(65 + i) if i < 26 else f"T{i}" for i, n in enumerate(tensors)}


def _function(node: Node) -> Callable[..., None]:
    """The compiled loops of one tensor; a traceback can show their source."""
    function = _compiled.get(node)
    if function is None:
        text = body_source(node, _names([*_reads(node), node]))
        filename = f"<groundup loops {next(_numbers)}>"
        function = _compiled[node] = _defined(text, filename)
        lines = text.splitlines(keepends=True)
        linecache.cache[filename] = (len(text), None, lines, filename)
        weakref.finalize(node, linecache.cache.pop, filename, None)
    return function


def _function_in(files: Files, node: Node) -> Callable[..., None]:
    """The compiled loops of one tensor, in a file."""
    from .python_files import heading

    function = files.compiled.get(node)
    if function is None:
        names = _names([*_reads(node), node])
        text = body_source(node, names)
        if files.stop:
            head, line, rest = text.partition('"""\n')
            text = f"{head}{line}    breakpoint()\n{rest}"
        text = heading(node) + text
        function = _defined(text, files.write(names[node], text))
        files.compiled[node] = function
    return function


def _defined(text: str, filename: str) -> Callable[..., None]:
    """The function that a source defines."""
    scope = namespace()
    exec(compile(text, filename, "exec"), scope)
    function: Callable[..., None]
    function = next(f for name, f in scope.items() if name.startswith("compute_"))
    return function
