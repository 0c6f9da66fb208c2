"""Walking and rewriting expressions, without recursion on the depth of a graph.

Floors above use these instead of walks of their own. Must not know why an expression is rewritten.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from operator import is_

from .dtype import bfloat16, float32
from .node import (
    Node,
    alu,
    at_site,
    cast,
    cut,
    detach,
    extent,
    leaf,
    loops,
    make,
    read,
    reshape,
    where,
)  # fmt: skip

TENSOR_OPS = frozenset((
    "buffer", "loops", "scan", "argsort", "reshape", "leaf", "detach", "host", "call", "result",
))  # fmt: skip
COMPUTED = ("loops", "scan", "argsort")  # tensors that a kernel computes


def toposort(roots: Iterable[Node], stop: Callable[[Node], bool] = lambda n: False) -> list[Node]:
    """Every node reachable from the roots, sources first; `stop` nodes are kept but not entered."""
    order: list[Node] = []
    done: set[Node] = set()
    stack: list[Node | None] = list(roots)
    stack.reverse()
    while stack:
        node = stack.pop()
        if node is None:  # all that the node below needs has been listed
            order.append(stack.pop())  # type: ignore[arg-type]
        elif node not in done:
            done.add(node)
            if not node.src or stop(node):
                order.append(node)
                continue
            stack += (node, None)
            for s in reversed(node.src):
                if s not in done:
                    stack.append(s)
    return order


def body_nodes(body: Node) -> list[Node]:
    """The nodes of one body, sources first; tensors that it reads are listed, not entered."""
    # Like toposort, but asked for so often that each step counts: sources that have none themselves
    # never wait.
    order: list[Node] = []
    done: set[Node] = set()
    stack: list[Node | None] = [body]
    while stack:
        node = stack.pop()
        if node is None:
            order.append(stack.pop())  # type: ignore[arg-type]
            continue
        if node in done:
            continue
        done.add(node)
        src = node.src
        if not src or node.op in TENSOR_OPS:
            order.append(node)
            continue
        for i, s in enumerate(src):
            if s in done:
                continue
            if s.src and s.op not in TENSOR_OPS:
                stack += (node, None)
                stack += [s for s in reversed(src[i:]) if s not in done]
                break
            done.add(s)
            order.append(s)
        else:
            order.append(node)
    return order


def rebuild(node: Node, src: tuple[Node, ...]) -> Node:
    """The same operation on other sources, simplified anew."""
    if src == node.src:
        return node
    op = node.op
    if op == "read":
        return at_site(read(*src), node.site)
    if op == "where":
        return where(*src)
    if op == "cast":
        return cast(src[0], node.dtype)
    if op == "loops":
        return loops(node.shape, src[0])
    if op == "reshape":
        return reshape(src[0], node.shape)
    if op == "leaf":
        return leaf(src[0], node.arg)
    if op == "detach":
        return detach(src[0]) if node.arg is None else cut(src[0], node.arg)
    if op == "checked":
        return at_site(make(op, node.dtype, (), src, node.arg), node.site)
    if op in ("reduce", "scan", "argsort", "host", "call", "result"):
        return make(op, node.dtype, node.shape, src, node.arg)
    return alu(op, *src)


def substitute(body: Node, mapping: Mapping[Node, Node]) -> Node:
    """Replace variables (or whole sub-expressions) of one body; tensors that it reads stay.

    Bound variables need no renaming: by construction an inner reduction's ids are smaller than
    those of every reduction whose variables can be put into it (see node.fresh).
    """
    if all(map(is_, mapping, mapping.values())):
        return body
    result: dict[Node, Node] = dict(mapping)
    stack: list[Node | None] = [body]
    while stack:
        node = stack.pop()
        if node is None:  # what the node below is made of has been replaced
            node = stack.pop()
            assert node is not None
            src = tuple([result[s] for s in node.src])
            result[node] = node if src == node.src else rebuild(node, src)
        elif node not in result:
            if not node.src or node.op in TENSOR_OPS:
                result[node] = node
                continue
            stack += (node, None)
            for s in reversed(node.src):
                if s not in result:
                    stack.append(s)
    return result[body]


def element(tensor: Node, indices: tuple[Node, ...]) -> Node:
    """The scalar expression of one element: the body of loops with its variables replaced, else
    a read."""
    while tensor.op in ("leaf", "detach", "result"):
        tensor = tensor.src[0]
    if tensor.op != "loops":
        return read(tensor, *indices)
    from .node import out

    return substitute(tensor.src[0], {out(i): ix for i, ix in enumerate(indices)})


def free_variables(body: Node) -> set[Node]:
    """The out, red and axis variables a body depends on that no reduction inside it binds."""
    free: dict[Node, frozenset[Node]] = {}
    for node in body_nodes(body):
        if node.op in ("out", "red", "axis"):
            free[node] = frozenset((node,))
            continue
        if node.op in TENSOR_OPS:
            free[node] = frozenset()
            continue
        names = frozenset().union(*(free[s] for s in node.src)) if node.src else frozenset()
        if node.op == "reduce":
            bound = {i for i, _ in node.arg[1]}
            names = frozenset(v for v in names if v.op != "red" or v.arg not in bound)
        free[node] = names
    return set(free[body])


def row_major(shape: tuple[int, ...], indices: tuple[Node, ...]) -> Node:
    """The position of an element in row-major order."""
    from .dtype import int64
    from .node import const

    position = const(0, int64)
    for size, ix in zip(shape, indices):
        position = alu("add", alu("mul", position, extent(size)), ix)
    return position


def unravel(position: Node, shape: tuple[int, ...]) -> list[Node]:
    """The indices of the element at a row-major position."""
    indices: list[Node] = []
    for i, size in enumerate(reversed(shape)):
        last = i == len(shape) - 1
        indices.append(position if last else alu("mod", position, extent(size)))
        position = alu("floordiv", position, extent(size))
    return indices[::-1]


def product_of(body: Node) -> tuple[Node, Node] | None:
    """The two reads of a contraction's term, guarded or not; a factor of a 16-bit type is read and
    widened to the type of the sum, which is exact."""
    if body.op == "where" and body.src[2].op == "const" and body.src[2].value == 0:
        body = body.src[1]
    if body.op != "mul":
        return None
    a, b = (s.src[0] if widens(s) else s for s in body.src)
    return (a, b) if a.op == "read" and b.op == "read" else None


def widens(x: Node) -> bool:
    """Is this a conversion from a 16-bit floating type to float32, which is exact?"""
    if x.op != "cast" or x.dtype is not float32:
        return False
    return x.src[0].dtype.is_float and x.src[0].dtype.bits == 16


def halves(body: Node) -> bool:
    """Is a contraction's term a product of two bfloat16 numbers?"""
    if product_of(body) is None:
        return False
    factors = (body.src[1] if body.op == "where" else body).src
    return all(s.op == "cast" and s.src[0].dtype is bfloat16 for s in factors)
