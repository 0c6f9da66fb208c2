"""What may go stale in the Python around a captured function: right as the plain call, or refused.

The six mismatches known of other captures come first: an output kept from the last call, a Python
number baked in, a changed closure, aliased inputs, an input that is a view, an input's buffer
changed outside.
"""

from __future__ import annotations

import array
import collections
import contextvars
from typing import Any, ClassVar

import numpy as np

import groundup as gu

from . import helpers as hm
from .scenarios import as_plain, refused, row, values

G = 2.0


class Cfg:
    scale = 2.0
    table: ClassVar = {"a": 1.0}


# ---- the six -------------------------------------------------------------------------------------


@as_plain
def test_1_an_output_kept_from_the_last_call_stays(jit: Any) -> Any:
    g = jit(lambda x: (x * 2, x.sum()))
    kept = [g(row(n, n + 1)) for n in range(5)]
    kept[2][0].add_(100)
    return values(kept)


@as_plain
def test_2_a_python_number_is_not_baked_in(jit: Any) -> Any:
    g = jit(lambda x, a, *, b: x * a + b)
    return values([g(row(1), a, b=b) for a, b in [(2, 1)] * 3 + [(3, 1), (3, 0.5), (2, 1)]])


@as_plain
def test_3_a_changed_closure_is_seen(jit: Any) -> Any:
    factor = 2.0
    g = jit(lambda x: x * factor)
    found = []
    for factor in (2.0, 2.0, 2.0, 3.0, 2.0, 3.0):
        found.append(values(g(row(1))))
    return found


@as_plain
def test_4_aliased_inputs_are_one(jit: Any) -> Any:
    g = jit(lambda a, b: (a - b, a + 10 * b))
    x, y = row(1, 2), row(3, 4)
    pairs = [(x, y), (x, y), (x, y), (x, x), (y, x), (y[:], y), (x, y)]
    return [values(g(*pair)) for pair in pairs]


@refused("given to it twice")
def test_4_aliased_inputs_that_are_written_are_refused(jit: Any) -> Any:
    g = jit(lambda a, b: a.add_(1) * b)
    x, y = row(1, 2), row(3, 4)
    return [values(g(*pair)) for pair in [(x, y), (x, y), (x, y), (x, x[:])]]


@as_plain
def test_4_one_input_given_twice_is_written_once(jit: Any) -> Any:
    g = jit(lambda a, b: a.add_(1) * b)
    x, y = row(1, 2), row(3, 4)
    return [values(g(*pair)) for pair in [(x, y), (x, y), (x, y), (x, x), (y, y), (x, y)]]


@as_plain
def test_5_an_input_may_be_a_view(jit: Any) -> Any:
    g = jit(lambda x: x * 2 + x.sum())
    data = gu.arange(12.0).reshape(3, 4).realize()
    square = data[:, :3]
    views = [square, square, square, square.t(), data[:, 1:], square.flip(0), data[1].expand(3, 4)]
    return [values(g(v)) for v in views]


@as_plain
def test_6_an_input_changed_outside_is_read_anew(jit: Any) -> Any:
    g = jit(lambda x: x * 2)
    array = np.zeros(3, np.float32)
    x, shared = row(0, 0, 0), gu.from_numpy(array, copy=False)
    found = []
    for n in range(5):
        x[1] = float(n)
        x.mul_(2)
        array[2] = n
        found.append(values([g(x), g(shared)]))
    return found


# ---- and more ------------------------------------------------------------------------------------


@as_plain
def test_an_attribute_in_a_slot_is_seen(jit: Any) -> Any:

    class P:
        __slots__ = ("a",)

    p = P()
    p.a = 2.0
    g = jit(lambda x: x * p.a)
    r = [values(g(row(1))) for _ in range(3)]
    p.a = 3.0
    return [*r, values(g(row(1)))]


@as_plain
def test_a_tensor_in_a_slot_is_read_anew(jit: Any) -> Any:

    class P:
        __slots__ = ("a",)

    p = P()
    p.a = row(2)
    g = jit(lambda x: x * p.a)
    r = [values(g(row(1))) for _ in range(3)]
    p.a = row(3)
    return [*r, values(g(row(1)))]


@as_plain
def test_an_item_put_into_a_set_is_seen(jit: Any) -> Any:
    s = {1.0}
    g = jit(lambda x: x * sum(s))
    r = [values(g(row(1))) for _ in range(3)]
    s.add(5.0)
    return [*r, values(g(row(1)))]


@as_plain
def test_another_item_of_a_set_is_seen(jit: Any) -> Any:
    s = {1.0}
    g = jit(lambda x: x * sum(s))
    r = [values(g(row(1))) for _ in range(3)]
    s.clear()
    s.add(5.0)
    return [*r, values(g(row(1)))]


@as_plain
def test_an_item_of_a_deque_is_seen(jit: Any) -> Any:
    s = collections.deque([1.0])
    g = jit(lambda x: x * sum(s))
    r = [values(g(row(1))) for _ in range(3)]
    s.append(5.0)
    return [*r, values(g(row(1)))]


@as_plain
def test_a_byte_of_a_bytearray_is_seen(jit: Any) -> Any:
    s = bytearray([1])
    g = jit(lambda x: x * s[0])
    r = [values(g(row(1))) for _ in range(3)]
    s[0] = 5
    return [*r, values(g(row(1)))]


@as_plain
def test_an_element_of_an_array_is_seen(jit: Any) -> Any:
    s = array.array("d", [1.0])
    g = jit(lambda x: x * s[0])
    r = [values(g(row(1))) for _ in range(3)]
    s[0] = 5
    return [*r, values(g(row(1)))]


