"""Printing: a graph as readable loops, one tensor after the other, linear in its size.

Knows how an expression reads on a page; must not know what it is used for.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from .extent import Extent
from .node import Node
from .transform import TENSOR_OPS, toposort

_LETTERS = "ijklmnpqrsuvwxyz"
_LONG = 64  # characters: a longer part of an expression gets a name
_SIGNS = {
    "add": "+", "sub": "-", "mul": "*", "div": "/", "floordiv": "//", "mod": "%", "pow": "**",
    "lt": "<", "le": "<=", "eq": "==", "ne": "!=", "and": "&", "or": "|", "xor": "^",
    "shl": "<<", "shr": ">>",
}  # fmt: skip


def show(node: Node, limit: int | None = 40) -> str:
    """A graph as text: the last `limit` tensors that a node is computed from, and the node.

    One paragraph a tensor, sources first; parts of a body that are long or used twice are named
    t1, t2, … below it. With limit=None, everything.

    >>> from groundup.ir import dtype, node
    >>> x = node.buffer("memory", (2, 3), dtype.float32)
    >>> i, j = node.outs(2)
    >>> print(show(node.loops((3, 2), node.alu("exp", node.read(x, j, i)))))
    A: float32[2, 3] = buffer
    B: float32[3, 2] = for i < 3, j < 2:
        exp(A[j, i])
    """
    order = toposort([node])
    tensors = [n for n in order if n.op in TENSOR_OPS]
    names = {n: _tensor_name(k) for k, n in enumerate(tensors)}
    hidden = 0 if limit is None else max(0, len(tensors) - limit)
    lines = [f"… {hidden} tensors before these"] if hidden else []
    for tensor in tensors[hidden:]:
        lines += paragraph(tensor, names)
    if node.op not in TENSOR_OPS:
        lines += _body(node, names, {}, "", {})
    return "\n".join(lines)


def _tensor_name(k: int) -> str:
    return chr(65 + k) if k < 26 else f"T{k}"


def paragraph(
    node: Node,
    names: Mapping[Node, str],
    axes: Sequence[str] = (),
    inner: Mapping[int, str] | None = None,
) -> list[str]:
    """The lines of one tensor; `axes`: names for its variables, if not letters; `inner`: for those
    of reductions, by id."""
    letters = {i: axes[i] if axes else _letter(i) for i in range(node.ndim)}
    head = f"{names[node]}: {node.dtype.name}{_shape(node.shape)} = "
    if node.op == "buffer":
        return [head + "buffer"]
    if node.op == "argsort":
        along, descending, _ = node.arg
        order = "descending" if descending else "ascending"
        return [f"{head}positions along axis {along}, {order}, of {names.get(node.src[0], '?')}"]
    given = ", ".join(names.get(s, "?") for s in node.src)
    if node.op == "host":
        return [f"{head}{node.arg[0].name}({given})[{node.arg[1]}], run by Python"]
    if node.op == "call":
        name = getattr(node.arg, "name", "call")
        return [f"{names[node]}: {name}({given}), with a derivative of its own"]
    if node.op == "result":
        value, call = (names.get(s, "?") for s in node.src)
        return [f"{head}{value}, result {node.arg} of {call}"]
    if node.op not in ("loops", "scan"):
        return [f"{head}{node.op} {names.get(node.src[0], '?')}"]
    loops = ", ".join(f"{letters[i]} < {_size(s)}" for i, s in enumerate(node.shape))
    body = _body(node.src[0], names, letters, "    ", inner or {})
    if node.op == "scan" and node.arg[0] in letters and node.src[-1].op == "const":
        back = " backwards" if node.arg[1] else ""
        loops += f", before = {_bare(_number(node.src[-1]))}{back} along {letters[node.arg[0]]}"
    return [f"{head}for {loops}:" if loops else f"{head}", *body]


def _body(
    body: Node, names: Mapping[Node, str], letters: Mapping[int, str], indent: str,
    inner: Mapping[int, str],
) -> list[str]:  # fmt: skip
    """The lines of one scalar expression: the whole, then its named parts."""
    if body in names:  # no scalar: verify prints what breaks its rules as well
        return [indent + names[body]]
    order = [n for n in toposort([body], stop=lambda n: n in names) if n not in names]
    uses: dict[Node, int] = {}
    for node in order:
        for s in node.src:
            uses[s] = uses.get(s, 0) + 1
    variables = _variables(order, letters, inner)
    text: dict[Node, str] = {}
    parts: list[str] = []
    for node in order:
        written = _expression(node, names, variables, text)
        shared = uses.get(node, 0) > 1 and len(written) > 12
        if node.src and node is not body and (shared or len(written) > _LONG):
            parts.append(f"{indent}    t{len(parts) + 1} = {_bare(written)}")
            written = f"t{len(parts)}"
        text[node] = written
    whole = f"{indent}{_bare(text[body])}"
    return [whole, *([f"{indent}  where", *parts] if parts else [])]


def _variables(
    order: list[Node], letters: Mapping[int, str], inner: Mapping[int, str]
) -> dict[Node, str]:
    """Letters for the variables of a body: out variables first, then reductions by id."""
    found = {n for n in order if n.op == "red"}
    ids = {n.arg for n in found} | {i for n in order if n.op == "reduce" for i, _ in n.arg[1]}
    by_id = {uid: inner.get(uid) or _letter(len(letters) + k) for k, uid in enumerate(sorted(ids))}
    result = {n: by_id[n.arg] for n in found}
    for n in order:
        if n.op == "out":
            result[n] = letters.get(n.arg, f"out{n.arg}")
        elif n.op == "axis":
            result[n] = f"⟨{getattr(n.arg, 'name', n.arg)}⟩"
        elif n.op == "reduce":
            result[n] = ", ".join(f"{by_id[i]} < {_size(s)}" for i, s in n.arg[1])
    return result


def _expression(
    node: Node, names: Mapping[Node, str], variables: Mapping[Node, str], text: Mapping[Node, str]
) -> str:
    """One node in terms of the texts of its operands; a compound one in brackets."""
    op = node.op
    operands = [names.get(s) or text.get(s, "?") for s in node.src]
    if op == "const":
        return _number(node)
    if op == "extent":
        return _size(node.value)
    if op == "carry":
        return "before"
    if op in ("out", "red", "axis"):
        return variables[node]
    if op == "read":
        return f"{operands[0]}[{', '.join(_bare(ix) for ix in operands[1:])}]"
    if op == "cast":
        return f"{node.dtype.name}({_bare(operands[0])})"
    if op == "where" and len(operands) == 3:
        return f"({operands[1]} if {_bare(operands[0])} else {operands[2]})"
    if op == "reduce":
        order = f" {node.arg[2]}" if node.arg[2] != "seq" else ""
        return f"({node.arg[0]}{order} over {variables[node]} of {operands[0]})"
    if op == "add" and node.src[1].op == "const" and operands[1].startswith("-"):
        return f"({operands[0]} - {operands[1][1:]})"
    if op in _SIGNS and len(operands) == 2:
        return f"({operands[0]} {_SIGNS[op]} {operands[1]})"
    return f"{op}({', '.join(_bare(x) for x in operands)})"


def _bare(text: str) -> str:
    """An expression without the brackets around all of it."""
    if not text.startswith("("):
        return text
    depth = 0
    for i, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if depth == 0:
            return text[1:-1] if i == len(text) - 1 else text
    return text


def _number(node: Node) -> str:
    value = node.value
    if isinstance(value, float) and math.isfinite(value) and value == int(value) < 1e16:
        return f"{value:.1f}"
    return f"{value:g}" if node.dtype.is_float and node.dtype.bits < 64 else repr(value)


def _size(size: int) -> str:
    if isinstance(size, Extent):
        times = "" if size.coef == 1 else f"{size.coef}·"
        return f"{times}{size.symbol.name}(={int(size)})"
    return str(size)


def _shape(shape: tuple[int, ...]) -> str:
    return f"[{', '.join(_size(s) for s in shape)}]"


def _letter(i: int) -> str:
    return (
        _LETTERS[i] if i < len(_LETTERS) else f"{_LETTERS[i % len(_LETTERS)]}{i // len(_LETTERS)}"
    )
