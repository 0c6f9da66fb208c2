"""What the axes notation refuses; its errors show the expression, the culprit underlined."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import groundup as gu

i, j, k, t, f = gu.axes("i j k t f")


def test_numbers_of_numpy_and_what_is_no_number() -> None:
    x = gu.arange(6.0).reshape(2, 3)
    assert x[i, np.int64(2)].order(i).tolist() == [2, 5]
    assert (np.float32(2) * x[i, 0]).order(i).tolist() == [0, 6]
    assert (x[i, 0] + np.float64(0.5)).order(i).tolist() == [0.5, 3.5]
    with pytest.raises(TypeError, match="an indexed expression or a number"):
        np.ones(2) * x[i, 0]
    with pytest.raises(AttributeError, match=r"a tensor has it: write \(…\).order\(i\).item"):
        x[i, 0].item()  # type: ignore[attr-defined]
    with pytest.raises(AttributeError, match="has no .itm"):
        x[i, 0].itm()  # type: ignore[attr-defined]
    for size in (2.5, True, "3"):
        with pytest.raises(TypeError, match="a size is an integer"):
            gu.axis("p", size)  # type: ignore[arg-type]
    assert x[gu.axis("p", np.int64(2)), 0].sum is not None
    with pytest.raises(TypeError, match="names in one string"):
        gu.axes(["i", "j"])  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="outside takes a tensor"):
        gu.outside([1.0])  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="value beyond the edge is a number"):
        gu.outside(x, gu.tensor(1.0))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="int64 holds no 0.5"):
        gu.outside(x.long(), 0.5)


def _message(error: type[Exception], call: Callable[[], Any]) -> list[str]:
    with pytest.raises(error) as caught:
        call()
    return str(caught.value).splitlines()


def test_errors_underline_the_culprit() -> None:
    a, b = gu.zeros(2, 3), gu.zeros(4, 5)

    def shown(error: type[Exception], call: Callable[[], Any]) -> tuple[str, str, str]:
        lines = _message(error, call)
        line = next(n for n, text in enumerate(lines) if "^" in text)
        marked = "".join(
            c for c, m in zip(lines[line - 1], lines[line].ljust(200), strict=False) if m == "^"
        )
        assert "test_mistakes.py" in lines[-1]
        return lines[0], lines[line - 1].strip(), marked

    what, text, marked = shown(IndexError, lambda: (a[i, k] * b[k, j]).sum(k).order(i, j))
    assert "axis k has size 3 in one tensor and 4 in another" in what
    assert (text, marked) == ("(a[i, k] * b[k, j]).sum(k).order(i, j)", "kk")
    what, text, marked = shown(ValueError, lambda: (a[i, k] * b[t, j]).sum(k).order(i, j))
    assert "also depends on t" in what
    assert (text, marked) == ("(a[i, k] * b[t, j]).sum(k).order(i, j)", "t")
    what, text, marked = shown(ValueError, lambda: a[i, k].sum(k).exp().sum(k))
    assert "axis k is reduced twice" in what
    assert (text, marked) == ("a[i, k].sum(k).exp().sum(k)", "kk")
    what, text, marked = shown(ValueError, lambda: a[i, k].sum(j))
    assert (text, marked) == ("a[i, k].sum(j)", "j")
    what, text, marked = shown(IndexError, lambda: a[i * k, 0])
    assert "a product of axes is not affine" in what
    assert (text, marked) == ("a[i * k, 0]", "i * k")
    assert "not affine" in shown(IndexError, lambda: a[i // k, 0])[0]
    assert "not affine" in shown(IndexError, lambda: a[i**2, 0])[0]
    assert "fraction" in shown(IndexError, lambda: a[i / 2, 0])[0]
    what, text, marked = shown(IndexError, lambda: a[i, 2.5 * k])
    assert marked == "2.5 * k" or marked == "k * 2.5"
    what, text, marked = shown(IndexError, lambda: a[b[i, 0], k].order(i, k))
    assert "an index holds integers, not float32" in what
    assert (text, marked) == ("a[b[i, 0], k].order(i, k)", "b[i, 0]")
    p = gu.axis("p", 4)
    what, text, marked = shown(IndexError, lambda: (2 * a[i, p - 1] + 1).order(i, p))
    assert "goes from -1 to 2 (for p < 4), but the axis has size 3" in what
    assert (text, marked) == ("(2 * a[i, p - 1] + 1).order(i, p)", "p - 1")
    what, text, marked = shown(IndexError, lambda: a[7, k].order(k))
    assert (text, marked) == ("a[7, k].order(k)", "7")
    what, text, marked = shown(ValueError, lambda: gu.where(t > 1, a[i, k], 0.0).order(i, k, t))
    assert "size of axis t cannot be read" in what
    assert marked == "tt"
    what, text, marked = shown(IndexError, lambda: gu.zeros(0, 2)[i, k].max(i).order(k))
    assert "nothing to choose from" in what
    what, text, marked = shown(TypeError, lambda: gu.where(a[i, k], 1.0, 0.0).order(i, k))
    assert (text, marked) == ("gu.where(a[i, k], 1.0, 0.0).order(i, k)", "a[i, k]")
    assert "exp gives a fraction" in shown(IndexError, lambda: a[i.exp(), 0])[0]
    assert "1.0 is no integer" in shown(IndexError, lambda: a[i, 1.0])[0]
    assert "// by 0 has no value" in shown(IndexError, lambda: a[i // 0, 0])[0]
    assert "% by -3 is 0 or less" in shown(IndexError, lambda: a[i % -3, 0])[0]
    assert "nobody can tell" in shown(IndexError, lambda: a[0, (p >> 2) & 1].order(p))[0]
    what, text, marked = shown(IndexError, lambda: (a[0, p] * b[p, 0]).sum(p).order())
    assert "goes from 0 to 3 (for p < 4), but the axis has size 3; p was given size 4" in what
    assert (text, marked) == ("(a[0, p] * b[p, 0]).sum(p).order()", "pp")  # both uses
    labels = gu.tensor([0, 2])
    what, text, marked = shown(IndexError, lambda: a[labels[t], k].order(t, k))
    assert "index 2 at position (1,) leaves axis 0 of size 2" in what
    assert (text, marked) == ("a[labels[t], k].order(t, k)", "labels[t]")
    for bad in (lambda: a[i, :], lambda: a[i, None, k], lambda: a[..., i]):
        assert "one index for each of its 2 axes" in _message(IndexError, bad)[0]


def test_errors_of_axes_that_share_a_name() -> None:
    a, twin = gu.zeros(2, 3), gu.axis("i")
    for call in (lambda: (a[i, j] * a[twin, j]).sum(j).order(i), lambda: a[i, j].sum(twin)):
        lines = _message(ValueError, call)
        assert any("there are 2 axes named i: axes compare by identity" in n for n in lines)
    lines = _message(ValueError, lambda: a[i, j].order(i))
    assert not any("axes named" in n for n in lines)


def test_errors_in_jit_in_modules_over_lines_and_without_source() -> None:
    def product(a: gu.Tensor, b: gu.Tensor) -> gu.Tensor:
        return (
            a[i, k]
            * b[k + 1, j]
        ).sum(k).order(i, j)  # fmt: skip

    class Layer(gu.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = gu.nn.Parameter(gu.zeros(3, 2))

        def forward(self, a: gu.Tensor) -> gu.Tensor:
            return product(a, self.w)

    names: dict[str, Any] = {"i": i, "j": j, "k": k}
    code = "def typed(a, b): return (a[i, k] * b[k + 1, j]).sum(k).order(i, j)"
    exec(compile(code, "<stdin>", "exec"), names)
    a, b = gu.zeros(2, 3), gu.zeros(3, 2)
    captured = gu.jit(product)
    for call, name in (
        (lambda: product(a, b), "b"), (lambda: captured(a, b), "b"), (lambda: Layer()(a), "b"),
        (lambda: names["typed"](a, b), "b"),
    ):  # fmt: skip
        lines = _message(IndexError, call)
        at = next(n for n, line in enumerate(lines) if "^" in line)
        assert lines[at - 1] == f"  (a[i, k] * {name}[k + 1, j]).sum(k).order(i, j)"
        assert lines[at].strip() == "^" * len("k + 1")
        assert lines[at].index("^") == lines[at - 1].index("k + 1")
        assert "<stdin>:1" in lines[-1] or "test_mistakes.py" in lines[-1]


def test_what_an_expression_is_called_and_how_it_is_written() -> None:
    x, labels = gu.zeros(3, 4), gu.tensor([0, 1, 1])
    c = gu.axis("c", 2)
    shown = repr((-(x[i, k] + 1) ** 2 * 3 - (x[i, k] - (2 - k))).max(k) * (i > 2))
    assert "(-(x[i, k] + 1) ** 2 * 3 - (x[i, k] - (2 - k))).max(k) * (2 < i)" in shown
    both = repr((i > 0) & (x[i, k] <= 2) | ~(i < 1))
    assert "(0 < i) & (x[i, k] <= 2) | ~(i < 1)" in both
    assert "indexed by i" in shown
    assert "x[i, k].at(c, labels[i]).sum(i)" in repr(x[i, k].at(c, labels[i]).sum(i))
    assert "gu.scan(k, lambda h: h + x[i, k])" in repr(gu.scan(k, lambda h: h + x[i, k]))
    assert "gu.outside(x, 0.0)[i - 1, k].to(gu.int64)" in repr(gu.outside(x)[i - 1, k].long())
    assert "gu.maximum(x[i, k].cumsum(k), 1)" in repr(gu.maximum(x[i, k].cumsum(k), 1))

    class Holder:
        def __init__(self) -> None:
            self.weight = gu.zeros(2)

        def shown(self) -> str:
            return repr(self.weight[i])

    assert "self.weight[i]" in Holder().shown()
    deep = x[i, k]
    for _ in range(3000):
        deep = deep + 1
    assert len(repr(deep)) < 2000




# ---- what is made of other operations is shown as it was written --------------------------------


def under(error: Exception) -> list[str]:
    """The underlined parts of an error's expression."""
    line, marks = str(error).split("\n")[1:3]
    return [line[m.start() : m.end()] for m in re.finditer(r"\^+", marks)]


