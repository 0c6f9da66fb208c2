"""Which of ours answers to which entry of torch's list, and what is not there, with the reason.

A row is a callable that takes a sample's arguments in torch's order; most are our function of the
same name. Must not know how results are compared.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import groundup as gu
import groundup.nn.functional as F
from groundup.tensor import polynomials, special, windows

from . import matrices
from .absent import ABSENT
from .harness import Unsupported
from .matrices import words

# ---- under the same name -------------------------------------------------------------------------

# gu.<name>
FUNCTIONS = words("""
randn randn_like rand_like randint randint_like normal stft istft empty_like empty multinomial
bernoulli
abs acos acosh add arange clamp_max clamp_min mul sub addmm addmv addbmm baddbmm dot vdot bmm mv
addr addcmul addcdiv asin asinh atan atan2 atanh allclose broadcast_to broadcast_tensors
block_diag bitwise_not bitwise_left_shift bitwise_right_shift combinations cartesian_prod cdist
ceil chunk clamp positive copysign corrcoef cos cosh cov cross cumsum cumprod cummax cummin
deg2rad diff div equal exp diag diag_embed diagonal diagonal_scatter as_strided_scatter eq fmax
fmin fmod remainder frac floor flip fliplr flipud i0 floor_divide log1p ge gt isin kthvalue le
linspace log log10 log2 ldexp logaddexp logaddexp2 logical_not lt masked_fill masked_scatter
masked_select matmul max median nanmedian var_mean std_mean meshgrid min quantile nanquantile
maximum minimum logical_and logical_or logical_xor bitwise_and bitwise_or bitwise_xor heaviside
lcm gcd isclose softmax aminmax as_strided mm mode mvlgamma ne narrow neg dist outer permute pow
float_power rad2deg roll rot90 round sin sinc sinh sign split rsub select_scatter slice_scatter
signbit tan tanh tensor_split hsplit vsplit dsplit trunc exp2 expm1 nan_to_num reciprocal rsqrt
sqrt square lerp angle isfinite isinf isposinf isneginf isreal isnan reshape atleast_1d
atleast_2d atleast_3d flatten column_stack gather index_fill index_copy index_select index_add
index_reduce index_put sort unique unique_consecutive put take scatter zeros_like ones_like
full_like ones zeros full eye scatter_add stack hstack hypot histogram histc bincount bucketize
searchsorted cat unbind vstack dstack msort movedim renorm squeeze take_along_dim tile trapz
trapezoid cumulative_trapezoid unsqueeze xlogy logsumexp trace transpose tril triu triu_indices
tril_indices kron inner tensordot logcumsumexp sigmoid digamma erf erfc erfinv lgamma log_softmax
logit where norm t argwhere all any amax amin argmax argmin count_nonzero mean nanmean std var
prod sum nansum argsort repeat_interleave diagflat scatter_reduce nonzero_static true_divide topk
sgn broadcast_shapes frexp gradient histogramdd nextafter igamma igammac unravel_index scalar_tensor
logspace real imag conj complex polar view_as_real view_as_complex
""")

# gu.Tensor.<name>
METHODS = words("""
item clone contiguous sum_to_size expand expand_as __radd__ __rdiv__ __rmul__ __rand__ __ror__
__rxor__ __rmatmul__ __rmod__ __rpow__ __rsub__ select reshape_as view view_as ravel unflatten
new_empty
bfloat16 bool byte char double float half int long short new_zeros new_ones new_full repeat fill
zero_ unfold nonzero cfloat cdouble
""")

# gu.nn.functional.<name>
LAYERS = words("""
linear_cross_entropy multi_head_attention_forward
dropout2d dropout3d alpha_dropout feature_alpha_dropout
softmin cross_entropy normalize cosine_similarity adaptive_avg_pool1d adaptive_avg_pool2d
adaptive_avg_pool3d adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d avg_pool1d
avg_pool3d binary_cross_entropy_with_logits relu conv_transpose1d conv_transpose2d
conv_transpose3d conv1d conv2d conv3d group_norm instance_norm layer_norm rms_norm
local_response_norm pad hardswish unfold interpolate upsample_bilinear soft_margin_loss
upsample_nearest margin_ranking_loss multi_margin_loss multilabel_margin_loss leaky_relu
multilabel_soft_margin_loss avg_pool2d max_pool1d max_pool2d max_pool3d max_unpool1d max_unpool2d
max_unpool3d linear bilinear glu elu prelu celu rrelu selu scaled_dot_product_attention silu
hardsigmoid logsigmoid mish softsign tanhshrink threshold triplet_margin_loss
triplet_margin_with_distance_loss batch_norm binary_cross_entropy softshrink hardshrink hardtanh
gelu relu6 smooth_l1_loss l1_loss one_hot embedding embedding_bag softplus mse_loss grid_sample
cosine_embedding_loss nll_loss gaussian_nll_loss hinge_embedding_loss huber_loss pdist
fractional_max_pool2d fractional_max_pool3d ctc_loss
poisson_nll_loss pairwise_distance pixel_shuffle pixel_unshuffle channel_shuffle kl_div
dropout
""")

# torch.special.<name> as ours of groundup.tensor.special
SPECIAL = words("""
i0e i1 i1e ndtr xlog1py zeta entr ndtri log_ndtr erfcx
airy_ai bessel_j0 bessel_j1 bessel_y0 bessel_y1 modified_bessel_k0 modified_bessel_k1
scaled_modified_bessel_k0 scaled_modified_bessel_k1 spherical_bessel_j0
""")

# ---- under another name, or with other arguments -------------------------------------------------


def _method(name: str) -> Callable[..., Any]:
    """A method by its name, of a tensor of whatever class."""

    def call(x: Any, *args: Any, **kwargs: Any) -> Any:
        of = type(x) if isinstance(x, gu.Tensor) else gu.Tensor
        return getattr(of, name)(x, *args, **kwargs)

    return call


def _property(name: str) -> Callable[..., Any]:
    return lambda x: getattr(x, name)


OTHER: dict[str, Callable[..., Any]] = {
    "T": _property("T"),
    "slice": gu.slice_copy,
    "mT": _property("mT"),
    "H": _property("H"),
    "mH": _property("mH"),
    "einsum": lambda operands, equation: gu.einsum(equation, *operands),
    "expand_copy": lambda x, size: x.expand(size).clone(),
    "alias_copy": lambda x: x.clone(),
    "diagonal_copy": lambda x, *a, **k: gu.diagonal(x, *a, **k).clone(),
    "permute_copy": lambda x, dims: gu.permute(x, dims).clone(),
    "squeeze_copy": lambda x, *a: gu.squeeze(x, *a).clone(),
    "t_copy": lambda x: gu.t(x).clone(),
    "transpose_copy": lambda x, *a: gu.transpose(x, *a).clone(),
    "unsqueeze_copy": lambda x, dim: gu.unsqueeze(x, dim).clone(),
    "unfold": lambda x, *a: gu.unfold(x, *a),
    "unfold_copy": lambda x, *a: gu.unfold(x, *a).clone(),
    "view_copy": lambda x, *a: x.view(*a).clone(),
    "narrow_copy": lambda x, *a: gu.narrow(x, *a).clone(),
    "as_strided_copy": lambda x, *a, **k: gu.as_strided(x, *a, **k).clone(),
    "unbind_copy": lambda x, *a: tuple(y.clone() for y in gu.unbind(x, *a)),
    "split_with_sizes": lambda x, *a, **k: gu.split(x, *a, **k),
    "split_with_sizes_copy": lambda x, *a, **k: tuple(y.clone() for y in gu.split(x, *a, **k)),
    "unsafe_split": gu.split,
    "unsafe_chunk": gu.chunk,
    "constant_pad_nd": lambda x, pad, value=0: F.pad(x, pad, value=value),
    "where": lambda x, condition, y: gu.where(condition, x, y),
    "zero_": lambda x: x.clone().zero_(),
    "fill": lambda x, value: x.clone().fill_(value),
    "special.polygamma": lambda x, n: gu.polygamma(n, x),
    "polygamma": lambda x, n: gu.polygamma(n, x),
    "resolve_conj": lambda x: x.clone(),
    "resolve_neg": lambda x: x.clone(),
    "conj_physical": lambda x: x.conj_physical(),
    "_softmax_backward_data": lambda g, y, dim, dtype: (g - (g * y).sum(dim, keepdim=True)) * y,
    "torch.ops.aten._safe_softmax.default": lambda x, dim, dtype=None: _safe_softmax(x, dim, dtype),
    "nn.functional.embedding": lambda weight, ids, **k: F.embedding(ids, weight, **k),
    "nn.functional.triplet_margin_with_distance_loss": lambda *a, **k: _triplet(*a, **k),
    "grid_sampler_2d": lambda x, g, mode, padding, corners: _grid(x, g, mode, padding, corners),
    "grid_sampler_3d": lambda x, g, mode, padding, corners: _grid(x, g, mode, padding, corners),
    "__rmatmul__": lambda x, y: y @ x,
    "__rdiv__": lambda x, y: gu.div(y, x),
    "byte": lambda x: x.to(gu.uint8),
    "char": lambda x: x.to(gu.int8),
    "short": lambda x: x.to(gu.int16),
    "__getitem__": lambda x, key: x[key],
    "sum_to_size": lambda x, *size: gu.sum_to_size(x, *size),
    "special.modified_bessel_i0": lambda x: special.i0(x.detach()),
    "special.modified_bessel_i1": lambda x: special.i1(x.detach()),
    "nn.functional.embedding_bag": lambda w, ids, **k: F.embedding_bag(ids, w, **k),
    "to": lambda x, *a, **k: _converted(x, *a, **k),
    "normal:in_place": lambda x, *a: x.clone().normal_(*a),
    "uniform": lambda x, *a: x.clone().uniform_(*a),
    "exponential": lambda x, *a: x.clone().exponential_(*a),
    "cauchy": lambda x, *a: x.clone().cauchy_(*a),
    "log_normal": lambda x, *a: x.clone().log_normal_(*a),
    "geometric": lambda x, *a: x.clone().geometric_(*a),
}


def _safe_softmax(x: gu.Tensor, dim: int, dtype: Any) -> gu.Tensor:
    blind = (x == -float("inf")).all(dim, keepdim=True)
    return gu.where(blind, 0.0, gu.softmax(gu.where(blind, 0.0, x), dim, dtype))


def _grid(x: gu.Tensor, grid: gu.Tensor, mode: int, padding: int, corners: bool) -> gu.Tensor:
    modes, edges = ("bilinear", "nearest", "bicubic"), ("zeros", "border", "reflection")
    return F.grid_sample(x, grid, modes[mode], edges[padding], corners)


def _triplet(*args: Any, distance_function: Any = None, **kwargs: Any) -> gu.Tensor:
    """The distances of the samples are torch's: a module, or the default."""
    known = {"PairwiseDistance": F.pairwise_distance, "pairwise_distance": F.pairwise_distance}
    name = getattr(distance_function, "__name__", type(distance_function).__name__)
    own = None if distance_function is None else known.get(name)
    if distance_function is not None and own is None:
        raise Unsupported(f"the distance {name}")
    return F.triplet_margin_with_distance_loss(*args, distance_function=own, **kwargs)


