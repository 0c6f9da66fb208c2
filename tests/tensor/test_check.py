"""gu.autograd: its names, and gradcheck and gradgradcheck, which find what is wrong."""

from typing import Any

import pytest

import groundup as gu

from .transformed import CASES


def leaf(*shape: int, seed: int = 0) -> gu.Tensor:
    generator = gu.Generator(seed)
    return gu.randn(*shape, dtype=gu.float64, generator=generator).requires_grad_()


def test_the_names_are_those_of_other_rooms() -> None:
    assert gu.autograd.grad is gu.derivatives
    assert gu.autograd.no_grad is gu.no_grad


@pytest.mark.parametrize("name", [
    "pointwise", "prod", "softmax", "writes",
    *(pytest.param(n, marks=pytest.mark.slow) for n in CASES
      if n not in ("pointwise", "prod", "softmax", "writes", "size 0", "matrix_exp")),
])  # fmt: skip
def test_of_both_orders_and_modes(name: str, engine: str) -> None:
    if engine == "python":
        pytest.skip("many small runs of plain loops")
    case = CASES[name]
    x = gu.from_numpy(case.array()).requires_grad_()
    assert gu.autograd.gradcheck(case.ours, x, check_forward_ad=True, fast_mode=x.numel() > 6)
    assert gu.autograd.gradgradcheck(case.ours, x, check_fwd_over_rev=True, fast_mode=True)


def test_arguments_results_and_constants(engine: str) -> None:
    if engine == "python":
        pytest.skip("many small runs of plain loops")
    x, y = leaf(2), leaf(2, 3, seed=1)
    c = gu.ones(3, dtype=gu.float64)

    def f(d: dict[str, gu.Tensor], c: gu.Tensor, n: int) -> Any:
        return {"a": d["x"] * n, "i": d["y"].argmax()}, (d["x"] @ d["y"] * c).sum()

    assert gu.autograd.gradcheck(f, ({"x": x, "y": y}, c, 3), check_forward_ad=True)
    assert gu.autograd.gradgradcheck(f, ({"x": x, "y": y}, c, 3))
    assert gu.autograd.gradcheck(lambda a, b: a * b, (x, x))
    assert gu.autograd.gradcheck(lambda x: x * 2, leaf(0))
    assert gu.autograd.gradcheck(lambda x: gu.ones(2, dtype=gu.float64) * 3, x)
    assert x.grad is None


def test_what_is_wrong_is_found() -> None:
    @gu.custom_derivative
    def wrong(x: gu.Tensor) -> gu.Tensor:
        return x * x

    wrong.derivative(lambda g, y, x: g * x)
    x = leaf(2)
    where = r"output 0\[0\] / ∂ input 0\[0\]: reverse"
    with pytest.raises(gu.autograd.GradcheckError, match=where):
        gu.autograd.gradcheck(wrong, x)
    assert not gu.autograd.gradcheck(wrong, x, raise_exception=False)
    assert not gu.autograd.gradcheck(wrong, x, raise_exception=False, fast_mode=True)

    @gu.custom_derivative
    def second(x: gu.Tensor) -> gu.Tensor:
        return x * x * x

    second.derivative(lambda g, y, x: 3 * g * (x * x).detach())
    assert gu.autograd.gradcheck(second, x)
    assert not gu.autograd.gradgradcheck(second, x, raise_exception=False)
    assert not gu.autograd.gradcheck(lambda x: x * x.detach(), x, raise_exception=False)


def test_errors() -> None:
    with pytest.raises(gu.GradError, match="no input requires grad"):
        gu.autograd.gradcheck(lambda x: x, gu.ones(2, dtype=gu.float64))
    with pytest.raises(gu.GradError, match="finite differences of float32"):
        gu.autograd.gradcheck(lambda x: x, gu.ones(2, requires_grad=True))
    with pytest.raises(gu.GradError, match="no floating tensor"):
        gu.autograd.gradcheck(lambda x: x.argmax(), leaf(2))
    with pytest.raises(gu.GradError, match="view_as_real"):
        gu.autograd.gradcheck(lambda z: z, gu.tensor([1 + 2j], requires_grad=True))
