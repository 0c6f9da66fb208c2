"""Reductions, normalisations and updates as few kernels: what is joined, that joining, threads and
the form of a kernel change no value, and that sums down columns and long sums are right."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import groundup as gu
from groundup import runtime
from groundup.autodiff import gradient
from groundup.emit import python
from groundup.emit.kernel import ROW, Nest
from groundup.ir.bounds import sum_bound
from groundup.ir.extent import Extent
from groundup.ir.node import Node, alu, buffer, const, loops, outs, read
from groundup.schedule import Plan, Signature, execute, nests

from .. import build as B

RNG = np.random.default_rng(0)


def _random(*shape: int, dtype: str = "float32") -> np.ndarray:
    return RNG.uniform(-1, 1, shape).astype(dtype)


def _plan(roots: list[Node], into: list[int | None] | None = None) -> Plan:
    return Plan(Signature(roots), roots, into or [None] * len(roots))


def _arrays(roots: list[Node]) -> list[np.ndarray]:
    return [B.array(m, r) for m, r in zip(execute(roots), roots, strict=True)]


def _as_reference(roots: list[Node], rtol: float = 2e-5, atol: float = 2e-5) -> None:
    wanted = [B.array(m, r) for m, r in zip(python.evaluate(roots), roots, strict=True)]
    for got, want in zip(_arrays(roots), wanted, strict=True):
        np.testing.assert_allclose(got, want, rtol, atol)


def _mean(x: Node, axes: list[int]) -> Node:
    total = B.over("sum", x, axes, "lanes")
    n = float(np.prod([x.shape[a] for a in axes]))
    at = read(total, *outs(total.ndim))
    return loops(total.shape, alu("div", at, const(n, x.dtype)))


def _normal(x: Node, axes: list[int]) -> Node:
    """(x - mean) / √(var + ε), the mean and the variance over some axes."""
    centred = B.op("sub", x, B.keep(_mean(x, axes), axes))
    var = _mean(B.op("mul", centred, centred), axes)
    at = read(var, *outs(var.ndim))
    rstd = alu("div", const(1.0, x.dtype), alu("sqrt", alu("add", at, const(1e-5, x.dtype))))
    return B.op("mul", centred, B.keep(loops(var.shape, rstd), axes))


def _layer_norm(rows: int, columns: int) -> list[Node]:
    """Forward, and the derivatives by the input, the weight and the bias."""
    x, w, b = B.param(_random(rows, columns)), B.param(_random(columns)), B.param(_random(columns))
    y = B.op("add", B.op("mul", _normal(x, [1]), w), b)
    grads = gradient(y, B.tensor(_random(rows, columns)), [x, w, b])
    return [y, *(g for g in grads if g is not None)]


def _batch_norm(*shape: int) -> list[Node]:
    x = B.param(_random(*shape))
    y = _normal(x, [0, *range(2, len(shape))])
    (dx,) = gradient(y, B.tensor(_random(*shape)), [x])
    assert dx is not None
    return [y, dx]


def _softmax_of(x: Node) -> Node:
    """e / Σ e with e = exp(x - max), tensor by tensor."""
    e = B.op("exp", B.op("sub", x, B.keep(B.over("max", x, [1]), [1])))
    return B.op("div", e, B.keep(B.over("sum", e, [1], "lanes"), [1]))


def _softmax(rows: int, columns: int) -> list[Node]:
    x = B.param(_random(rows, columns) * 5)
    y = _softmax_of(x)
    (dx,) = gradient(y, B.tensor(_random(rows, columns)), [x])
    assert dx is not None
    return [y, dx]


def _columns(rows: int, columns: int) -> list[Node]:
    """Sums down columns, in one kernel."""
    x, y = B.tensor(_random(rows, columns)), B.tensor(_random(rows, columns))
    return [B.over("sum", x, [0]), B.over("sum", B.op("mul", x, y), [0]), B.over("max", x, [0])]


def _channels(n: int, c: int, h: int, w: int) -> list[Node]:
    """Sums over all but the channels, which lie together."""
    x = B.tensor(_random(n, h, w, c))
    return [B.over("sum", x, [0, 1, 2], "lanes"), B.over("sum", x, [1, 2], "lanes")]


FORMS: dict[str, Callable[[], list[Node]]] = {
    "layer norm": lambda: _layer_norm(70, 83),
    "layer norm of many rows": lambda: _layer_norm(900, 48),
    "batch norm": lambda: _batch_norm(5, 7, 9, 11),
    "batch norm of vectors": lambda: _batch_norm(130, 20),
    "softmax": lambda: _softmax(67, 130),
    "columns": lambda: _columns(150, 300),
    "channels": lambda: _channels(6, 70, 9, 10),
    "all": lambda: [B.over("sum", B.tensor(_random(40, 50, 60)), range(3), "lanes")],
    "a long row": lambda: [B.over("sum", B.tensor(_random(2, 70001)), [1], "lanes")],
    "a long column": lambda: [B.over("sum", B.tensor(_random(70001, 3)), [0])],
}


@pytest.mark.parametrize("form", FORMS)
def test_values_are_those_of_the_plain_loops(form: str) -> None:
    _as_reference(FORMS[form](), 1e-4, 1e-4)


@pytest.mark.parametrize("form", FORMS)
def test_threads_change_no_bit(form: str) -> None:
    roots = FORMS[form]()
    before = runtime.get_num_threads()
    try:
        runtime.set_num_threads(1)
        one = [m.read_bytes() for m in execute(roots)]
        for threads in (2, 3, 8):
            runtime.set_num_threads(threads)
            assert [m.read_bytes() for m in execute(roots)] == one
    finally:
        runtime.set_num_threads(before)


@pytest.mark.parametrize("form", FORMS)
def test_joining_changes_no_bit(form: str) -> None:
    """Each result on its own is another plan, with other kernels."""
    roots = FORMS[form]()
    together = [m.read_bytes() for m in execute(roots)]
    assert [execute([r])[0].read_bytes() for r in roots] == together


@pytest.mark.parametrize("form", FORMS)
def test_asking_for_what_lies_ahead_changes_no_bit(
    form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Large tensors are asked for early where a reduction does more than to add elements up: also
    beyond their end, where nothing may be read."""
    roots = FORMS[form]()
    wanted = [m.read_bytes() for m in execute(roots)]
    monkeypatch.setattr(nests, "AHEAD", 1)
    plan = _plan(roots)
    signature = Signature(roots)
    got = plan.run(signature.buffers, signature.n, [None] * len(roots))
    assert [m.read_bytes() for m in got] == wanted
    asked = any(isinstance(s.kernel, Nest) and s.kernel.ahead for s in plan.steps)
    assert asked == (form not in ("channels", "all", "a long row", "a long column"))


