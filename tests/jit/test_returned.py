"""What a captured function gives back: nested values, objects, views and aliases."""

from __future__ import annotations

import collections
import dataclasses
import gc
from typing import Any

import numpy as np

import groundup as gu

from .scenarios import as_plain, refused, row, values


@as_plain
def test_an_ordered_dictionary_is_returned_as_one(jit: Any) -> Any:
    g = jit(lambda x: collections.OrderedDict(a=x, b=x * 2))
    r = []
    for v in (1, 2, 3, 4):
        d = g(row(v))
        d.move_to_end("a")
        r.append(list(d))
    return r


@as_plain
def test_named_tuples_go_in_and_out(jit: Any) -> Any:
    P = collections.namedtuple("P", "a b")
    g = jit(lambda p: P(p.a * 2, p))
    return [repr(values(g(P(row(v), v)).b.a)) for v in (1, 1, 1, 2)]


@as_plain
def test_a_dataclass_of_tensors_may_be_returned(jit: Any) -> Any:

    @dataclasses.dataclass
    class C:
        k: object

    g = jit(lambda x: C(x * 2))
    return [values(g(row(v)).k) for v in (1, 2, 3, 4)]


@refused("holds a tensor made inside")
def test_an_object_made_inside_that_holds_tensors_is_refused(jit: Any) -> Any:

    class C:
        pass

    def f(x):
        c = C()
        c.k = x * 2
        return c

    g = jit(f)
    return [values(g(row(v)).k) for v in (1, 2, 3, 4)]


@as_plain
def test_everything_else_is_returned_as_it_is(jit: Any) -> Any:
    s = {"a": 1}
    g = jit(
        lambda x: (
            x.dtype,
            x.shape,
            None,
            3,
            "s",
            s,
            [1, 2],
            {"k": x * 2},
            (x, [x * 2, (x * 3,)]),
            type(x),
            gu.float32,
            ...,
            0,
        )
    )
    r = []
    for i in range(4):
        y = g(row(i))
        y[6].append(5)
        r.append(repr(values(list(y[:9]))))
        r.append(y[5] is s)
    return r


@as_plain
def test_a_set_is_returned_anew(jit: Any) -> Any:
    g = jit(lambda x: (x, {1, 2}))
    r = []
    for i in range(4):
        y = g(row(i))
        y[1].add(i + 10)
        r.append(sorted(y[1]))
    return r


@refused("gives a generator")
def test_a_generator_function_is_refused(jit: Any) -> Any:

    def f(x):
        yield (x * 2)

    g = jit(f)
    return [values(list(g(row(v)))) for v in (1, 2, 3)]


@refused("gives a map")
def test_a_lazy_map_is_refused(jit: Any) -> Any:
    g = jit(lambda x: map(gu.exp, [x]))
    return [values(list(g(row(v)))) for v in (1, 2, 3)]


@refused("holds a tensor made inside")
def test_a_closure_over_a_result_is_refused(jit: Any) -> Any:
    g = jit(lambda x: (lambda y: lambda: y)(x * 2))
    return [values(g(row(v))()) for v in (1, 2, 3)]


@as_plain
def test_one_tensor_returned_twice_is_one(jit: Any) -> Any:
    g = jit(lambda x: (lambda y: (y, y))(x * 2))
    r = []
    for v in (1, 2, 3, 4):
        a, b = g(row(v))
        a.add_(1)
        r.append((values(a), values(b), a is b))
    return r


@as_plain
def test_a_view_of_an_argument_shares_its_memory(jit: Any) -> Any:
    g = jit(lambda x: x[1:])
    r = []
    for v in (1, 2, 3, 4):
        x = row(v, v, v)
        y = g(x)
        y.add_(1)
        r.append((values(x), values(y)))
    return r


@as_plain
def test_views_of_views_share_what_they_share_outside(jit: Any) -> Any:
    g = jit(lambda x: (x[1:], x.t(), x.reshape(-1), x.unsqueeze(0)))
    r = []
    for v in (1, 2, 3, 4):
        x = gu.arange(12.0).reshape(3, 4) * v
        x = x.realize()
        for z in (x.t(), x, x[1:], x.t()[1:], x[:, 1:3], x.flip(0)):
            for k, y in enumerate(g(z)):
                y.add_(k + 1)
            r.append((values(x),))
    return r


