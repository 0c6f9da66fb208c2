"""What a captured function does to Python objects: done again at each call, or refused."""

from __future__ import annotations

import collections
import copy
import functools
import itertools
import threading
from typing import Any

import groundup as gu

from .scenarios import as_plain, refused, row, values

CN = 0


@as_plain
def test_a_default_that_grows_is_seen(jit: Any) -> Any:

    def h(x, k=None):
        if k is None:
            k = []
        k.append(1)
        return x * len(k)

    g = jit(h)
    return [values(g(row(1))) for _ in range(5)]


@as_plain
def test_a_counter_in_an_attribute_counts(jit: Any) -> Any:

    class C:
        n = 0

    c = C()
    c.n = 0

    def f(x):
        c.n += 1
        return x * c.n

    g = jit(f)
    return [values(g(row(1))) for _ in range(5)] + [c.n]


@as_plain
def test_a_counter_in_a_class_counts(jit: Any) -> Any:

    class C:
        n = 0

    def f(x):
        C.n += 1
        return x * C.n

    g = jit(f)
    return [values(g(row(1))) for _ in range(5)] + [C.n]


@as_plain
def test_a_counter_in_a_dictionary_counts(jit: Any) -> Any:
    d = {"n": 0}

    def f(x):
        d["n"] += 1
        return x * d["n"]

    g = jit(f)
    return [values(g(row(1))) for _ in range(5)] + [d["n"]]


@as_plain
def test_a_counter_in_a_closure_counts(jit: Any) -> Any:
    n = 0

    def f(x):
        nonlocal n
        n += 1
        return x * n

    g = jit(f)
    return [values(g(row(1))) for _ in range(5)] + [n]


@as_plain
def test_a_counter_in_a_global_counts(jit: Any) -> Any:
    global CN
    CN = 0

    def f(x):
        global CN
        CN += 1
        return x * CN

    g = jit(f)
    return [values(g(row(1))) for _ in range(5)] + [CN]


@as_plain
def test_a_flag_that_falls_stays_down(jit: Any) -> Any:

    class C:
        pass

    c = C()
    c.first = True

    def f(x):
        if c.first:
            c.first = False
            return x * 100
        return x

    g = jit(f)
    return [values(g(row(1))) for _ in range(5)]


@as_plain
def test_an_attribute_that_is_made_once_is_there(jit: Any) -> Any:

    class C:
        pass

    c = C()

    def f(x):
        if not hasattr(c, "k"):
            c.k = x * 0 + 5
        return x * c.k

    g = jit(f)
    return [values(g(row(v))) for v in (1, 2, 3, 4)] + [values(c.k)]


@as_plain
def test_an_attribute_that_is_made_at_each_call_is_new(jit: Any) -> Any:

    class C:
        pass

    c = C()

    def f(x):
        c.last = x * 2
        return x

    g = jit(f)
    r = []
    for v in (1, 2, 3, 4):
        g(row(v))
        r.append(values(c.last))
    return r


@as_plain
def test_a_new_key_of_a_dictionary_is_set_at_each_call(jit: Any) -> Any:
    c = {}

    def f(x):
        c["last"] = x * 2
        return x

    g = jit(f)
    r = []
    for v in (1, 2, 3, 4):
        g(row(v))
        r.append(values(c["last"]))
    return r


@as_plain
def test_an_item_of_a_list_is_set_at_each_call(jit: Any) -> Any:
    c = [0.0]

    def f(x):
        c[0] = x * 2
        return x

    g = jit(f)
    r = []
    for v in (1, 2, 3, 4):
        g(row(v))
        r.append(values(c))
    return r


@as_plain
def test_nested_tensors_put_into_a_dictionary_are_new(jit: Any) -> Any:
    st = {"h": (row(1), [row(2)])}

    def f(x):
        st["h"] = (st["h"][0] + x, [st["h"][1][0] * 2, x])
        return x

    g = jit(f)
    r = []
    for i in range(5):
        g(row(1))
        r.append(values(st))
    return r