@pytest.mark.parametrize("rows", [1, 7, 8, 9, 64, 131])
@pytest.mark.parametrize("columns", [1, 2, 15, 16, 17, 33, 63, 64, 65, 1030])
def test_sums_down_columns(rows: int, columns: int) -> None:
    for dtype in ("float32", "float64"):
        a = _random(rows, columns, dtype=dtype)
        got = _arrays([B.over("sum", B.tensor(a), [0]), B.over("max", B.tensor(a), [0])])
        exact, size = a.astype("float64").sum(0), np.abs(a).sum(0, dtype="float64")
        assert (np.abs(got[0] - exact) <= sum_bound(rows, np.finfo(dtype).eps, size)).all()
        assert np.array_equal(got[1], a.max(0))


def test_nan_and_inf_stay_in_their_column() -> None:
    a = _random(50, 100)
    a[7, 3], a[9, 64], a[11, 99], a[12, 99] = np.nan, np.inf, np.inf, -np.inf
    total, greatest = _arrays([B.over("sum", B.tensor(a), [0]), B.over("max", B.tensor(a), [0])])
    with np.errstate(invalid="ignore"):
        assert np.array_equal(np.isnan(total), np.isnan(a.sum(0)))
    assert np.array_equal(greatest, a.max(0), equal_nan=True) and total[64] == np.inf


@pytest.mark.parametrize("columns", [16, 100, ROW - 1, ROW, ROW + 1])
def test_what_a_row_keeps_is_what_it_would_compute_again(columns: int) -> None:
    x = RNG.normal(size=(3, columns))
    y = _softmax_of(B.tensor(x))
    kernels = [s.kernel for s in _plan([y]).steps]
    assert any(isinstance(k, Nest) and k.kept for k in kernels) == (columns <= ROW)
    (got,) = _arrays([y])
    e = np.exp(x - x.max(1, keepdims=True))
    np.testing.assert_allclose(got, e / e.sum(1, keepdims=True), 1e-12)