def _converted(x: gu.Tensor, *args: Any, dtype: Any = None, **places: Any) -> gu.Tensor:
    kinds = [a for a in args if isinstance(a, gu.DType | gu.Tensor)]
    return x.to(dtype or (kinds[0] if kinds else x.dtype))


# ---- what the comparison has to know -------------------------------------------------------------

# Where more room is needed than TOLERANCE gives, and why.
ROOM: dict[str, dict[str, tuple[float, float]]] = {
    # torch's trigamma ends its series early, and is right to ten digits.
    "digamma": {"gradient": (1e-9, 1e-9)},
    # So near a pole torch's trigamma in float32 is right to four digits (ours, to seven).
    "polygamma": {"float32": (5e-5, 1e-4), "float64": (1e-9, 1e-9), "gradient": (1e-9, 1e-9)},
    # The divisor is a difference of sums of float32 weights.
    "cov": {"float32": (1e-4, 1e-4)},
    # torch multiplies by 1/6 in float32, whatever the input's type.
    "nn.functional.hardsigmoid": {"gradient": (1e-7, 1e-7)},
    # Sums of 216 products of numbers up to 9: 216 · 2⁻²⁴ · 81 is 1e-3.
    "nn.functional.conv_transpose3d": {"float32": (1e-5, 1e-3), "gradient": (1e-12, 1e-11)},
    # Terms of up to 9⁶ cancel in the recurrence.
    "hermite_polynomial_he": {"float32": (2e-5, 1e-3)},
    # Scores are hundreds: e^x makes of their rounding, 2⁻²⁴ · 1000, an error of 6e-5.
    "nn.functional.multi_head_attention_forward": {"float32": (2e-4, 1e-2)},
    # torch sums the series in float32 (ours, in float64).
    "matrix_exp": {"float32": (2e-5, 1e-3)},
    # Scores of up to 9 · 9 · 8 / √8 = 229: e^x makes of their rounding an error of 229 · 2⁻²³.
    "nn.functional.scaled_dot_product_attention": {"float32": (3e-5, 5e-5)},
    # torch's are right to eight digits here (ours, to sixteen: tests/ir/test_special_ulp.py).
    "airy_ai": {"float64": (1e-8, 1e-9)},
    # torch's differ from SciPy's by up to 3.8e-7, 4.8e-7, 2.1e-7 and 8.7e-7 (at |x| = 5, of 300,000
    # up to 100), ours by 1e-15.
    **{f"bessel_{name}": {"float64": (0.0, 1e-6)} for name in words("j0 j1 y0 y1")},
    # A derivative of a running value: torch subtracts logarithms, and loses three digits of 16.
    "logcumsumexp": {"gradient": (1e-10, 1e-11)},
}

