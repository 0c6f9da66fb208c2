"""groundup: deep learning in Python from the ground up, from three nested loops to trained models.

This file only opens doors: nothing below is imported until it is used (PEP 562), so that
`import groundup` stays light. It must not know what any floor does.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from groundup._version import __version__ as __version__

# The rooms a user enters by name. `tensor` is not among them: `gu.tensor` is the function that
# makes a Tensor; its room is reached as `from groundup.tensor import …`.
_ROOMS = (
    "array_api", "autodiff", "cli", "data", "datasets", "distributions", "emit", "glass", "ir",
    "nn", "notebook", "optim", "runtime", "schedule", "testing", "train", "vision",
)  # fmt: skip
_INNER = {  # rooms inside another
    "autograd": "groundup.tensor.autograd",
    "fft": "groundup.tensor.fft",
    "func": "groundup.nn.func",
    "linalg": "groundup.tensor.linalg",
    "masked": "groundup.tensor.masked",
    "special": "groundup.tensor.rooms.special",
}
# The functions of layers that PyTorch has at its top, too, with the arguments of
# `nn.functional`.
_LAYERS = (
    "adaptive_avg_pool1d", "alpha_dropout", "avg_pool1d", "bilinear", "celu", "channel_shuffle",
    "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d",
    "cosine_similarity", "dropout", "feature_alpha_dropout", "group_norm", "hardshrink",
    "layer_norm", "max_pool1d", "max_pool2d", "max_pool3d", "pairwise_distance", "pixel_shuffle",
    "pixel_unshuffle", "prelu", "rms_norm", "rrelu", "selu", "threshold",
)  # fmt: skip
_GAME = ("game",)  # of `groundup.notebook.game`
_GLASS = ("explain", "profile")  # the names of `groundup.glass` that are found here, too


def __getattr__(name: str) -> Any:
    """Open the door `name`: a room, or one of the public names of `groundup.tensor`."""
    if name in _ROOMS:
        return import_module(f"groundup.{name}")
    if name in _INNER:
        return import_module(_INNER[name])
    if name in _GLASS:
        value = globals()[name] = getattr(import_module("groundup.glass"), name)
        return value
    if name in _LAYERS:
        value = globals()[name] = getattr(import_module("groundup.nn.functional"), name)
        return value
    if name in _GAME:
        value = globals()[name] = import_module("groundup.notebook.game").game
        return value
    if not name.startswith("_"):
        floor = import_module("groundup.tensor")
        if name in floor.__all__:
            value = getattr(floor, name)
            globals()[name] = value
            return value
    if name.startswith("__"):
        raise AttributeError(f"module 'groundup' has no attribute {name!r}")
    import_module("groundup.nn.functional")  # where it may be
    raise AttributeError(import_module("groundup.tensor.absent").of_package(name))


def __dir__() -> list[str]:
    names = {name for name in globals() if not name.startswith("_")} - _PRIVATE
    public = import_module("groundup.tensor").__all__
    return sorted({"__version__", *names, *_ROOMS, *_INNER, *_GLASS, *_LAYERS, *_GAME, *public})


class _Package(ModuleType):
    """Keeps `gu.tensor` the function, also after the room of that name has been imported.

    Python binds an imported submodule as an attribute of its package; here that would hide the
    function behind the room `groundup.tensor`.
    """

    def __setattr__(self, name: str, value: object) -> None:
        if not (name == "tensor" and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


_PRIVATE = {"sys", "import_module", "ModuleType", "TYPE_CHECKING", "Any"}
sys.modules[__name__].__class__ = _Package

if TYPE_CHECKING:
    from groundup import array_api as array_api
    from groundup import autodiff as autodiff
    from groundup import data as data
    from groundup import datasets as datasets
    from groundup import distributions as distributions
    from groundup import emit as emit
    from groundup import glass as glass
    from groundup import ir as ir
    from groundup import nn as nn
    from groundup import notebook as notebook
    from groundup import optim as optim
    from groundup import runtime as runtime
    from groundup import schedule as schedule
    from groundup import testing as testing
    from groundup import train as train
    from groundup import vision as vision
    from groundup.nn import func as func
    from groundup.tensor import autograd as autograd
    from groundup.tensor import fft as fft
    from groundup.tensor import linalg as linalg
    from groundup.tensor import masked as masked
    from groundup.tensor.rooms import special as special

    # isort: off
    from groundup.tensor import (
        AnomalyError as AnomalyError,
        Axis as Axis,
        DType as DType,
        Generator as Generator,
        GradError as GradError,
        Indexed as Indexed,
        JitError as JitError,
        NoValue as NoValue,
        ShapeError as ShapeError,
        Size as Size,
        Tensor as Tensor,
        abs as abs,
        absolute as absolute,
        acos as acos,
        acosh as acosh,
        add as add,
        addbmm as addbmm,
        addcdiv as addcdiv,
        addcmul as addcmul,
        addmm as addmm,
        addmv as addmv,
        addr as addr,
        adjoint as adjoint,
        all as all,
        allclose as allclose,
        amax as amax,
        amin as amin,
        aminmax as aminmax,
        angle as angle,
        any as any,
        arange as arange,
        arccos as arccos,
        arccosh as arccosh,
        arcsin as arcsin,
        arcsinh as arcsinh,
        arctan as arctan,
        arctan2 as arctan2,
        arctanh as arctanh,
        argmax as argmax,
        argmin as argmin,
        argsort as argsort,
        argwhere as argwhere,
        as_strided as as_strided,
        as_strided_scatter as as_strided_scatter,
        as_tensor as as_tensor,
        asarray as asarray,
        asin as asin,
        asinh as asinh,
        atan as atan,
        atan2 as atan2,
        atanh as atanh,
        atleast_1d as atleast_1d,
        atleast_2d as atleast_2d,
        atleast_3d as atleast_3d,
        axes as axes,
        axis as axis,
        baddbmm as baddbmm,
        bartlett_window as bartlett_window,
        bernoulli as bernoulli,
        bfloat16 as bfloat16,
        bincount as bincount,
        binomial as binomial,
        bitwise_and as bitwise_and,
        bitwise_left_shift as bitwise_left_shift,
        bitwise_not as bitwise_not,
        bitwise_or as bitwise_or,
        bitwise_right_shift as bitwise_right_shift,
        bitwise_xor as bitwise_xor,
        blackman_window as blackman_window,
        block_diag as block_diag,
        bmm as bmm,
        bool as bool,
        bool_ as bool_,
        broadcast_shapes as broadcast_shapes,
        broadcast_tensors as broadcast_tensors,
        broadcast_to as broadcast_to,
        bucketize as bucketize,
        can_cast as can_cast,
        cartesian_prod as cartesian_prod,
        cat as cat,
        cdist as cdist,
        cdouble as cdouble,
        ceil as ceil,
        cfloat as cfloat,
        chain_matmul as chain_matmul,
        checkpoint_sequential as checkpoint_sequential,
        cholesky as cholesky,
        cholesky_inverse as cholesky_inverse,
        cholesky_solve as cholesky_solve,
        chunk as chunk,
        clamp as clamp,
        clamp_max as clamp_max,
        clamp_min as clamp_min,
        clip as clip,
        clone as clone,
        column_stack as column_stack,
        combinations as combinations,
        complex128 as complex128,
        complex64 as complex64,
        concat as concat,
        concatenate as concatenate,
        conj as conj,
        copysign as copysign,
        corrcoef as corrcoef,
        cos as cos,
        cosh as cosh,
        count_nonzero as count_nonzero,
        cov as cov,
        cross as cross,
        cummax as cummax,
        cummin as cummin,
        cumprod as cumprod,
        cumsum as cumsum,
        cumulative_trapezoid as cumulative_trapezoid,
        custom_derivative as custom_derivative,
        debug as debug,
        default_generator as default_generator,
        deg2rad as deg2rad,
        derivatives as derivatives,
        det as det,
        detach as detach,
        detect_anomaly as detect_anomaly,
        diag as diag,
        diag_embed as diag_embed,
        diagflat as diagflat,
        diagonal as diagonal,
        diagonal_scatter as diagonal_scatter,
        diff as diff,
        digamma as digamma,
        dist as dist,
        div as div,
        divide as divide,
        dot as dot,
        double as double,
        dsplit as dsplit,
        dstack as dstack,
        einsum as einsum,
        empty as empty,
        empty_like as empty_like,
        enable_grad as enable_grad,
        eq as eq,
        equal as equal,
        erf as erf,
        erfc as erfc,
        erfinv as erfinv,
        exp as exp,
        exp2 as exp2,
        explain_broadcast as explain_broadcast,
        expm1 as expm1,
        eye as eye,
        first_nonfinite as first_nonfinite,
        fix as fix,
        flatten as flatten,
        flip as flip,
        fliplr as fliplr,
        flipud as flipud,
        float as float,
        float16 as float16,
        float32 as float32,
        float64 as float64,
        float_power as float_power,
        floor as floor,
        floor_divide as floor_divide,
        fmax as fmax,
        fmin as fmin,
        fmod as fmod,
        frac as frac,
        frexp as frexp,
        from_dlpack as from_dlpack,
        from_numpy as from_numpy,
        frombuffer as frombuffer,
        full as full,
        full_like as full_like,
        gather as gather,
        gcd as gcd,
        ge as ge,
        geqrf as geqrf,
        ger as ger,
        get_num_threads as get_num_threads,
        get_printoptions as get_printoptions,
        get_rng_state as get_rng_state,
        grad as grad,
        grad_and_value as grad_and_value,
        gradient as gradient,
        greater as greater,
        greater_equal as greater_equal,
        gt as gt,
        half as half,
        hamming_window as hamming_window,
        hann_window as hann_window,
        heaviside as heaviside,
        hessian as hessian,
        histc as histc,
        histogram as histogram,
        histogramdd as histogramdd,
        hsplit as hsplit,
        hstack as hstack,
        hypot as hypot,
        i0 as i0,
        igamma as igamma,
        igammac as igammac,
        imag as imag,
        index_add as index_add,
        index_copy as index_copy,
        index_fill as index_fill,
        index_put as index_put,
        index_reduce as index_reduce,
        index_select as index_select,
        initial_seed as initial_seed,
        inner as inner,
        int as int,
        int16 as int16,
        int32 as int32,
        int64 as int64,
        int8 as int8,
        inverse as inverse,
        is_anomaly_enabled as is_anomaly_enabled,
        is_complex as is_complex,
        is_floating_point as is_floating_point,
        is_grad_enabled as is_grad_enabled,
        is_nonzero as is_nonzero,
        is_same_size as is_same_size,
        is_signed as is_signed,
        is_tensor as is_tensor,
        isclose as isclose,
        isfinite as isfinite,
        isin as isin,
        isinf as isinf,
        isnan as isnan,
        isneginf as isneginf,
        isposinf as isposinf,
        isreal as isreal,
        istft as istft,
        jacfwd as jacfwd,
        jacrev as jacrev,
        jvp as jvp,
        kaiser_window as kaiser_window,
        kron as kron,
        kthvalue as kthvalue,
        lcm as lcm,
        ldexp as ldexp,
        le as le,
        lerp as lerp,
        less as less,
        less_equal as less_equal,
        lgamma as lgamma,
        linear_recurrence as linear_recurrence,
        linearize as linearize,
        linspace as linspace,
        load as load,
        log as log,
        log10 as log10,
        log1p as log1p,
        log2 as log2,
        log_softmax as log_softmax,
        logaddexp as logaddexp,
        logaddexp2 as logaddexp2,
        logcumsumexp as logcumsumexp,
        logdet as logdet,
        logical_and as logical_and,
        logical_not as logical_not,
        logical_or as logical_or,
        logical_xor as logical_xor,
        logit as logit,
        logspace as logspace,
        logsumexp as logsumexp,
        long as long,
        lovely as lovely,
        lt as lt,
        lu as lu,
        lu_solve as lu_solve,
        lu_unpack as lu_unpack,
        manual_seed as manual_seed,
        masked_fill as masked_fill,
        masked_scatter as masked_scatter,
        masked_select as masked_select,
        matmul as matmul,
        matrix_exp as matrix_exp,
        matrix_power as matrix_power,
        max as max,
        maximum as maximum,
        mean as mean,
        median as median,
        meshgrid as meshgrid,
        min as min,
        minimum as minimum,
        mm as mm,
        moveaxis as moveaxis,
        movedim as movedim,
        msort as msort,
        mul as mul,
        multinomial as multinomial,
        multiply as multiply,
        mv as mv,
        mvlgamma as mvlgamma,
        nan_to_num as nan_to_num,
        nanmean as nanmean,
        nanmedian as nanmedian,
        nanquantile as nanquantile,
        nansum as nansum,
        narrow as narrow,
        ne as ne,
        neg as neg,
        negative as negative,
        nextafter as nextafter,
        no_grad as no_grad,
        nonzero as nonzero,
        nonzero_static as nonzero_static,
        norm as norm,
        normal as normal,
        not_equal as not_equal,
        numel as numel,
        ones as ones,
        ones_like as ones_like,
        orgqr as orgqr,
        ormqr as ormqr,
        outer as outer,
        outside as outside,
        pad as pad,
        pca_lowrank as pca_lowrank,
        pdist as pdist,
        permute as permute,
        pinverse as pinverse,
        poisson as poisson,
        polar as polar,
        polygamma as polygamma,
        positive as positive,
        pow as pow,
        printoptions as printoptions,
        prod as prod,
        promote_types as promote_types,
        put as put,
        qr as qr,
        quantile as quantile,
        rad2deg as rad2deg,
        rand as rand,
        rand_like as rand_like,
        randint as randint,
        randint_like as randint_like,
        randn as randn,
        randn_like as randn_like,
        randperm as randperm,
        ravel as ravel,
        real as real,
        reciprocal as reciprocal,
        register_einops as register_einops,
        relu as relu,
        remainder as remainder,
        renorm as renorm,
        repeat_interleave as repeat_interleave,
        reshape as reshape,
        result_type as result_type,
        roll as roll,
        rot90 as rot90,
        round as round,
        row_stack as row_stack,
        rsqrt as rsqrt,
        rsub as rsub,
        save as save,
        scalar_tensor as scalar_tensor,
        scan as scan,
        scatter as scatter,
        scatter_add as scatter_add,
        scatter_reduce as scatter_reduce,
        searchsorted as searchsorted,
        seed as seed,
        select as select,
        select_scatter as select_scatter,
        set_grad_enabled as set_grad_enabled,
        set_num_threads as set_num_threads,
        set_printoptions as set_printoptions,
        set_rng_state as set_rng_state,
        sgn as sgn,
        short as short,
        sigmoid as sigmoid,
        sign as sign,
        signbit as signbit,
        sin as sin,
        sinc as sinc,
        sinh as sinh,
        slice_copy as slice_copy,
        slice_scatter as slice_scatter,
        slogdet as slogdet,
        softmax as softmax,
        softmin as softmin,
        sort as sort,
        split as split,
        split_with_sizes as split_with_sizes,
        sqrt as sqrt,
        square as square,
        squeeze as squeeze,
        stack as stack,
        std as std,
        std_mean as std_mean,
        stft as stft,
        sub as sub,
        subtract as subtract,
        sum as sum,
        sum_to_size as sum_to_size,
        svd as svd,
        svd_lowrank as svd_lowrank,
        swapaxes as swapaxes,
        swapdims as swapdims,
        t as t,
        take as take,
        take_along_dim as take_along_dim,
        tan as tan,
        tanh as tanh,
        tensor_split as tensor_split,
        tensordot as tensordot,
        tile as tile,
        topk as topk,
        trace as trace,
        transpose as transpose,
        trapezoid as trapezoid,
        trapz as trapz,
        triangular_solve as triangular_solve,
        tril as tril,
        tril_indices as tril_indices,
        triu as triu,
        triu_indices as triu_indices,
        true_divide as true_divide,
        trunc as trunc,
        uint16 as uint16,
        uint32 as uint32,
        uint64 as uint64,
        uint8 as uint8,
        unbind as unbind,
        unflatten as unflatten,
        unfold as unfold,
        unique as unique,
        unique_consecutive as unique_consecutive,
        unravel_index as unravel_index,
        unsafe_chunk as unsafe_chunk,
        unsafe_split as unsafe_split,
        unsqueeze as unsqueeze,
        vander as vander,
        var as var,
        var_mean as var_mean,
        vdot as vdot,
        view_as_complex as view_as_complex,
        view_as_real as view_as_real,
        vjp as vjp,
        vsplit as vsplit,
        vstack as vstack,
        where as where,
        xlogy as xlogy,
        zeros as zeros,
        zeros_like as zeros_like,
    )
    from groundup.tensor.autocast import autocast as autocast
    from groundup.tensor.checkpoint import checkpoint as checkpoint
    from groundup.tensor.complex.parts import complex as complex
    from groundup.tensor.create import tensor as tensor
    from groundup.tensor.jit import jit as jit
    from groundup.tensor.statistics import mode as mode
    from groundup.tensor.realize import realize as realize
    from groundup.tensor.vmap import vmap as vmap
    from groundup.nn.functional import adaptive_avg_pool1d as adaptive_avg_pool1d
    from groundup.nn.functional import alpha_dropout as alpha_dropout
    from groundup.nn.functional import avg_pool1d as avg_pool1d
    from groundup.nn.functional import bilinear as bilinear
    from groundup.nn.functional import celu as celu
    from groundup.nn.functional import channel_shuffle as channel_shuffle
    from groundup.nn.functional import conv1d as conv1d
    from groundup.nn.functional import conv2d as conv2d
    from groundup.nn.functional import conv3d as conv3d
    from groundup.nn.functional import conv_transpose1d as conv_transpose1d
    from groundup.nn.functional import conv_transpose2d as conv_transpose2d
    from groundup.nn.functional import conv_transpose3d as conv_transpose3d
    from groundup.nn.functional import cosine_similarity as cosine_similarity
    from groundup.nn.functional import dropout as dropout
    from groundup.nn.functional import feature_alpha_dropout as feature_alpha_dropout
    from groundup.nn.functional import group_norm as group_norm
    from groundup.nn.functional import hardshrink as hardshrink
    from groundup.nn.functional import layer_norm as layer_norm
    from groundup.nn.functional import max_pool1d as max_pool1d
    from groundup.nn.functional import max_pool2d as max_pool2d
    from groundup.nn.functional import max_pool3d as max_pool3d
    from groundup.nn.functional import pairwise_distance as pairwise_distance
    from groundup.nn.functional import pixel_shuffle as pixel_shuffle
    from groundup.nn.functional import pixel_unshuffle as pixel_unshuffle
    from groundup.nn.functional import prelu as prelu
    from groundup.nn.functional import rms_norm as rms_norm
    from groundup.nn.functional import rrelu as rrelu
    from groundup.nn.functional import selu as selu
    from groundup.nn.functional import threshold as threshold
    from groundup.glass import explain as explain
    from groundup.glass import profile as profile
    from groundup.notebook.game import game as game