@as_plain
def test_an_element_of_a_numpy_array_is_seen(jit: Any) -> Any:
    s = np.ones(2)
    g = jit(lambda x: x * float(s[0]))
    r = [values(g(row(1))) for _ in range(3)]
    s[0] = 5
    return [*r, values(g(row(1)))]


@as_plain
def test_an_attribute_of_a_class_named_by_the_function_is_seen(jit: Any) -> Any:
    Cfg.scale = 2.0
    g = jit(lambda x: x * Cfg.scale)
    r = [values(g(row(1))) for _ in range(3)]
    Cfg.scale = 3.0
    r.append(values(g(row(1))))
    Cfg.scale = 2.0
    return r


@as_plain
def test_an_item_of_a_class_s_dictionary_is_seen(jit: Any) -> Any:
    Cfg.table["a"] = 2.0
    g = jit(lambda x: x * Cfg.table["a"])
    r = [values(g(row(1))) for _ in range(3)]
    Cfg.table["a"] = 3.0
    r.append(values(g(row(1))))
    return r


@as_plain
def test_an_item_of_an_instance_s_class_is_seen(jit: Any) -> Any:
    Cfg.table["a"] = 2.0
    c = Cfg()
    g = jit(lambda x: x * c.table["a"])
    r = [values(g(row(1))) for _ in range(3)]
    Cfg.table["a"] = 3.0
    r.append(values(g(row(1))))
    return r


@as_plain
def test_what_properties_and_static_and_class_methods_name_is_seen(jit: Any) -> Any:
    global G
    G = 2.0

    class A:
        @property
        def s(self):
            return G

        @staticmethod
        def st(x):
            return x * G

        @classmethod
        def cm(cls, x):
            return x * G

    a = A()
    g = jit(lambda x: (x * a.s, a.st(x), a.cm(x), A.st(x)))
    r = [values(g(row(1))) for _ in range(3)]
    G = 3.0
    r.append(values(g(row(1))))
    G = 2.0
    return r


@as_plain
def test_an_attribute_of_a_metaclass_is_seen(jit: Any) -> Any:

    class M(type):
        k = 2.0

    class A(metaclass=M):
        pass

    g = jit(lambda x: x * A.k)
    r = [values(g(row(1))) for _ in range(3)]
    M.k = 3.0
    r.append(values(g(row(1))))
    return r


@as_plain
def test_a_global_of_another_module_s_function_is_seen(jit: Any) -> Any:
    hm.FACTOR = 2.0
    g = jit(lambda x: hm.scale(x))
    r = [values(g(row(1))) for _ in range(3)]
    hm.FACTOR = 3.0
    r.append(values(g(row(1))))
    return r


@as_plain
def test_another_function_in_a_module_is_seen(jit: Any) -> Any:
    old = hm.scale
    g = jit(lambda x: hm.scale(x))
    r = [values(g(row(1))) for _ in range(3)]
    hm.scale = lambda x: x * 9
    r.append(values(g(row(1))))
    hm.scale = old
    return r


@as_plain
def test_an_attribute_of_a_module_s_class_is_seen(jit: Any) -> Any:
    hm.Config.scale = 2.0
    g = jit(lambda x: x * hm.Config.scale)
    r = [values(g(row(1))) for _ in range(3)]
    hm.Config.scale = 3.0
    r.append(values(g(row(1))))
    return r


@as_plain
def test_an_attribute_of_a_module_s_object_is_seen(jit: Any) -> Any:
    hm.obj.k = 2.0
    g = jit(lambda x: x * hm.obj.k)
    r = [values(g(row(1))) for _ in range(3)]
    hm.obj.k = 3.0
    r.append(values(g(row(1))))
    return r


@as_plain
def test_a_module_imported_inside_is_seen(jit: Any) -> Any:
    hm.FACTOR = 2.0

    def f(x):
        import tests.jit.helpers as h
        from tests.jit.helpers import FACTOR as ff

        return (x * h.FACTOR, x * ff)

    g = jit(f)
    r = [values(g(row(1))) for _ in range(3)]
    hm.FACTOR = 3.0
    r.append(values(g(row(1))))
    return r


@as_plain
def test_an_attribute_of_a_function_is_seen(jit: Any) -> Any:

    def h(x):
        return x * h.k

    h.k = 2.0
    g = jit(h)
    r = [values(g(row(1))) for _ in range(3)]
    h.k = 3.0
    r.append(values(g(row(1))))
    return r


@as_plain
def test_other_defaults_are_seen(jit: Any) -> Any:

    def h(x, k=2.0):
        return x * k

    def f(x):
        return h(x)

    g = jit(f)
    r = [values(g(row(1))) for _ in range(3)]
    h.__defaults__ = (3.0,)
    r.append(values(g(row(1))))
    return r


@as_plain
def test_other_code_is_seen(jit: Any) -> Any:

    def h(x):
        return x * 2

    def k(x):
        return x * 3

    def f(x):
        return h(x)

    g = jit(f)
    r = [values(g(row(1))) for _ in range(3)]
    h.__code__ = k.__code__
    r.append(values(g(row(1))))
    return r


@as_plain
def test_a_context_variable_is_seen(jit: Any) -> Any:
    c = contextvars.ContextVar("c", default=2.0)
    g = jit(lambda x: x * c.get())
    r = [values(g(row(1))) for _ in range(3)]
    c.set(3.0)
    return [*r, values(g(row(1)))]