def test_functions_of_several_operations_are_shown_by_their_names() -> None:
    a, b = gu.zeros(5, 7), gu.zeros(6, 6)
    with pytest.raises(IndexError) as error:
        (a[i, k] * b[k, j]).logsumexp(k).order(i, j)
    assert "\n  (a[i, k] * b[k, j]).logsumexp(k).order(i, j)\n" in str(error.value)
    assert under(error.value) == ["k", "k"]
    with pytest.raises(ValueError, match="reduced twice") as twice:
        a[i, k].logsumexp(k).sum(k)
    assert under(twice.value) == ["k", "k"]
    p = gu.axis("p", 12)
    with pytest.raises(IndexError) as clamped:
        b[0, (p - 2).clamp(0, 9)].order(p)
    assert under(clamped.value) == ["(p - 2).clamp(0, 9)"]


def test_the_text_of_functions_of_several_operations() -> None:
    x = gu.ones(2, 3, requires_grad=True)
    assert "<x[i, k].logsumexp(k) + 1, " in repr(x[i, k].logsumexp(k) + 1)
    assert "<x[i, k].clamp(0, 2), " in repr(x[i, k].clamp(0, 2))
    assert "<x[i, k].clamp_min(0), " in repr(x[i, k].clamp_min(0))
    assert "<x[i, k].clamp_max(2), " in repr(gu.clamp(x[i, k], max=2))
    assert "x[i, k] - x[i, k].max(k), " in repr(x[i, k] - x[i, k].max(k).detach())
    t = gu.axis("t", 3)
    scan = gu.scan(t, lambda h: h + x[0, t], start=2.0, reverse=True)
    assert "gu.scan(t, lambda h: h + x[0, t], start=2.0, reverse=True)" in repr(scan)


