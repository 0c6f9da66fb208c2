"""gu.detect_anomaly: which operation made a NaN or an infinity, of what, on which line. On the
compiler and on plain Python loops."""

import math
from collections.abc import Callable
from typing import Any

import pytest

import groundup as gu
from groundup.nn import functional as F

INF, NAN = math.inf, math.nan


def found(function: Callable[[], Any], **options: bool) -> str:
    with pytest.raises(gu.AnomalyError) as caught, gu.detect_anomaly(**options):
        function()
    assert isinstance(caught.value, FloatingPointError | RuntimeError)
    return str(caught.value)


def test_the_message_says_what_where_why() -> None:
    x = gu.tensor([[1.0, 2.0], [0.0, -4.0]])

    def wrong() -> gu.Tensor:
        return (x.log() + 1).sum()

    lines = found(wrong).splitlines()
    assert lines[0] == (
        "log made -inf: 1 NaN and 1 infinite of 4 elements of a float32 tensor of shape (2, 2), "
        "the first at [1, 0]"
    )
    assert lines[1] == "  there, log(0) = -inf in float32"
    assert lines[2].startswith("  the logarithm of 0 is -inf: keep it away from there")
    assert lines[3] == "  computed from float32 (2, 2) from -4 to 2, all finite"
    assert lines[4].endswith("return (x.log() + 1).sum()") and "test_anomaly.py:" in lines[4]


x = gu.tensor([1.0, 0.0, 4.0])
big = gu.full((2, 2), 1e30)
HALF = {"dtype": gu.float16}
CASES: list[tuple[Callable[[], Any], str, str]] = [
    (lambda: x / 0, "div made inf", "div(1, 0)"),
    (lambda: gu.zeros(2) / gu.zeros(2), "div made nan", "div(0, 0)"),
    (lambda: gu.zeros(2).log(), "log made -inf", "log(0)"),  # one number everywhere
    (lambda: gu.tensor(0.0).log(), "log made -inf", "log(0)"),  # a number
    (lambda: (x - 2).sqrt(), "sqrt made nan", "sqrt(-1)"),
    (lambda: (x * 100).exp(), "exp made inf", "exp(100)"),
    (lambda: (x - 2) ** 0.3, "pow made nan", "pow(-1, 0.3)"),
    (lambda: big @ big, "mul made inf", "mul(1e+30, 1e+30)"),
    (lambda: gu.full((9,), 1e38).sum(), "sum made inf", "sum of 9 terms"),
    (lambda: gu.full((40,), 1e30).cumprod(0), "mul made inf", "the first at [1]"),
    (lambda: gu.full((3,), 300.0, **HALF) * 300, "mul made inf", "take bfloat16"),
    (lambda: gu.tensor([70000.0]).half(), "the conversion made inf", "70000 as float16 is inf"),
    (lambda: x.clone().div_(gu.zeros(3)), "div made inf", "div(1, 0)"),
    (lambda: gu.zeros(0).mean(), "div made nan", "div(0, 0)"),
    (lambda: gu.full((1, 2), -INF).softmax(-1), "sub made nan", "no softmax"),
    (lambda: F.cross_entropy(gu.tensor([[INF, 1.0]]), gu.tensor([0])), "sub made nan", "infinite"),
    (lambda: gu.tensor([0j, 1]) / gu.tensor([0j, 1]), "div made nan", "div(0, 0)"),
    (lambda: (lambda i: (x[i].log()).order(i))(gu.axis("i")), "log made -inf", "log(0)"),
    (lambda: gu.where(x > 5, x, x / 0), "div made inf", "div(1, 0)"),
]  # fmt: skip


@pytest.mark.parametrize("case", range(len(CASES)))
def test_operations_are_named(case: int) -> None:
    function, name, more = CASES[case]
    told = found(function)
    assert name in told.splitlines()[0] and more in told, told
    assert "test_anomaly.py:" in told


PASSING: list[Callable[[], Any]] = [
    lambda: x + gu.tensor([NAN, INF, 1.0]),  # the data had them
    lambda: x.masked_fill(x > 3, -INF).softmax(-1),  # the user wrote it, and some are left
    lambda: gu.tensor([INF, 1.0]).exp(),
    lambda: gu.full((2,), INF) * 2,
    lambda: x.max() + x.argmax() + gu.randn(3, 3).var() + gu.randperm(3).sum(),
    lambda: gu.where(x > 0, 1 / gu.where(x > 0, x, 1.0), 0.0),
    lambda: F.max_pool2d(gu.randn(1, 1, 4, 4), 2, padding=1),
    lambda: F.scaled_dot_product_attention(
        gu.randn(1, 3, 4), gu.randn(1, 3, 4), gu.randn(1, 3, 4), is_causal=True),
    lambda: gu.arange(3) // gu.zeros(3, dtype=gu.int64),
]  # fmt: skip


