"""Gradients of loop nests, all by the one rule for reads, against torch in float64."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from groundup.autodiff import gradient
from groundup.emit.python import evaluate
from groundup.ir import dtype as dt
from groundup.ir.node import (
    Node,
    alu,
    const,
    fresh,
    index,
    loops,
    outs,
    read,
    reduce,
    reshape,
    where,
)
from groundup.ir.pieces import Piece, choice
from groundup.ir.verify import verify

from .. import build as B

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.peers
F = torch.nn.functional

Build = Callable[..., Node]


def check(
    ours: Build, theirs: Callable[..., object], *arrays: np.ndarray, second: bool = True
) -> list[Node]:
    """Values, gradients for a random seed, and gradients of those gradients agree with torch."""
    rng = np.random.default_rng(0)
    leaves = [B.param(a) for a in arrays]
    peers = [torch.tensor(a, requires_grad=True) for a in arrays]
    out, peer = ours(*leaves), theirs(*peers)
    seed = rng.normal(size=peer.shape)
    found = gradient(out, B.tensor(seed), leaves)
    wanted = torch.autograd.grad(
        peer, peers, torch.tensor(seed), create_graph=second, allow_unused=True
    )
    roots, expected = [out], [peer]
    for f, w in zip(found, wanted):
        assert (f is None) == (w is None)
        if f is not None and w is not None:
            roots.append(f)
            expected.append(w)
    if second:
        for f, w in zip(found, wanted):
            if w is None or not w.requires_grad:
                continue
            again = rng.normal(size=w.shape)
            more = gradient(f, B.tensor(again), leaves)
            peer_more = torch.autograd.grad(
                w, peers, torch.tensor(again), retain_graph=True, allow_unused=True
            )
            for g, p in zip(more, peer_more):
                if p is None or g is None:  # torch may say zero where we say nothing, and back
                    assert p is None or not p.any()
                    assert g is None or not np.any(B.array(*evaluate([g]), g))
                    continue
                roots.append(g)
                expected.append(p)
    verify(roots)
    for node, memory, peer in zip(roots, evaluate(roots), expected):
        np.testing.assert_allclose(
            B.array(memory, node), peer.numpy(force=True), rtol=1e-9, atol=1e-11
        )
    return [f for f in found if f is not None]


def data(*shape: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


# ---- pointwise -----------------------------------------------------------------------------------

ONE = {
    "neg": torch.neg, "abs": torch.abs, "exp": torch.exp, "expm1": torch.expm1, "log": torch.log,
    "log1p": torch.log1p, "sqrt": torch.sqrt, "sin": torch.sin, "cos": torch.cos,
    "tanh": torch.tanh, "erf": torch.erf, "floor": torch.floor, "ceil": torch.ceil,
    "trunc": torch.trunc, "round": torch.round,
}  # fmt: skip
TWO = {
    "add": torch.add, "sub": torch.sub, "mul": torch.mul, "div": torch.div,
    "mod": torch.remainder, "pow": torch.pow, "maximum": torch.maximum, "minimum": torch.minimum,
}  # fmt: skip
FLAT = ("floor", "ceil", "trunc", "round")


@pytest.mark.parametrize("name", [n for n in ONE if n not in FLAT])
def test_unary(name: str) -> None:
    x = data(7)
    if name in ("log", "log1p", "sqrt"):
        x = np.abs(x) + 0.1
    check(lambda a: B.op(name, a), ONE[name], x)
    chained = lambda a: B.op("mul", B.op(name, B.op("mul", a, a)), a)  # noqa: E731
    check(chained, lambda a: ONE[name](a * a) * a, x)


@pytest.mark.parametrize("name", FLAT)
def test_steps_have_no_gradient(name: str) -> None:
    x = B.param(data(4))
    assert gradient(B.op(name, x), B.tensor(np.ones(4)), [x]) == [None]


@pytest.mark.parametrize("name", list(TWO))
def test_binary(name: str) -> None:
    a, b = data(3, 4), data(3, 4, seed=2)
    if name == "pow":
        a = np.abs(a)
    check(lambda x, y: B.op(name, x, y), TWO[name], a, b)
    check(lambda x, y: B.op(name, x, y), TWO[name], a, np.abs(b[:1]) + 0.5)
    check(lambda x: B.op(name, x, x), lambda x: TWO[name](x, x), np.abs(a) + 0.5, second=False)


@pytest.mark.parametrize("name", ["abs", "maximum", "minimum", "pow", "sqrt", "div", "log"])
def test_special_values(name: str) -> None:
    special = np.array([0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 2.0])
    if name in ONE:
        check(lambda x: B.op(name, x), ONE[name], special, second=False)
        return
    a, b = (m.ravel() for m in np.meshgrid(special, special))
    check(lambda x, y: B.op(name, x, y), TWO[name], a, b, second=False)


@pytest.mark.parametrize("power", [0.0, 1.0, 2.0, 3.0, -1.0, 0.5])
def test_power_of_a_number(power: float) -> None:
    def ours(x: Node) -> Node:
        return B.pointwise(lambda e: alu("pow", e, const(power, e.dtype)), x)

    x = np.abs(data(5)) if power == 0.5 else data(5)
    if power == 0:
        leaf = B.param(x)
        assert gradient(ours(leaf), B.tensor(np.ones(5)), [leaf]) == [None]
        return
    check(ours, lambda t: t**power, x)


def test_where_and_comparison() -> None:
    def ours(x: Node, y: Node) -> Node:
        return B.pointwise(
            lambda a, b: where(alu("lt", a, b), alu("mul", a, b), alu("exp", b)), x, y
        )

    check(ours, lambda x, y: torch.where(x < y, x * y, y.exp()), data(9), data(9, seed=2))


def test_relu_is_flat_at_zero() -> None:
    def ours(x: Node) -> Node:
        return B.pointwise(lambda a: where(alu("lt", B.number(0, a), a), a, B.number(0, a)), x)

    check(ours, torch.relu, np.array([-1.0, 0.0, 2.0, 3.0]), second=False)


def test_casts_pass_between_floats() -> None:
    x = B.param(data(4).astype(np.float32))
    y = B.op("mul", B.to(x, dt.float64), B.to(x, dt.float64))
    (g,) = gradient(y, B.tensor(np.ones(4)), [x])
    assert g is not None and g.dtype is dt.float32
    verify([g])
    np.testing.assert_allclose(B.array(*evaluate([g]), g), 2 * B.array(*evaluate([x]), x))


def test_integers_have_no_gradient() -> None:
    x = B.param(data(4))
    y = B.to(B.to(x, dt.int64), dt.float64)
    assert gradient(y, B.tensor(np.ones(4)), [x]) == [None]


# ---- views, all by the rule of reads -------------------------------------------------------------


def test_broadcasting() -> None:
    check(lambda x, b: B.op("mul", x, b), lambda x, b: x * b, data(3, 4), data(4))
    check(lambda x, b: B.op("mul", x, b), lambda x, b: x * b, data(3, 4), data(3, 1))
    check(
        lambda x, b: B.op("add", x, b), lambda x, b: x + b, data(3, 4), np.float64(2.0).reshape(())
    )


VIEWS: dict[str, tuple[tuple[int, ...], Callable[..., list[Node]], Callable[..., object]]] = {
    "permute": ((4, 2, 3), lambda i, j, k: [j, k, i], lambda x: x.permute(2, 0, 1)),
    "slice": ((2, 2, 2), lambda i, j, k: [i, j, B.plus(k, 1)], lambda x: x[:, :2, 1:3]),
    "step": ((2, 3, 2), lambda i, j, k: [i, j, B.plus(B.scaled(k, 2), 1)], lambda x: x[..., 1::2]),
    "flip": ((2, 3, 4), lambda i, j, k: [i, j, alu("sub", index(3), k)], lambda x: x.flip(2)),
    "expand": ((5, 2, 3, 4), lambda b, i, j, k: [i, j, k], lambda x: x.expand(5, 2, 3, 4)),
    "row": ((3, 4), lambda j, k: [index(1), j, k], lambda x: x[1]),
    "roll": (
        (2, 3, 4),
        lambda i, j, k: [i, j, alu("mod", B.plus(k, 3), index(4))],
        lambda x: x.roll(1, 2),
    ),
    "flatten": (
        (24,),
        lambda i: [
            alu("floordiv", i, index(12)),
            alu("mod", alu("floordiv", i, index(4)), index(3)),
            alu("mod", i, index(4)),
        ],
        lambda x: x.reshape(24),
    ),
    "repeat": (
        (2, 3, 8),
        lambda i, j, k: [i, j, alu("floordiv", k, index(2))],
        lambda x: x.repeat_interleave(2, 2),
    ),
    "tile": (
        (2, 3, 12),
        lambda i, j, k: [i, j, alu("mod", k, index(4))],
        lambda x: x.repeat(1, 1, 3),
    ),
    "windows": (
        (2, 3, 3, 2),
        lambda i, j, k, u: [i, j, B.plus(k, u)],
        lambda x: x.unfold(2, 2, 1),
    ),
}


@pytest.mark.parametrize("name", list(VIEWS))
def test_views(name: str) -> None:
    shape, f, theirs = VIEWS[name]
    x = data(2, 3, 4)
    check(lambda a: B.view(a, shape, f), theirs, x)

    def squared(a: Node) -> Node:
        return B.op("mul", B.view(a, shape, f), B.view(B.op("sin", a), shape, f))

    check(squared, lambda a: theirs(a) * theirs(a.sin()), x)


@pytest.mark.parametrize("name", ["permute", "slice", "step", "flip", "expand", "row", "flatten"])
def test_an_invertible_view_needs_no_sum(name: str) -> None:
    """The adjoint of a view is a view: solved, not searched for."""
    shape, f, _ = VIEWS[name]
    x = B.param(data(2, 3, 4))
    (g,) = gradient(B.view(x, shape, f), B.tensor(np.ones(shape)), [x])
    sums = count_reductions(g)
    assert sums == (1 if name == "expand" else 0)


def count_reductions(node: Node) -> int:
    from groundup.ir.transform import toposort

    return sum(n.op == "reduce" for n in toposort([node]))


def test_reshape_node() -> None:
    check(
        lambda x: B.op("exp", reshape(B.op("mul", x, x), (6, 2))),
        lambda x: (x * x).reshape(6, 2).exp(),
        data(3, 4),
    )


def test_pad() -> None:
    check(lambda x: B.pad(x, 2, 1), lambda x: F.pad(x, (2, 1)), data(2, 3))


def test_concatenation() -> None:
    def ours(x: Node, y: Node) -> Node:
        i = outs(1)[0]
        first = alu("lt", i, index(3))
        return loops((7,), where(first, read(x, i), read(y, B.plus(i, -3))))

    check(ours, lambda x, y: torch.cat([x, y]), data(3), data(4))


def test_what_was_stacked_is_read_not_searched_for() -> None:
    """Five matrices as one, each found by comparisons of a position: a position is one number."""

    def ours(*xs: Node) -> Node:
        _, j, k = outs(3)
        pieces = [Piece(t, t + 1, read(x, j, k)) for t, x in enumerate(xs)]
        return loops((len(xs), 2, 3), choice(0, pieces))

    arrays = [data(2, 3, seed=t) for t in range(5)]
    check(ours, lambda *xs: torch.stack(xs), *arrays)
    leaves = [B.param(a) for a in arrays]
    found = gradient(ours(*leaves), B.tensor(data(5, 2, 3)), leaves)
    assert all(g is not None and count_reductions(g) == 0 for g in found)


def test_an_open_variable_of_several_values_is_summed_over() -> None:
    """Rows 2 to 4 of seven are the same vector: its gradient sums three."""

    def ours(x: Node) -> Node:
        i, j = outs(2)
        middle = where(alu("lt", i, index(2)), const(0.0, dt.float64), read(x, j))
        return loops((7, 3), where(alu("lt", i, index(5)), middle, const(0.0, dt.float64)))

    check(ours, lambda x: F.pad(x.expand(3, 3), (0, 0, 2, 2)), data(3))


def test_diagonal() -> None:
    check(lambda x: B.view(x, (4,), lambda i: [i, i]), torch.diagonal, data(4, 4))
    trace = lambda x: B.over("sum", B.view(x, (4,), lambda i: [i, i]), [0])  # noqa: E731
    check(trace, torch.trace, data(4, 4))


def test_gather_and_embedding() -> None:
    at = np.array([2, 0, 2, 1])
    check(lambda x: B.take(x, B.tensor(at)), lambda x: x[torch.arange(4), at], data(4, 3))
    ids = np.array([[1, 1], [3, 0], [1, 2]])
    check(lambda w: B.embedding(w, B.tensor(ids)), lambda w: w[ids], data(5, 3))


def test_gather_of_a_gather_is_solved() -> None:
    """The gradient of a gather compares; the gradient of that gathers again."""
    w, ids = B.param(data(5, 3)), B.tensor(np.array([1, 1, 3]))
    seed = B.param(data(3, 3))
    (g,) = gradient(B.embedding(w, ids), seed, [w])
    (back,) = gradient(g, B.tensor(data(5, 3, seed=3)), [seed])
    assert back is not None and count_reductions(back) == 0
    np.testing.assert_array_equal(B.array(*evaluate([back]), back), data(5, 3, seed=3)[[1, 1, 3]])


def test_a_position_from_data_is_in_range_before_an_index_is_read_there() -> None:
    """Where the largest element lies is data, and says at which of the three ids to look: for some
    columns that is before the first of them."""
    ids = np.array([1, 2, 3])
    at = B.tensor(ids)

    def largest(x: Node) -> Node:
        (i, j), variables = fresh(0, [3, 3])
        row = alu("mod", read(at, i), const(2, dt.int64))
        return loops((), reduce("max", variables, alu("exp", read(x, row, j))))

    for n in range(6):
        x = data(2, 3)
        x.ravel()[n] = 9.0
        check(largest, lambda x: x[ids % 2].exp().ravel().max(0).values, x, second=False)


# ---- reductions ----------------------------------------------------------------------------------


@pytest.mark.parametrize("axes", [[0], [1], [0, 2], [0, 1, 2]])
@pytest.mark.parametrize("kind", ["sum", "max", "min", "prod"])
def test_reductions(kind: str, axes: list[int]) -> None:
    def theirs(x: object) -> object:
        if kind == "sum":
            return x.sum(axes)
        if kind == "prod":
            for a in reversed(axes):
                x = x.prod(a)
            return x
        for a in reversed(axes):
            x = getattr(x, kind)(a).values
        return x

    check(
        lambda x: B.over(kind, x, axes), theirs, data(2, 3, 2), second=kind != "prod" or axes == [1]
    )


@pytest.mark.parametrize("zeros", [1, 2, 3])
def test_product_with_zeros(zeros: int) -> None:
    x = data(2, 4)
    x[0, :zeros] = 0
    check(lambda a: B.over("prod", a, [1]), lambda a: a.prod(1), x)


def test_the_first_extreme_takes_all() -> None:
    x = np.array([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0], [np.nan, 5.0, np.nan]])
    leaf = B.param(x)
    (g,) = gradient(B.over("max", leaf, [1]), B.tensor(np.array([1.0, 2.0, 3.0])), [leaf])
    np.testing.assert_array_equal(B.array(*evaluate([g]), g), [[0, 1, 0], [2, 0, 0], [3, 0, 0]])


def test_mean_and_variance() -> None:
    def ours(x: Node) -> Node:
        n = B.tensor(np.float64(x.shape[1]))
        mean = B.keep(B.op("div", B.over("sum", x, [1]), n), [1])
        centred = B.op("sub", x, mean)
        return B.op("div", B.over("sum", B.op("mul", centred, centred), [1]), n)

    check(ours, lambda x: x.var(1, unbiased=False), data(3, 5))


def test_nested_reductions_in_one_body() -> None:
    """Σ over j of (x[i, j] - Σ over k of x[i, k] / n)², all in one expression."""

    def ours(x: Node) -> Node:
        i = outs(1)[0]
        (r,), inner = fresh(x.depth, [4])
        mean = alu("div", reduce("sum", inner, read(x, i, r)), const(4.0, dt.float64))
        (s,), outer = fresh(mean.depth, [4])
        centred = alu("sub", read(x, i, s), mean)
        return loops((3,), reduce("sum", outer, alu("mul", centred, centred)))

    check(ours, lambda x: ((x - x.mean(1, keepdim=True)) ** 2).sum(1), data(3, 4))


def test_reduction_of_a_reduction() -> None:
    """Σ over j of (Σ over k of x[i, j, k]·w[k])²: the inner one has an outer variable."""

    def ours(x: Node, w: Node) -> Node:
        i = outs(1)[0]
        (j,), outer = fresh(x.depth + 1, [3])
        (k,), inner = fresh(x.depth, [4])
        dot = reduce("sum", inner, alu("mul", read(x, i, j, k), read(w, k)))
        return loops((2,), reduce("sum", outer, alu("mul", dot, dot)))

    check(ours, lambda x, w: ((x @ w) ** 2).sum(1), data(2, 3, 4), data(4))


def test_guarded_reduction_is_not_computed_outside() -> None:
    """A reduction behind a guard reads outside the tensor if it is computed everywhere."""

    def ours(x: Node) -> Node:
        i = outs(1)[0]
        (r,), variables = fresh(x.depth, [3])
        total = reduce("sum", variables, read(x, B.plus(i, -1), r))
        body = where(alu("lt", index(0), i), alu("mul", total, total), const(0.0, dt.float64))
        return loops((4,), body)

    def theirs(x: object) -> object:
        return torch.cat([torch.zeros(1, dtype=torch.float64), x.sum(1) ** 2])

    check(ours, theirs, data(3, 3))


def test_softmax_and_logsumexp() -> None:
    check(B.softmax, lambda x: x.softmax(-1), data(3, 4))
    check(B.logsumexp, lambda x: x.logsumexp(-1), data(3, 4))


def test_cross_entropy() -> None:
    y = np.array([1, 3, 0])

    def ours(x: Node) -> Node:
        picked = B.take(x, B.tensor(y))
        loss = B.over("sum", B.op("sub", B.logsumexp(x), picked), [0])
        return B.op("div", loss, B.tensor(np.float64(3)))

    check(ours, lambda x: F.cross_entropy(x, torch.tensor(y)), data(3, 4))


# ---- contractions --------------------------------------------------------------------------------


def contraction(node: Node) -> bool:
    """Is a tensor a sum of products of two reads, possibly guarded, in order 'dot'?"""
    body = node.src[0]
    if body.op != "reduce" or body.arg[0] != "sum" or body.arg[2] != "dot":
        return False
    term = body.src[0]
    if term.op == "where":
        assert term.src[2].op == "const" and term.src[2].value == 0
        term = term.src[1]
    return term.op == "mul" and all(s.op == "read" for s in term.src)


def test_matmul() -> None:
    found = check(B.matmul, torch.matmul, data(3, 4), data(4, 2))
    assert all(contraction(g) for g in found)
    found = check(B.matmul, torch.matmul, data(2, 3, 4), data(2, 4, 2))
    assert all(contraction(g) for g in found)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("padding", [0, 1])
@pytest.mark.parametrize("dilation", [1, 2])
def test_conv2d(stride: int, padding: int, dilation: int) -> None:
    found = check(
        lambda x, w: B.conv2d(x, w, stride, padding, dilation),
        lambda x, w: F.conv2d(x, w, None, stride, padding, dilation),
        data(2, 2, 5, 6), data(2, 2, 3, 2), second=stride == 2 and padding == 1,
    )  # fmt: skip
    assert all(contraction(g) for g in found)


def test_conv_with_stride_beyond_its_kernel() -> None:
    check(
        lambda x, w: B.conv2d(x, w, 3), lambda x, w: F.conv2d(x, w, None, 3),
        data(1, 1, 8, 7), data(2, 1, 2, 2),
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["max", "avg"])
@pytest.mark.parametrize(("kernel", "stride"), [(2, 2), (3, 2), (2, 1), (2, 3)])
def test_pooling(kind: str, kernel: int, stride: int) -> None:
    peer = F.max_pool2d if kind == "max" else F.avg_pool2d
    found = check(
        lambda x: B.pool2d(kind, x, kernel, stride), lambda x: peer(x, kernel, stride),
        data(2, 2, 7, 6), second=kernel == 2,
    )  # fmt: skip
    if stride >= kernel:
        assert count_reductions(found[0]) == (kind == "max")  # the argmax only, nothing to search


def test_einsum_like_loops() -> None:
    """out[i, l] = Σ over j, k of a[i, j]·b[j, k]·c[k, l], in one body."""

    def ours(a: Node, b: Node, c: Node) -> Node:
        i, m = outs(2)
        (j, k), variables = fresh(0, [3, 2])
        product = alu("mul", alu("mul", read(a, i, j), read(b, j, k)), read(c, k, m))
        return loops((2, 4), reduce("sum", variables, product))

    check(ours, lambda a, b, c: a @ b @ c, data(2, 3), data(3, 2), data(2, 4))


# ---- the graph -----------------------------------------------------------------------------------


def test_several_uses_and_unused_leaves() -> None:
    def ours(x: Node, y: Node) -> Node:
        a = B.op("exp", x)
        return B.op("add", B.op("mul", a, x), B.op("sin", a))

    check(ours, lambda x, y: x.exp() * x + x.exp().sin(), data(4), data(4))


def test_detach_stops() -> None:
    from groundup.ir.node import detach

    check(
        lambda x: B.op("mul", x, detach(B.op("exp", x))),
        lambda x: x * x.exp().detach(),
        data(4), second=False,
    )  # fmt: skip


def test_empty_and_single_axes() -> None:
    check(lambda a, b: B.matmul(a, b), torch.matmul, data(2, 0), data(0, 3), second=False)
    check(lambda a, b: B.matmul(a, b), torch.matmul, data(1, 1), data(1, 1))
    check(lambda a: B.op("exp", a), torch.exp, data(0, 3), second=False)
    check(lambda a: B.over("sum", a, [0]), lambda a: a.sum(0), data(0, 3), second=False)