# Samples whose result is random, by what they say: shape and type are compared.
RANDOM: dict[str, Callable[[Any], bool]] = {
    "nn.functional.dropout": lambda s: _training(s) and 0 < _first(s, "p", 0.5) < 1,
    "nn.functional.dropout2d": lambda s: _training(s) and 0 < _first(s, "p", 0.5) < 1,
    "nn.functional.dropout3d": lambda s: _training(s) and 0 < _first(s, "p", 0.5) < 1,
    "nn.functional.alpha_dropout": lambda s: s.kwargs.get("training", False),
    "nn.functional.feature_alpha_dropout": lambda s: s.kwargs.get("training", False),
    "nn.functional.fractional_max_pool2d": lambda s: "_random_samples" not in s.kwargs,
    "nn.functional.fractional_max_pool3d": lambda s: "_random_samples" not in s.kwargs,
    "nn.functional.rrelu": lambda s: s.kwargs.get("training", False),
    "nn.functional.scaled_dot_product_attention": lambda s: s.kwargs.get("dropout_p", 0.0) > 0,
    "nn.functional.multi_head_attention_forward": lambda s: s.args[9] > 0,
    # Of a matrix of a greater rank than asked for, what is found depends on the subspace.
    "svd_lowrank": lambda s: s.kwargs.get("M") is not None,
    "randn": lambda s: True,
    "randn_like": lambda s: True,
    "rand_like": lambda s: True,
    "randint": lambda s: True,
    "randint_like": lambda s: True,
    "normal": lambda s: True,
    "uniform": lambda s: True,
    "exponential": lambda s: True,
    "cauchy": lambda s: True,
    "log_normal": lambda s: True,
    "geometric": lambda s: True,
    "multinomial": lambda s: True,
    "bernoulli": lambda s: True,
    "empty": lambda s: True,
    "empty_like": lambda s: True,
    "new_empty": lambda s: True,
}