@pytest.mark.parametrize("case", range(len(PASSING)))
def test_what_was_there_before_or_was_written_passes(case: int) -> None:
    with gu.detect_anomaly():
        PASSING[case]()


def test_gradients_name_the_operation_whose_gradient_it_is() -> None:
    w = gu.tensor([0.0, 4.0], requires_grad=True)
    with pytest.raises(gu.AnomalyError) as caught, gu.detect_anomaly():
        y = (w * 1).sqrt()
        y.sum().backward()
    told = str(caught.value)
    assert told.startswith("in the gradient of sqrt, div made inf: 1 infinite of 2"), told
    assert "the slope of sqrt at 0 is infinite" in told
    assert "y = (w * 1).sqrt()" in told and "y.sum().backward()" in told
    assert caught.value.origin.startswith("in the gradient of sqrt, div made inf at [0]")
    assert w.grad is None  # nothing has been added


def test_gradients_of_what_was_computed_before_the_block() -> None:
    w = gu.tensor([0.0, 4.0], requires_grad=True)
    y = w.sqrt().sum()
    assert found(y.backward).startswith("in the gradient of sqrt, div made inf")
    told = found(lambda: gu.derivatives(y, w))
    assert told.startswith("in the gradient of sqrt, div made inf")
    bad = (w - 1).sqrt().sum()
    assert found(bad.backward).startswith("sqrt made nan")  # forward, though found backward


def test_an_update_that_overflows_writes_nothing() -> None:
    w = gu.nn.Parameter(gu.tensor([1.0, 2.0]))
    w.grad = gu.tensor([1e30, 1.0])
    optimizer = gu.optim.SGD([w], lr=1e10)
    assert found(optimizer.step).startswith("mul made inf: 1 infinite of 2")
    assert w.tolist() == [1.0, 2.0]


def test_captured_functions_run_as_written() -> None:
    f = gu.jit(lambda a: a.log().sum())
    for _ in range(3):
        f(gu.ones(2))
    assert "log made -inf" in found(lambda: f(gu.zeros(2)))
    assert f(gu.ones(2)).item() == 0.0

    @gu.jit
    def inside(a: gu.Tensor) -> gu.Tensor:
        with gu.detect_anomaly():
            return a * 2

    from groundup.tensor.engine import debugging

    if not debugging():  # where plain loops compute, nothing is captured
        with pytest.raises(gu.JitError, match="around the call"):
            inside(gu.ones(2))


def test_decorator_options_and_nesting() -> None:
    @gu.detect_anomaly()
    def log(a: gu.Tensor) -> gu.Tensor:
        assert gu.is_anomaly_enabled()
        return a.log()

    with pytest.raises(gu.AnomalyError):
        log(x)
    assert not gu.is_anomaly_enabled()
    assert log(gu.ones(1)).tolist() == [0.0]
    with gu.detect_anomaly(check_inf=False):
        x.log()
        with pytest.raises(gu.AnomalyError), gu.detect_anomaly():
            x.log()
        with pytest.raises(gu.AnomalyError):
            (x - 2).log()
    with gu.detect_anomaly(check_nan=False):
        (x - 2).sqrt()


def test_host_operations() -> None:
    import numpy as np

    def failing(given: list[Any], kinds: Any) -> list[Any]:
        from groundup.runtime import allocate

        memory = allocate(8)
        memory.write("<2f", 0, 1.0, NAN)
        return [memory]

    from groundup.ir.node import Host
    from groundup.tensor.host import host

    def run(a: gu.Tensor) -> list[gu.Tensor]:
        return host(Host("broken", failing), (a,), [((2,), gu.float32)])

    assert found(lambda: run(x)).startswith("broken made 1 NaN")
    with gu.detect_anomaly():
        run(gu.tensor([NAN]))
        q, _ = gu.linalg.qr(gu.tensor(np.eye(3, dtype="f4")))
    assert q.shape == (3, 3)


def test_a_training_step_passes_and_gives_the_same_bits() -> None:
    def train() -> list[float]:
        gu.manual_seed(0)
        model = gu.nn.Sequential(
            gu.nn.Conv2d(1, 2, 3), gu.nn.BatchNorm2d(2), gu.nn.ReLU(), gu.nn.MaxPool2d(2),
            gu.nn.Flatten(), gu.nn.Dropout(0.1), gu.nn.Linear(2, 3),
        )  # fmt: skip
        optimizer = gu.optim.Adam(model.parameters(), lr=0.1)
        losses = []
        for _ in range(2):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(gu.randn(4, 1, 4, 4)), gu.tensor([0, 1, 2, 0]))
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        return losses

    with gu.detect_anomaly():
        watched = train()
    assert watched == train()