def test_axes_of_running_values_positions_and_scans_are_underlined() -> None:
    c = gu.axis("c", 3)
    x = gu.arange(6.0)
    for expression, culprits in (
        (x[i].at(c, i // 2).sum(i), ["c"]),
        (x[i].cumsum(i), ["i"]),
        (gu.scan(t, lambda h: h + x[t]), ["t", "t"]),
    ):
        with pytest.raises(ValueError, match="also depends on") as error:
            expression.order()
        assert under(error.value) == culprits
    with pytest.raises(ValueError, match="does not depend on axis j") as absent:
        x[i].cumsum(j)
    assert under(absent.value) == ["j"]


def test_a_reduction_over_the_axis_of_positions_says_what_goes_there() -> None:
    c = gu.axis("c", 3)
    x = gu.arange(6.0)
    for kind in ("sum", "max", "logsumexp", "mean"):
        with pytest.raises(ValueError, match=rf"^{kind}\(c\): at\(c, …\) says where") as error:
            getattr(x[i].at(c, i // 2), kind)(c)
        assert under(error.value) == ["c", "c"]


def test_methods_refuse_in_their_own_name() -> None:
    x = gu.arange(6.0)
    with pytest.raises(TypeError, match="to takes a dtype, such as gu.float32, not 'cpu'"):
        x[i].to("cpu")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="logsumexp needs the axes"):
        x[i].logsumexp()


def test_a_value_beyond_the_edge_fits_the_type() -> None:
    p = gu.axis("p", 4)
    x = gu.tensor([1, 2, 3], dtype=gu.int8)
    assert gu.outside(x, -128)[p].order(p).tolist() == [1, 2, 3, -128]
    for value, dtype in ((1000, gu.int8), (-1, gu.uint8), (2**70, gu.int64), (2, gu.bool)):
        with pytest.raises(TypeError, match="holds no"):
            gu.outside(x.to(dtype), value)