# Functions whose derivatives are compared of arguments that are brought into shape.
SHAPED: dict[str, Callable[..., Any]] = {
    **matrices.SHAPED,
    # torch's derivative takes for granted that log_probs comes from log_softmax.
    "nn.functional.ctc_loss": lambda function, x, *args, **k: function(
        x.log_softmax(2), *args, **k
    ),
}


def _training(sample: Any) -> bool:
    return bool(sample.kwargs.get("training", True))


def _first(sample: Any, name: str, default: float) -> float:
    return float(sample.kwargs.get(name, sample.args[0] if sample.args else default))


# Whose gradients are not compared, and why.
WRONG_THERE: dict[str, str] = {
    "istft": "the list's windows are views made without grad mode: torch has no derivative by them"
    " (tests/fft/test_short.py compares those by windows that are leaves)",
    "as_strided_scatter": "torch gives the derivative to the elements that were replaced",
}

# Error inputs that are no errors here, on purpose: a Python number stands for a tensor on either
# side of these.
NUMBERS = words("""
atan2 copysign eq fmax fmin fmod ge gt le ldexp logaddexp lt maximum minimum max:binary min:binary
logical_and logical_or logical_xor lcm gcd ne __radd__ __rdiv__ __rmul__ __rand__ __ror__ __rxor__
rsub hypot clamp_min clamp_max isin __rsub__ __rpow__ __rmod__ bitwise_and bitwise_or bitwise_xor
bitwise_left_shift bitwise_right_shift remainder pow heaviside xlogy special.xlog1py special.zeta
float_power sub add mul div floor_divide true_divide
""")


def function(name: str, variant: str) -> Callable[..., Any] | None:
    """Ours for an entry, or None."""
    if f"{name}:{variant}" in ABSENT or name in ABSENT:
        return None
    for key in (f"{name}:{variant}", name):
        if key in OTHER:
            return OTHER[key]
    found = matrices.function(f"{name}:{variant}" if variant else name)
    if found is not None:
        return found
    if name in FUNCTIONS:
        return getattr(gu, name, None)
    if name in METHODS:
        return _method(name)
    if name.startswith("nn.functional.") and name[14:] in LAYERS:
        return getattr(F, name[14:], None)
    if name.startswith("fft."):
        return getattr(gu.fft, name[4:], None)
    if name.startswith("signal.windows."):
        return getattr(windows, name[15:], None)
    if name.startswith("special.") and "polynomial" in name:
        return getattr(polynomials, name[8:], None)
    if name.startswith("special.") and name[8:] in SPECIAL:
        return getattr(gu.special, name[8:], None)
    if name.startswith("masked."):
        return getattr(gu.masked, name[7:], None)
    return None


def tolerance(name: str) -> dict[str, tuple[float, float]] | None:
    """(relative, absolute) by dtype, and for 'gradient', of an entry that has its own."""
    return ROOM.get(name.removeprefix("special."))
