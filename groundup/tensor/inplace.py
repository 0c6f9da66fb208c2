"""The in-place forms of Tensor: x.op_(…) writes x.op(…) into x, in x's shape and type.

Must not hold any meaning of its own: what is written is what the method without _ gives.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

from . import write
from .core import Core
from .errors import at_line
from .misuse import named


def _form(name: str) -> Callable[..., Any]:
    """The in-place form of a method."""

    def method(self: Any, /, *args: Any, **options: Any) -> Any:
        write.overwrite(f"{name}_", self, getattr(self, name)(*args, **options))
        return self

    method.__name__ = method.__qualname__ = f"{name}_"
    method.__doc__ = f"x ← x.{name}(…), in x's shape and type; see `{name}`"
    return method


def _seen(name: str) -> Callable[..., Any]:
    """The form of a view that makes the tensor itself that view."""

    def method(self: Any, /, *args: Any, **options: Any) -> Any:
        from .reform import become

        become(self, f"{name}_", lambda x: getattr(x, name)(*args, **options))
        return self

    method.__name__ = method.__qualname__ = f"{name}_"
    method.__doc__ = f"x is x.{name}(…) from now on, of the same memory; its views stay; `{name}`"
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

    # what gives the tensor another shape
    squeeze_, unsqueeze_ = _seen("squeeze"), _seen("unsqueeze")
    transpose_, t_ = _seen("transpose"), _seen("t")
    swapaxes_, swapdims_ = _seen("swapaxes"), _seen("swapdims")

    def resize_(self, *size: Any) -> Self:
        """x has as many elements or fewer from now on, the first of its memory, in another shape.

        Raises ShapeError for more elements than there are, or those of a memory that is not in
        row-major order.

        >>> gu.arange(6).resize_(2, 2).tolist()
        [[0, 1], [2, 3]]
        """
        from .reform import resize
        from .shape import sizes

        resize(self, sizes(size))
        return self

    @named
    def resize_as_(self, other: Core) -> Self:
        """resize_ to another tensor's shape."""
        from .reform import resize

        resize(self, other._shape)
        return self

    @named
    def set_(self, source: Core) -> Self:
        """x looks at another tensor's memory from now on, in its shape, without a history.

        Raises TypeError for another type, GradError where derivatives flow through x.
        """
        from .reform import look_at

        look_at(self, source)
        return self

    def as_strided_(self, size: Any, stride: Any, storage_offset: Any = None) -> Self:
        """Refused, for as_strided is a copy here: write x = x.as_strided(size, stride)"""
        raise NotImplementedError(
            "as_strided_: a view by strides is a copy here, which x cannot become; write "
            "x = x.as_strided(size, stride)" + at_line()
        )