@as_plain
def test_a_detached_argument_shares_its_memory(jit: Any) -> Any:
    g = jit(lambda x: x.detach())
    r = []
    for v in (1, 2, 3, 4):
        x = row(v, v, v)
        y = g(x)
        y.add_(1)
        r.append((values(x), values(y)))
    return r


@as_plain
def test_views_of_one_result_share_their_memory(jit: Any) -> Any:

    def f(x):
        y = x * 2
        return (y.t(), y, y[0], y[:, 1])

    g = jit(f)
    r = []
    for v in (1, 2, 3, 4):
        a, b, c, d = g(gu.ones(2, 3) * v)
        b.add_(1)
        d.mul_(2)
        r.append(values([a, b, c, d]))
    return r


@as_plain
def test_a_view_of_what_is_reached_shares_its_memory(jit: Any) -> Any:
    w = row(1, 2, 3)
    g = jit(lambda: w[1:])
    r = []
    for v in (1, 2, 3, 4):
        y = g()
        y.add_(1)
        r.append((values(w), values(y)))
    return r


@as_plain
def test_a_kept_output_is_nobody_else_s(jit: Any) -> Any:
    g = jit(lambda x: x * 2)
    keep = []
    for v in (1, 2, 3, 4):
        y = g(row(v))
        y.add_(v)
        keep.append(y)
    return values(keep)


@as_plain
def test_writes_into_arguments_happen(jit: Any) -> Any:

    def f(a, b):
        a[0] = b[1]
        b.mul_(2)
        return a + b

    g = jit(f)
    r = []
    a = row(1, 2)
    b = row(3, 4)
    for _ in range(4):
        r.append(values([g(a, b), a, b]))
    return r


@as_plain
def test_writes_through_views_happen(jit: Any) -> Any:
    w = gu.zeros(2, 3)
    v = w[1]

    def f(x):
        v.add_(x)
        return (w.sum(), v * 1)

    g = jit(f)
    return [values([*g(row(1, 2, 3)), w, v]) for _ in range(4)]


@as_plain
def test_what_is_written_and_returned_is_the_argument(jit: Any) -> Any:

    def f(x):
        x.add_(1)
        return x

    g = jit(f)
    r = []
    x = row(1)
    for _ in range(4):
        y = g(x)
        r.append((y is x, values(y)))
    return r


@as_plain
def test_inputs_may_be_collected(jit: Any) -> Any:
    g = jit(lambda x: x + 1)
    r = []
    for i in range(6):
        x = gu.full((1000,), float(i)).realize()
        y = g(x)
        del x
        gc.collect(0)
        z = gu.full((1000,), -5.0).realize()
        r.append(y[0].item())
        del z
    return r


@as_plain
def test_memory_that_numpy_changes_is_read_anew(jit: Any) -> Any:
    a = np.ones(3, np.float32)
    x = gu.from_numpy(a, copy=False)
    g = jit(lambda x: x * 2)
    h = jit(lambda: x * 2)
    r = []
    for i in range(5):
        a[1] = i
        r.append(values([g(x), h()]))
    return r


@as_plain
def test_memory_of_numpy_is_written(jit: Any) -> Any:
    a = np.ones(3, np.float32)
    x = gu.from_numpy(a, copy=False)
    g = jit(lambda x: x.add_(1))
    r = []
    for i in range(5):
        a[1] = i
        g(x)
        r.append(a.tolist())
    return r


@as_plain
def test_numpy_sees_what_is_written(jit: Any) -> Any:
    x = row(1, 2, 3).realize()
    a = x.numpy(copy=False)
    g = jit(lambda x: x.mul_(2))
    r = []
    for i in range(4):
        g(x)
        r.append((a.tolist(), values(x)))
    return r


@as_plain
def test_results_that_numpy_shares_stay(jit: Any) -> Any:
    g = jit(lambda x: x * 2)
    k = []
    for v in (1, 2, 3, 4):
        k.append(g(row(v)).numpy(copy=False))
    return [a.tolist() for a in k]