@as_plain
def test_an_attribute_is_deleted_at_each_call(jit: Any) -> Any:

    class A:
        pass

    a = A()
    a.h = row(1)
    r = []

    def f(x):
        y = a.h * x
        del a.h
        return y

    g = jit(f)
    for i in range(5):
        a.h = row(i)
        r.append((values(g(row(2))), hasattr(a, "h")))
    return r


@as_plain
def test_a_key_is_popped_at_each_call(jit: Any) -> Any:
    d = {"k": 2.0}
    r = []

    def f(x):
        return x * d.pop("k")

    g = jit(f)
    for i in range(5):
        d["k"] = 2.0
        r.append((values(g(row(2))), dict(d)))
    return r


@as_plain
def test_an_item_is_popped_at_each_call(jit: Any) -> Any:
    d = []
    r = []

    def f(x):
        return x * d.pop()

    g = jit(f)
    for i in range(5):
        d[:] = [3.0, 2.0]
        r.append((values(g(row(2))), list(d)))
    return r


@as_plain
def test_a_list_is_filled_at_each_call(jit: Any) -> Any:
    d = []
    r = []

    def f(x):
        d.clear()
        d.append(x.shape[0])
        return x

    g = jit(f)
    for i in (1, 1, 1, 2, 2, 2, 1, 1, 2):
        g(gu.ones(i))
        r.append(list(d))
    return r


@as_plain
def test_a_set_is_filled_at_each_call(jit: Any) -> Any:
    d = set()
    r = []

    def f(x):
        d.add(1)
        return x * len(d)

    g = jit(f)
    for i in range(6):
        if i == 4:
            d.clear()
        r.append((values(g(row(1))), sorted(d)))
    return r


@as_plain
def test_a_deque_moves_at_each_call(jit: Any) -> Any:
    d = collections.deque(maxlen=2)
    r = []

    def f(x):
        d.append(x.shape[0])
        return x * sum(d)

    g = jit(f)
    for i in (1, 1, 1, 2, 2, 2, 1, 1):
        r.append((values(g(gu.ones(i))), list(d)))
    return r


@as_plain
def test_a_number_is_appended_at_each_call(jit: Any) -> Any:
    c = []

    def f(x):
        c.append(1.0)
        return x * sum(c)

    g = jit(f)
    return [values(g(row(1))) for v in (1, 2, 3, 4)] + c


@refused("puts a tensor into a list")
def test_a_tensor_appended_to_a_list_is_refused(jit: Any) -> Any:
    c = []

    def f(x):
        c.append(x * 2)
        return x

    g = jit(f)
    for v in (1, 2, 3, 4):
        g(row(v))
    return values(c)


@refused("puts a tensor into a deque")
def test_a_tensor_put_into_a_deque_is_refused(jit: Any) -> Any:
    d = collections.deque(maxlen=2)
    r = []

    def f(x):
        d.append(x * 2)
        return x

    g = jit(f)
    for i in (1, 1, 1, 2, 2, 2, 1, 1):
        g(gu.ones(i))
        r.append(values(list(d)))
    return r


@refused("takes items from a list_iterator")
def test_an_iterator_that_is_advanced_is_refused(jit: Any) -> Any:
    it = iter([1.0, 1.0, 1.0, 2.0, 3.0])
    g = jit(lambda x: x * next(it))
    return [values(g(row(1))) for _ in range(5)]


@refused("takes items from a generator")
def test_a_generator_that_is_advanced_is_refused(jit: Any) -> Any:

    def gen():
        yield 1.0
        yield 1.0
        yield 1.0
        yield 2.0
        yield 3.0

    it = gen()
    g = jit(lambda x: x * next(it))
    return [values(g(row(1))) for _ in range(5)]


@refused("takes items from a cycle")
def test_an_iterator_as_an_argument_is_refused(jit: Any) -> Any:
    it = itertools.cycle([1.0, 1.0, 1.0, 2.0])
    g = jit(lambda x, it: x * next(it))
    return [values(g(row(1), it)) for _ in range(5)]


