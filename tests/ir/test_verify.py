"""Each structural rule can fail, and says which one did."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from groundup.ir import dtype as dt
from groundup.ir.node import (
    Node,
    alu,
    axis,
    buffer,
    carry,
    cast,
    const,
    fresh,
    index,
    loops,
    make,
    out,
    outs,
    read,
    red,
    reduce,
    reshape,
    scan,
    where,
)
from groundup.ir.verify import VerifyError, verify

from .. import build as B

F, N, Z = dt.float32, dt.int64, dt.bool_
X = buffer("x", (2, 3), F)
V = buffer("v", (3,), F)
ONE = const(1.0, F)


def scalar(op: str, dtype: dt.DType, *src: Node, arg: object = None, value: object = None) -> Node:
    """A tensor around a scalar node made without any check."""
    return loops((2, 3), make(op, dtype, (), src, arg, value))


def reduction(kind: str, variables: object, body: Node, order: str = "seq") -> Node:
    dtype = N if kind.startswith("arg") else body.dtype
    return loops((2, 3), make("reduce", dtype, (), (body,), (kind, variables, order)))


x = read(X, *outs(2))
ok = alu("lt", x, ONE)
BROKEN: dict[str, tuple[str, Callable[[], Node]]] = {
    "root": ("a root must be a tensor", lambda: ONE),
    "size": ("is not a count", lambda: buffer("y", (-1,), F)),
    "buffer source": ("computed from nothing", lambda: make("buffer", F, (), (ONE,), "b")),
    "loops type": ("not its own type", lambda: make("loops", dt.float64, (2,), (ONE,), None)),
    "loops of a tensor": ("must be a scalar", lambda: make("loops", F, (2, 3), (X,), None)),
    "two bodies": ("2 sources", lambda: make("loops", F, (2,), (ONE, ONE), None)),
    "scan axis": ("axis 2 of only 2", lambda: scan((2, 3), 2, carry(F), ONE)),
    "scan sources": ("1 sources, 2 expected", lambda: make("scan", F, (2,), (ONE,), (0, False))),
    "scan start": ("start must be a constant", lambda: scan((2, 3), 0, ONE, x)),
    "scan type": ("from float64", lambda: scan((2,), 0, carry(F), const(0.0, dt.float64))),
    "scan of a tensor": ("must be a scalar", lambda: make("scan", F, (2,), (V, ONE), (0, False))),
    "carry type": ("carries its own type", lambda: scan(
        (2,), 0, cast(carry(dt.float64), F), ONE)),
    "scan of a sum": ("has no reduction", lambda: scan(
        (2,), 0, reduce("sum", [(1, 3)], read(V, red(1))), ONE)),
    "scan closed": ("out variable 2", lambda: scan((2, 3), 0, read(V, out(2)), ONE)),
    "argsort of a scalar": ("must be a tensor", lambda: make(
        "argsort", N, (3,), (ONE,), (0, False, None))),
    "argsort type": ("type int64", lambda: make("argsort", F, (3,), (V,), (0, False, None))),
    "argsort shape": ("became", lambda: make("argsort", N, (4,), (V,), (0, False, None))),
    "reshape of a scalar": ("must be a tensor", lambda: make("reshape", F, (1,), (ONE,), None)),
    "reshape count": ("6 elements cannot be 7", lambda: reshape(X, (7,))),
    "leaf shape": ("became", lambda: make("leaf", F, (6,), (X,), 1)),
    "out of axes": ("out variable 2 of only 2", lambda: loops((2, 3), read(V, out(2)))),
    "unbound": (r"variables \[4\] are bound by nothing", lambda: loops((), read(V, red(4)))),
    "scalar shape": ("has no shape", lambda: loops((2,), make("neg", F, (2,), (x,), None))),
    "tensor as scalar": ("used as a scalar", lambda: scalar("neg", F, X)),
    "leaf operand": ("has no operands", lambda: scalar("const", F, ONE, arg=1, value=1.0)),
    "float constant": ("1 is no float32", lambda: scalar("const", F, arg=1, value=1)),
    # A key of its own: True, which may be alive, has the key 1.
    "bool constant": ("1 is no bool", lambda: scalar("const", Z, arg="one", value=1)),
    "large constant": ("beyond uint8", lambda: scalar("const", dt.uint8, arg=300, value=300)),
    "axis": ("axis is left", lambda: loops((), read(V, axis("i")))),
    "variable type": ("has type int64", lambda: scalar("out", dt.int32, arg=0)),
    "read of a scalar": ("only an element", lambda: scalar("read", F, ONE)),
    "read type": ("an element of a float32", lambda: scalar("read", N, V, out(0))),
    "index count": ("1 indices for 2 axes", lambda: scalar("read", F, X, out(0))),
    "index type": ("index of type int32", lambda: scalar("read", F, V, const(0, dt.int32))),
    "index tensor": ("index must be a scalar", lambda: scalar("read", F, V, V)),
    "cast count": ("2 operands, one expected", lambda: scalar("cast", N, x, x)),
    "where count": ("2 operands, three expected", lambda: scalar("where", F, ok, x)),
    "where condition": ("condition is float32", lambda: scalar("where", F, x, x, x)),
    "where branches": ("branches of float32 and int64", lambda: scalar("where", F, ok, x, out(0))),
    "arity": ("2 operands, 1 expected", lambda: scalar("neg", F, x, x)),
    "operand types": ("operands of types float32, int64", lambda: scalar("add", F, x, out(0))),
    "no such operation": ("there is no sqrt of int64", lambda: scalar("sqrt", N, out(0))),
    "unknown operation": ("there is no frob", lambda: scalar("frob", F, x, x)),
    "result type": ("lt of float32 gives bool", lambda: scalar("lt", F, x, ONE)),
    "reduction": ("'mean' is no reduction", lambda: reduction("mean", ((1, 3),), x)),
    "order": ("'fast' is no order", lambda: reduction("sum", ((1, 3),), x, "fast")),
    "extent": ("extent -1 is not a count", lambda: reduction("sum", ((1, -1),), x)),
    "same variable": ("not distinct", lambda: reduction("sum", ((1, 2), (1, 3)), x)),
    "bound again": (
        r"\[1\] are bound again inside",
        lambda: reduction("sum", ((1, 2),), reduce("max", [(1, 3)], read(V, red(1)))),
    ),
    "argmax type": ("gives int64", lambda: loops((), make(
        "reduce", F, (), (ONE,), ("argmax", ((1, 3),), "seq")))),
    "sum of bool": ("no sum of bool", lambda: reduction("sum", ((1, 3),), ok)),
}  # fmt: skip


@pytest.mark.parametrize("name", list(BROKEN))
def test_a_broken_rule_is_named(name: str) -> None:
    message, build = BROKEN[name]
    with pytest.raises(VerifyError, match=message):
        verify([build()])


def test_the_expression_is_printed() -> None:
    with pytest.raises(VerifyError, match=r"reshape: .*\nA: float32\[2, 3\] = buffer\nB: .*"):
        verify([reshape(X, (7,))])


def test_sound_graphs_pass() -> None:
    softmax = B.softmax(X)
    (r,), variables = fresh(0, [3])
    least = loops((2,), reduce("argmin", variables, read(X, out(0), r)))
    any_ = loops((2,), reduce("max", variables, alu("lt", read(X, out(0), r), ONE)))
    guarded = loops((4,), where(B.inside(out(0), 3), read(V, out(0)), ONE))
    nothing = loops((0,), reduce("sum", [(1, 0)], ONE))
    scalar_ = loops((), const(float("nan"), F))
    product = B.matmul(X, buffer("y", (3, 4), F))
    verify([softmax, least, any_, guarded, nothing, scalar_, reshape(X, (3, 2)), product])
    verify([])


def test_every_position_in_the_graph_is_checked() -> None:
    bad = reshape(X, (7,))
    deep = loops((7,), alu("neg", read(bad, out(0))))
    for _ in range(2000):
        deep = loops((7,), alu("neg", read(deep, out(0))))
    with pytest.raises(VerifyError, match="6 elements"):
        verify([X, deep])
    with pytest.raises(VerifyError, match="6 elements"):
        verify([loops((3,), read(V, B.plus(read(B.to(bad, N), index(0)), 0)))])