# ---- what is joined ------------------------------------------------------------------------------


def test_layer_norm_with_its_gradients_reads_twice() -> None:
    """By rows: the result and the input's gradient; by columns: those of the weight and bias."""
    plan = _plan(_layer_norm(512, 256))
    assert [len(s.writes) for s in plan.steps if s.parallel][-1] == 2
    assert len(plan.steps) == 2


def test_an_update_of_several_states_is_one_kernel_in_place() -> None:
    """m ← m + g; v ← v + g²; p ← p − m / (1 + v), each over what it replaces."""
    arrays = [_random(5000) for _ in range(4)]
    p, m, v, g = (B.tensor(a) for a in arrays)
    one = loops((5000,), const(1.0, m.dtype))
    m2 = B.op("add", m, g)
    v2 = B.op("add", v, B.op("mul", g, g))
    p2 = B.op("sub", p, B.op("div", m2, B.op("add", one, v2)))
    roots = [m2, v2, p2]
    memory = [m.value, v.value, p.value]
    wanted = _arrays(roots)
    signature = Signature(roots)
    plan = Plan(signature, roots, [signature.buffers.index(b) for b in memory])
    assert len(plan.steps) == 1 and len(plan.donated) == 3
    after = plan.run(signature.buffers, None, memory)
    assert [a is b for a, b in zip(after, memory, strict=True)] == [True] * 3
    for got, want, root in zip(after, wanted, roots, strict=True):
        assert np.array_equal(B.array(got, root), want)


def test_what_reads_another_row_is_not_joined() -> None:
    """y[i] = x[i] · s[n − 1 − i] with s the sums of rows: the sums are there before."""
    n = 300
    a = _random(n, 40)
    x = B.tensor(a)
    s = B.over("sum", x, [1], "lanes")
    i, j = outs(2)
    back = alu("sub", const(n - 1, i.dtype), i)
    y = loops((n, 40), alu("mul", read(x, i, j), read(s, back)))
    got_s, got_y = _arrays([s, y])
    assert np.array_equal(got_y, a * got_s[::-1, None])


def test_a_runtime_size_joins_too() -> None:
    n = Extent.named("n", 37)
    data = _random(37, 50)
    memory = B.tensor(data).value
    x = buffer(memory, (n, 50), B.gu_dtype(data.dtype))
    roots = [_normal(x, [1]), B.over("sum", x, [1], "lanes"), B.over("sum", x, [0])]
    got = _arrays(roots)
    plain = buffer(memory, (37, 50), x.dtype)
    want = _arrays([_normal(plain, [1]), B.over("sum", plain, [1], "lanes"),
                    B.over("sum", plain, [0])])  # fmt: skip
    for a, b in zip(got, want, strict=True):
        assert np.array_equal(a, b)


def test_the_derivatives_of_a_batch_norm_are_two_sums() -> None:
    """What the mean and the bias have for a derivative is one sum; what comes through the mean in
    the variance is none, for the deviations from it add up to 0."""
    shape = (32, 40, 12, 12)
    x, w, b = (gu.randn(*s).realize().requires_grad_() for s in (shape, (40,), (40,)))
    y = gu.nn.functional.batch_norm(x, None, None, w, b, True)
    grads = gu.derivatives(y, [x, w, b], gu.randn(*shape).realize())
    plan = _plan([y.node, *(g.node for g in grads if g is not None)])
    sums = [sum(g.shape == (32, 40) for g in s.groups) for s in plan.steps]
    assert [n for n in sums if n] == [1, 1, 2]  # mean, variance; these two, in one walk


def test_a_kernel_whose_tensors_all_became_constants_in_their_users() -> None:
    """2.5 of a pending constant decides the other choices, so that nobody reads them any more."""
    x, y = gu.tensor([1.0, 2.0]), gu.tensor([2.0, 0.5])
    w = gu.stack([gu.full((), 2.5), gu.zeros(())], -1).expand(2, 2)
    (z,) = (gu.complex(x, y) ** gu.view_as_complex(w.contiguous()),)
    np.testing.assert_allclose(z.numpy(), (x.numpy() + 1j * y.numpy()) ** 2.5, rtol=1e-6)
