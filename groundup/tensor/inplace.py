"""The in-place forms of Tensor: x.op_(…) writes x.op(…) into x, in x's shape and type.

Must not hold any meaning of its own: what is written is what the method without _ gives.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import write
from .core import Core
from .errors import at_line


def _form(name: str) -> Callable[..., Any]:
    """The in-place form of a method."""

    def method(self: Any, /, *args: Any, **options: Any) -> Any:
        write.overwrite(f"{name}_", self, getattr(self, name)(*args, **options))
        return self

    method.__name__ = method.__qualname__ = f"{name}_"
    method.__doc__ = f"x ← x.{name}(…), in x's shape and type; see `{name}`"
    return method


def _refused(name: str, instead: str) -> Callable[..., Any]:
    """A form that would give the tensor another shape: its views depend on the one it has."""

    def method(self: Any, /, *args: Any, **options: Any) -> Any:
        raise NotImplementedError(
            f"{name}: a tensor keeps its shape for life, for views of it depend on it; write "
            f"{instead}" + at_line()
        )

    method.__name__ = method.__qualname__ = name
    method.__doc__ = f"Refused, for a tensor keeps its shape: write {instead}"
    return method


class InPlace(Core):
    """x.op_(…) for every operation whose result has x's shape."""

    # of one number
    acos_, acosh_, asin_, asinh_ = _form("acos"), _form("acosh"), _form("asin"), _form("asinh")
    atan_, atanh_, ceil_, cos_ = _form("atan"), _form("atanh"), _form("ceil"), _form("cos")
    cosh_, deg2rad_, digamma_ = _form("cosh"), _form("deg2rad"), _form("digamma")
    erf_ = _form("erf")
    erfc_, erfinv_, exp2_, expm1_ = _form("erfc"), _form("erfinv"), _form("exp2"), _form("expm1")
    frac_, i0_, lgamma_, log_ = _form("frac"), _form("i0"), _form("lgamma"), _form("log")
    log10_, log1p_, log2_, logit_ = _form("log10"), _form("log1p"), _form("log2"), _form("logit")
    nan_to_num_, rad2deg_ = _form("nan_to_num"), _form("rad2deg")
    reciprocal_, rsqrt_, sgn_, sign_ = (
        _form("reciprocal"), _form("rsqrt"), _form("sgn"), _form("sign"),
    )  # fmt: skip
    sin_, sinc_, sinh_, square_ = _form("sin"), _form("sinc"), _form("sinh"), _form("square")
    tan_, trunc_, mvlgamma_ = _form("tan"), _form("trunc"), _form("mvlgamma")
    polygamma_, bitwise_not_ = _form("polygamma"), _form("bitwise_not")
    logical_not_, conj_physical_ = _form("logical_not"), _form("conj_physical")
    arccos_, arccosh_, arcsin_, arcsinh_ = acos_, acosh_, asin_, asinh_
    arctan_, arctanh_, fix_ = atan_, atanh_, trunc_
    absolute_, negative_, clip_ = _form("absolute"), _form("negative"), _form("clip")

    # of two numbers
    atan2_, arctan2_, copysign_ = _form("atan2"), _form("arctan2"), _form("copysign")
    float_power_, floor_divide_ = _form("float_power"), _form("floor_divide")
    fmod_, remainder_, gcd_, lcm_ = _form("fmod"), _form("remainder"), _form("gcd"), _form("lcm")
    heaviside_, hypot_, ldexp_ = _form("heaviside"), _form("hypot"), _form("ldexp")
    xlogy_, nextafter_ = _form("xlogy"), _form("nextafter")
    igamma_, igammac_ = _form("igamma"), _form("igammac")
    bitwise_and_, bitwise_or_ = _form("bitwise_and"), _form("bitwise_or")
    bitwise_xor_, bitwise_left_shift_ = _form("bitwise_xor"), _form("bitwise_left_shift")
    bitwise_right_shift_ = _form("bitwise_right_shift")
    logical_and_, logical_or_ = _form("logical_and"), _form("logical_or")
    logical_xor_ = _form("logical_xor")
    eq_, ne_, lt_, le_ = _form("eq"), _form("ne"), _form("lt"), _form("le")
    gt_, ge_ = _form("gt"), _form("ge")
    not_equal_, less_, less_equal_ = ne_, lt_, le_
    greater_, greater_equal_ = gt_, ge_
    divide_, true_divide_ = _form("divide"), _form("true_divide")
    multiply_, subtract_ = _form("multiply"), _form("subtract")

    # of whole tensors
    addmm_, addmv_, addr_ = _form("addmm"), _form("addmv"), _form("addr")
    addbmm_, baddbmm_ = _form("addbmm"), _form("baddbmm")
    cumsum_, cumprod_, renorm_ = _form("cumsum"), _form("cumprod"), _form("renorm")
    tril_, triu_ = _form("tril"), _form("triu")
    index_copy_, index_fill_ = _form("index_copy"), _form("index_fill")
    index_reduce_, scatter_reduce_ = _form("index_reduce"), _form("scatter_reduce")
    masked_scatter_, put_ = _form("masked_scatter"), _form("put")

    def fill_diagonal_(self, fill_value: Any, wrap: bool = False) -> Any:
        """x[i, i, …] ← fill_value, for each i below the least size (wrap: on after one row is left
        out, in a matrix with more rows than columns)

        >>> gu.zeros(2, 2).fill_diagonal_(1.0).tolist()
        [[1.0, 0.0], [0.0, 1.0]]
        """
        from .arrange import with_diagonal

        write.overwrite("fill_diagonal_", self, with_diagonal(self, fill_value, wrap))
        return self

    # what would give the tensor another shape
    squeeze_ = _refused("squeeze_", "x = x.squeeze(…)")
    unsqueeze_ = _refused("unsqueeze_", "x = x.unsqueeze(dim)")
    transpose_ = _refused("transpose_", "x = x.transpose(a, b)")
    swapaxes_ = _refused("swapaxes_", "x = x.swapaxes(a, b)")
    swapdims_ = _refused("swapdims_", "x = x.swapdims(a, b)")
    t_ = _refused("t_", "x = x.t()")
    as_strided_ = _refused("as_strided_", "x = x.as_strided(size, stride)")
    resize_ = _refused("resize_", "x = x.reshape(…), or x = gu.empty(…)")
    resize_as_ = _refused("resize_as_", "x = x.reshape(y.shape), or x = gu.empty_like(y)")
