"""PyTorch's second names and in-place forms: each does what its other name, or its form without _,
does, and what torch does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import groundup as gu
from groundup.tensor.inplace import InPlace

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.peers

A = np.array([[0.3, -0.7, 0.5], [0.9, 0.25, -0.1]])
B = np.array([[0.5, 0.6, -0.2], [0.75, -0.5, 0.4]])
N = np.array([[6, -4, 3], [8, 5, -9]])
J = np.array([[2, 3, 1], [2, 3, 4]])


# No form of another method: it is one by itself.
OWN = ("fill_diagonal_", "resize_", "resize_as_", "set_")


def words(text: str) -> list[str]:
    """The names in a text."""
    return text.split()


ONE = words("""
acos_ asin_ asinh_ atan_ ceil_ cos_ cosh_ deg2rad_ digamma_ erf_ erfc_ erfinv_ exp2_ expm1_
frac_ i0_ lgamma_ nan_to_num_ rad2deg_ reciprocal_ sgn_ sign_ sin_ sinc_ sinh_ square_ tan_ trunc_
arcsin_ arccos_ arctan_ arcsinh_ fix_ absolute_ negative_ logical_not_ tril_ triu_ conj_physical_
absolute negative fix arccos arcsin arcsinh arctan""")
POSITIVE = words("log_ log10_ log1p_ log2_ rsqrt_ logit_ acosh_ arccosh_ atanh_ arctanh_")
TWO = words("""
atan2_ arctan2_ copysign_ float_power_ floor_divide_ fmod_ remainder_ heaviside_ hypot_
xlogy_ nextafter_ igamma_ igammac_ eq_ ne_ lt_ le_ gt_ ge_ not_equal_ less_ less_equal_ greater_
greater_equal_ igamma igammac
divide_ true_divide_ multiply_ subtract_ logical_and_ logical_or_ logical_xor_ arctan2 divide
multiply subtract greater greater_equal less less_equal not_equal nextafter true_divide""")
WHOLE = words("""
gcd_ lcm_ bitwise_and_ bitwise_or_ bitwise_xor_ bitwise_left_shift_ bitwise_right_shift_
remainder_ floor_divide_ fmod_""")


def same(ours: Any, theirs: Any) -> None:
    assert str(theirs.dtype) == f"torch.{ours.dtype.name.rstrip('_')}"
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-11, atol=1e-13)


def compared(name: str, a: Any, *args: Any, **options: Any) -> None:
    def given(lib: Any) -> list[Any]:
        return [lib.from_numpy(v.copy()) if isinstance(v, np.ndarray) else v for v in args]

    x, y = gu.from_numpy(a.copy()), torch.from_numpy(a.copy())
    ours = getattr(x, name)(*given(gu), **options)
    theirs = getattr(y, name)(*given(torch), **options)
    same(ours, theirs)
    if name.endswith("_"):
        assert ours is x
        same(x, y)


@pytest.mark.parametrize("name", ONE)
def test_of_one_number(name: str) -> None:
    compared(name, A)


@pytest.mark.parametrize("name", POSITIVE)
def test_of_one_number_of_a_domain(name: str) -> None:
    compared(name, np.abs(A) + (1 if "cosh" in name else 0))


@pytest.mark.parametrize("name", TWO)
def test_of_two_numbers(name: str) -> None:
    compared(name, np.abs(A) if "power" in name or "xlogy" in name else A, np.abs(B))


@pytest.mark.parametrize("name", WHOLE)
def test_of_whole_numbers(name: str) -> None:
    compared(name, N, J)


def test_of_whole_tensors() -> None:
    m = np.arange(9.0).reshape(3, 3)
    compared("addmm_", A, A @ m, m, beta=0.5, alpha=2)
    compared("addmv_", A[:, 0].copy(), A, B[0].copy())
    compared("addr_", A, A[:, 0].copy(), B[0].copy())
    compared("addbmm_", A, np.stack([A, B]), np.stack([m, m]))
    compared("baddbmm_", np.stack([A, B]), np.stack([A, B]), np.stack([m, m]))
    compared("cumsum_", A, 1)
    compared("cumprod_", A, 0)
    compared("renorm_", A, 2, 0, 0.5)
    compared("mvlgamma_", A + 3, 2)
    compared("polygamma_", np.abs(A), 2)
    compared("polygamma", np.abs(A), 2)
    compared("clip_", A, -0.2, 0.4)
    compared("clip", A, -0.2, 0.4)
    compared("ldexp_", A, J)
    compared("bitwise_not_", N)
    compared("index_copy_", A, 1, np.array([2, 0]), B[:, :2].copy())
    compared("index_fill_", A, 1, np.array([2, 0]), 5.0)
    compared("index_reduce_", A, 1, np.array([2, 0]), B[:, :2].copy(), "prod")
    compared("scatter_reduce_", A, 1, J % 3, B, "amax")
    compared("masked_scatter_", A, A > 0, B)
    compared("put_", A, np.array([5, 0]), np.array([7.0, 8.0]))
    compared("fill_diagonal_", A, 4.0)
    compared("fill_diagonal_", np.zeros((7, 2)), 4.0, wrap=True)
    compared("fill_diagonal_", np.zeros((3, 3, 3)), 4.0)
    compared("narrow_copy", A, 1, 1, 2)
    compared("moveaxis", np.stack([A, B]), 0, 2)
    compared("swapdims", A, 0, 1)
    compared("adjoint", A)
    compared("ger", A[0].copy(), B[0].copy())


def test_a_result_of_another_kind_is_not_written() -> None:
    x = gu.arange(3)
    with pytest.raises(TypeError, match="cannot be written in place"):
        x.sin_()
    with pytest.raises(gu.ShapeError):
        gu.ones(1).add_(gu.ones(2))
    with pytest.raises(gu.GradError, match="into a leaf"):
        gu.ones(2, requires_grad=True).log_()
    y = gu.ones(2, requires_grad=True)
    z = (y * 2).log_()
    z.sum().backward()
    assert y.grad is not None and y.grad.tolist() == [1.0, 1.0]


def test_every_form_has_the_method_that_it_writes() -> None:
    for name in vars(InPlace):
        if name.endswith("_") and not name.startswith("_"):
            assert hasattr(gu.Tensor, name[:-1]) or name in OWN, name


ARGUMENTS: list[tuple[str, dict[str, Any]]] = [
    ("tile", {"dims": (2, 1)}), ("dist", {"other": B, "p": 3}), ("cross", {"other": B, "dim": 1}),
    ("addcmul", {"tensor1": B, "tensor2": B, "value": 2}),
    ("addcdiv", {"tensor1": B, "tensor2": B, "value": 2}),
    ("take_along_dim", {"indices": J % 2, "dim": 0}), ("permute", {"dims": (1, 0)}),
    ("flip", {"dims": (0, 1)}), ("swapaxes", {"axis0": 0, "axis1": 1}),
    ("roll", {"shifts": (1, -2), "dims": (0, 1)}), ("rot90", {"k": 3, "dims": (0, 1)}),
    ("movedim", {"source": 0, "destination": 1}), ("repeat_interleave", {"repeats": 2, "dim": 1}),
    ("clamp", {"min": -0.1, "max": 0.4}), ("renorm", {"p": 2, "dim": 0, "maxnorm": 1}),
    ("quantile", {"q": 0.3, "dim": 1, "interpolation": "nearest"}),
    ("scatter_reduce", {"dim": 0, "index": J % 2, "src": B, "reduce": "amax",
                        "include_self": False}),
    ("index_add", {"dim": 1, "index": np.array([2, 0]), "source": B[:, :2].copy(), "alpha": 2}),
    ("gather", {"dim": 0, "index": J % 2}), ("diagonal", {"offset": 1, "dim1": 0, "dim2": 1}),
    ("narrow", {"dim": 1, "start": 1, "length": 2}), ("lerp", {"end": B, "weight": 0.3}),
    ("diff", {"n": 2, "dim": 1}), ("trapezoid", {"dx": 0.5, "dim": 1}),
    ("bucketize", {"boundaries": np.array([-1.0, 0.0, 1.0]), "right": True}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "options"), ARGUMENTS, ids=[n for n, _ in ARGUMENTS])
def test_arguments_have_the_names_of_torch(name: str, options: dict[str, Any]) -> None:
    def run(lib: Any, method: bool) -> Any:
        x = lib.from_numpy(A.copy())
        given = {k: lib.from_numpy(v.copy()) if isinstance(v, np.ndarray) else v
                 for k, v in options.items()}  # fmt: skip
        if method:
            return getattr(x, name)(**given)
        return getattr(lib, name)(x, **given)

    for method in (True, False):
        if method and not hasattr(torch.Tensor, name):
            continue
        same(run(gu, method), run(torch, method))


def test_arguments_of_several_results() -> None:
    x, y = gu.from_numpy(A.copy()), torch.from_numpy(A.copy())
    for ours, theirs in zip(x.split(split_size=2, dim=1), y.split(split_size=2, dim=1),
                            strict=True):  # fmt: skip
        same(ours, theirs)
    assert len(gu.split(x, split_size_or_sections=[1, 2], dim=1)) == 2
    assert x.expand(size=(4, 2, 3)).shape == (4, 2, 3)
    same(gu.cdist(x, x2=x), torch.cdist(y, x2=y))
    assert x.allclose(other=x) and x.equal(other=x) and x.isclose(other=x).all().item()


def test_questions() -> None:
    x = gu.tensor([2.0])
    assert gu.is_tensor(x) and gu.is_floating_point(x) and x.is_nonzero() and x.ndimension() == 1
    assert gu.is_signed(x) and not gu.is_signed(x.bool()) and x.is_same_size(gu.ones(1))
    assert gu.can_cast(gu.int64, gu.float32) and not gu.can_cast(gu.float32, gu.bool)
    types = words("uint8 int8 int16 int32 int64 float16 float32 float64 bool")
    for a in types:
        for b in types:
            theirs = torch.can_cast(getattr(torch, a), getattr(torch, b))
            assert gu.can_cast(getattr(gu, a), getattr(gu, b)) == theirs, (a, b)
    assert gu.broadcast_shapes((2, 1), 3) == (2, 3)
    with pytest.raises(gu.ShapeError):
        gu.broadcast_shapes((2,), (3,))
    with pytest.raises(RuntimeError):
        gu.ones(2).is_nonzero()


def test_others_of_a_kind() -> None:
    x = gu.ones(2, dtype=gu.float64)
    assert x.new_tensor([1, 2]).dtype is gu.float64 and x.new_tensor(x) is not x
    assert x.new_empty((2, 3), dtype=gu.int8).dtype is gu.int8
    assert gu.asarray(x) is x and gu.asarray(x, copy=True) is not x
    with pytest.raises(ValueError, match="copy=False"):
        gu.asarray([1], copy=False)


FLOATS = {
    "float32": (np.uint32, np.float32), "float64": (np.uint64, np.float64),
}  # fmt: skip


@pytest.mark.parametrize("kind", FLOATS)
def test_digits_of_any_float(kind: str) -> None:
    """frexp and nextafter, bit for bit: of random bits, powers of two, subnormals, the ends."""
    bits, real = FLOATS[kind]
    info, rng = np.finfo(real), np.random.default_rng(0)
    some = rng.integers(0, np.iinfo(bits).max, 2000, dtype=bits).view(real)
    powers = real(2.0) ** np.arange(info.minexp - info.nmant, info.maxexp).astype(real)
    edges = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, info.max, -info.max, info.tiny,
                      info.smallest_subnormal], real)  # fmt: skip
    x = np.concatenate([some, powers, -powers, edges])
    y = rng.permutation(x)
    with np.errstate(all="ignore"):
        mantissa, exponent = np.frexp(x)
        after = np.nextafter(x, y)
    m, e = gu.frexp(gu.from_numpy(x))
    np.testing.assert_array_equal(m.numpy(), mantissa)
    finite = np.isfinite(x)
    np.testing.assert_array_equal(e.numpy()[finite], exponent[finite])
    ours = gu.nextafter(gu.from_numpy(x), gu.from_numpy(y)).numpy()
    np.testing.assert_array_equal(ours, after)
    known = ~np.isnan(after)
    np.testing.assert_array_equal(np.signbit(ours)[known], np.signbit(after)[known])


def test_the_derivative_of_a_mantissa() -> None:
    x = gu.tensor([8.0, -3.0], requires_grad=True)
    gu.frexp(x).mantissa.sum().backward()
    assert x.grad is not None and x.grad.tolist() == [1 / 16, 1 / 4]


@pytest.mark.slow
def test_counts_do_not_stop_at_the_digits_of_float32(engine: str) -> None:
    if engine == "python":
        return
    x = gu.zeros((1 << 24) + 3)
    assert gu.histc(x, 2, min=-1, max=1).tolist() == [0.0, float((1 << 24) + 4)]
    assert gu.histogram(x, 2, range=(-1, 1)).hist.tolist() == [0.0, float((1 << 24) + 4)]
