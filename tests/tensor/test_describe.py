"""A tensor in one line: numbers against Python's statistics, for each type."""

import math
import statistics

import pytest

import groundup as gu

from ..faults.support import run

DTYPES = ["bool", "uint8", "int8", "uint16", "int16", "int32", "uint64", "int64", "float16",
          "bfloat16", "float32", "float64"]  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(1,), (3, 4), (5, 1, 7)])
def test_numbers(dtype: str, shape: tuple[int, ...]) -> None:
    x = (gu.arange(math.prod(shape)).reshape(shape) % 5 * 3).to(getattr(gu, dtype))
    values = [float(v) for v in x.reshape(-1).tolist()]
    d = x.describe()
    assert (d.shape, d.dtype, d.n, d.nan, d.inf) == (shape, dtype, len(values), 0, 0)
    assert d.least == min(values) and d.greatest == max(values) and d.zeros == values.count(0)
    assert d.mean == pytest.approx(statistics.fmean(values), rel=1e-14)
    if len(values) == 1:
        assert d.std is None
    else:
        assert d.std == pytest.approx(statistics.stdev(values), rel=1e-12)


def test_only_finite_elements_are_measured() -> None:
    d = gu.tensor([1.0, math.nan, 3.0, math.inf, -math.inf, 0.0, -0.0] * 3).describe()
    assert (d.nan, d.inf, d.zeros, d.least, d.greatest, d.mean) == (3, 6, 6, 0.0, 3.0, 1.0)
    assert str(d) == "float32 (21,) n=21 x∈[0, 3] mean=1 std=1.279 6 zero 3 NaN! 6 Inf!"
    d = gu.tensor([math.nan, math.inf]).describe()
    assert (d.least, d.greatest, d.mean, d.std) == (None,) * 4
    assert str(d) == "float32 (2,) n=2 1 NaN! 1 Inf! [nan, inf]"


def test_integers_are_exact() -> None:
    d = gu.tensor([2**63 - 1, -(2**63), 0]).describe()
    assert (d.least, d.greatest) == (-(2**63), 2**63 - 1)


def test_texts() -> None:
    assert str(gu.tensor(3.5).describe()) == "float32 () 3.5"
    assert str(gu.zeros(0, 3).describe()) == "float32 (0, 3) n=0 []"
    assert str((gu.arange(12) > 4).describe()) == "bool (12,) n=12 7 true"
    assert str(gu.zeros(20).describe()) == "float32 (20,) n=20 x∈[0, 0] mean=0 std=0 all zero"
    w = gu.ones(2, requires_grad=True)
    assert str(w.describe()).endswith("std=0 requires_grad [1, 1]")
    (w * 2).sum().backward()
    assert "requires_grad, has grad" in str(w.describe())
    assert "has grad_fn" in str((w * 2).describe())
    assert repr(gu.lovely(w)) == str(w.describe())
    z = gu.tensor([3 + 4j, 0, 1j]).describe()
    assert str(z) == "complex64 (3,) n=3 |x|∈[0, 5] mean=2 std=2.646 1 zero [3+4j, 0+0j, 0+1j]"
    assert "<pre>" in z._repr_html_()


def test_views_are_seen_as_they_are() -> None:
    x = gu.arange(24.0).reshape(4, 6)
    assert x[1:3, ::2].describe()[:6] == gu.tensor(x[1:3, ::2].tolist()).describe()[:6]
    assert x.T.describe().shape == (6, 4) and gu.ones(1).expand(1000).describe().n == 1000
    y = gu.zeros(20)
    y[3] = 5
    assert y.describe().greatest == 5


def test_far_from_zero_the_spread_is_right() -> None:
    x = gu.tensor([1e8 + i for i in range(100)], dtype=gu.float64)
    assert x.describe().std == pytest.approx(statistics.stdev(range(100)), rel=1e-9)


def test_one_plan_serves_all_sizes() -> None:
    """Another size compiles nothing."""
    run("""
import groundup as gu
from groundup.runtime import code
(gu.randn(30) * 2).realize().describe()
gu.randn(3000000).realize().describe()
before = code.stats()["compiled"] + code.stats()["loaded_from_cache"]
xs = [gu.arange(n).float() for n in (40, 5000, 1000000)]
made = code.stats()["compiled"] + code.stats()["loaded_from_cache"]
gu.realize(xs)
now = code.stats()["compiled"] + code.stats()["loaded_from_cache"]
for x in xs:
    assert x.describe().greatest == x.numel() - 1
assert code.stats()["compiled"] + code.stats()["loaded_from_cache"] == now
""")