@refused("takes items from a generator")
def test_a_generator_as_an_argument_is_refused(jit: Any) -> Any:
    g = jit(lambda x, it: x * sum(it))
    return [values(g(row(1), (float(i) for i in range(3)))) for _ in range(4)]


@refused("cannot be found")
def test_a_tensor_in_a_hidden_cache_is_refused(jit: Any) -> Any:

    @functools.lru_cache
    def table(n):
        return gu.arange(n).float()

    g = jit(lambda x: x * table(x.shape[0]))
    return [values(g(row(1, 2))) for _ in range(4)]


@as_plain
def test_a_cached_property_is_right(jit: Any) -> Any:

    class A:
        def __init__(s):
            s.w = 2.0

        @functools.cached_property
        def table(self):
            return gu.arange(2).float() * self.w

    a = A()
    g = jit(lambda x: x * a.table)
    return [values(g(row(1, 2))) for _ in range(4)]


@as_plain
def test_functions_made_anew_are_told_apart(jit: Any) -> Any:
    g = jit(lambda x, f: f(x))
    return [values(g(row(1), eval(f"lambda x: x*{k}"))) for k in (2, 3, 4, 2, 2, 3, 5)]


@as_plain
def test_recursion_is_right(jit: Any) -> Any:

    def f(x, n):
        return x if n == 0 else f(x * 2, n - 1)

    g = jit(f)
    return [values(g(row(1), n)) for n in (3, 3, 3, 4, 5)]


@as_plain
def test_a_captured_function_may_call_itself(jit: Any) -> Any:

    def f(x, n):
        return x if n == 0 else g(x * 2, n - 1)

    g = jit(f)
    return [values(g(row(1), n)) for n in (3, 3, 3, 4, 5)]


@as_plain
def test_a_closure_of_an_inner_captured_function_is_seen(jit: Any) -> Any:
    k = 2.0
    inner = jit(lambda x: x * k)
    outer = jit(lambda x: inner(x) + 1)
    r = [values(outer(row(1))) for _ in range(4)]
    k = 3.0
    return [*r, values(outer(row(1))), values(inner(row(1)))]


@as_plain
def test_methods_callable_objects_and_partials_are_right(jit: Any) -> Any:

    class A:
        k = 2.0

        def f(self, x):
            return x * self.k

        def __call__(self, x):
            return x * self.k + 1

    a = A()
    b = A()
    b.k = 5.0
    g = jit(a.f)
    h = jit(b)
    u = jit(A.f)
    p = jit(functools.partial(A.f, b))
    r = []
    for i in range(5):
        if i == 3:
            a.k = 7.0
            b.k = 8.0
        r.append(values([g(row(1)), h(row(1)), u(a, row(1)), u(b, row(1)), p(row(1))]))
    return r


@as_plain
def test_a_deep_copy_has_a_capture_of_its_own(jit: Any) -> Any:

    class A:
        def __init__(s):
            s.k = 2.0
            s.w = row(1.0)
            s.f = jit(lambda x: x * 3)

        def g(self, x):
            return self.f(x) * self.k * self.w

    a = A()
    r = [values(a.g(row(1))) for _ in range(3)]
    b = copy.deepcopy(a)
    b.k = 5.0
    return [*r, values(b.g(row(1))), values(a.g(row(1)))]


@as_plain
def test_threads_may_share_a_captured_function(jit: Any) -> Any:
    g = jit(lambda x: (x * 2).sum())
    out = {}
    errs = []

    def work(k):
        try:
            out[k] = [g(gu.full((5,), float(k + i))).item() for i in range(30)]
        except Exception as e:
            errs.append(repr(e)[:200])

    ts = [threading.Thread(target=work, args=(k,)) for k in range(6)]
    [x.start() for x in ts]
    [x.join() for x in ts]
    return (errs, sorted(out.items()))
