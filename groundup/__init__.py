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
    "autodiff", "cli", "data", "datasets", "emit", "glass", "ir", "nn", "optim", "runtime",
    "schedule", "train", "vision",
)  # fmt: skip
_INNER = {"linalg": "groundup.tensor.linalg"}  # rooms inside another
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
    if not name.startswith("_"):
        floor = import_module("groundup.tensor")
        if name in floor.__all__:
            value = getattr(floor, name)
            globals()[name] = value
            return value
    raise AttributeError(f"module 'groundup' has no attribute {name!r}")


def __dir__() -> list[str]:
    names = {name for name in globals() if not name.startswith("_")} - _PRIVATE
    public = import_module("groundup.tensor").__all__
    return sorted({"__version__", *names, *_ROOMS, *_INNER, *_GLASS, *public})


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
    from groundup import autodiff as autodiff
    from groundup import data as data
    from groundup import datasets as datasets
    from groundup import emit as emit
    from groundup import glass as glass
    from groundup import ir as ir
    from groundup import nn as nn
    from groundup import optim as optim
    from groundup import runtime as runtime
    from groundup import schedule as schedule
    from groundup import train as train
    from groundup import vision as vision
    from groundup.tensor import linalg as linalg

    # isort: off
    from groundup.tensor import (
        Axis as Axis,
        DType as DType,
        Generator as Generator,
        GradError as GradError,
        Indexed as Indexed,
        JitError as JitError,
        ShapeError as ShapeError,
        Size as Size,
        Tensor as Tensor,
        abs as abs,
        add as add,
        all as all,
        allclose as allclose,
        amax as amax,
        amin as amin,
        any as any,
        arange as arange,
        argmax as argmax,
        argmin as argmin,
        argsort as argsort,
        as_tensor as as_tensor,
        axes as axes,
        axis as axis,
        bernoulli as bernoulli,
        bfloat16 as bfloat16,
        bmm as bmm,
        bool as bool,
        bool_ as bool_,
        broadcast_tensors as broadcast_tensors,
        broadcast_to as broadcast_to,
        cat as cat,
        ceil as ceil,
        cholesky_inverse as cholesky_inverse,
        cholesky_solve as cholesky_solve,
        chunk as chunk,
        clamp as clamp,
        concat as concat,
        cos as cos,
        cummax as cummax,
        cummin as cummin,
        cumprod as cumprod,
        cumsum as cumsum,
        custom_derivative as custom_derivative,
        debug as debug,
        default_generator as default_generator,
        derivatives as derivatives,
        det as det,
        diagonal as diagonal,
        div as div,
        dot as dot,
        double as double,
        einsum as einsum,
        empty as empty,
        empty_like as empty_like,
        enable_grad as enable_grad,
        eq as eq,
        equal as equal,
        erf as erf,
        exp as exp,
        explain_broadcast as explain_broadcast,
        expm1 as expm1,
        eye as eye,
        first_nonfinite as first_nonfinite,
        flatten as flatten,
        flip as flip,
        float as float,
        float16 as float16,
        float32 as float32,
        float64 as float64,
        floor as floor,
        from_numpy as from_numpy,
        full as full,
        full_like as full_like,
        gather as gather,
        get_num_threads as get_num_threads,
        get_rng_state as get_rng_state,
        grad as grad,
        half as half,
        index_add as index_add,
        index_put as index_put,
        index_select as index_select,
        initial_seed as initial_seed,
        int as int,
        int16 as int16,
        int32 as int32,
        int64 as int64,
        int8 as int8,
        inverse as inverse,
        is_grad_enabled as is_grad_enabled,
        isclose as isclose,
        isfinite as isfinite,
        isinf as isinf,
        isnan as isnan,
        kthvalue as kthvalue,
        lerp as lerp,
        linear_recurrence as linear_recurrence,
        linspace as linspace,
        log as log,
        log10 as log10,
        log1p as log1p,
        log2 as log2,
        log_softmax as log_softmax,
        logcumsumexp as logcumsumexp,
        logdet as logdet,
        logical_and as logical_and,
        logical_not as logical_not,
        logical_or as logical_or,
        logsumexp as logsumexp,
        long as long,
        manual_seed as manual_seed,
        masked_fill as masked_fill,
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
        mul as mul,
        multinomial as multinomial,
        mv as mv,
        narrow as narrow,
        ne as ne,
        neg as neg,
        no_grad as no_grad,
        norm as norm,
        numel as numel,
        ones as ones,
        ones_like as ones_like,
        outer as outer,
        outside as outside,
        pad as pad,
        permute as permute,
        pinverse as pinverse,
        pow as pow,
        prod as prod,
        promote_types as promote_types,
        rand as rand,
        rand_like as rand_like,
        randint as randint,
        randn as randn,
        randn_like as randn_like,
        randperm as randperm,
        reciprocal as reciprocal,
        relu as relu,
        reshape as reshape,
        result_type as result_type,
        round as round,
        rsqrt as rsqrt,
        scan as scan,
        scatter as scatter,
        scatter_add as scatter_add,
        seed as seed,
        set_grad_enabled as set_grad_enabled,
        set_num_threads as set_num_threads,
        set_rng_state as set_rng_state,
        short as short,
        sigmoid as sigmoid,
        sign as sign,
        sin as sin,
        slogdet as slogdet,
        softmax as softmax,
        sort as sort,
        split as split,
        sqrt as sqrt,
        square as square,
        squeeze as squeeze,
        stack as stack,
        std as std,
        sub as sub,
        sum as sum,
        t as t,
        take_along_dim as take_along_dim,
        tan as tan,
        tanh as tanh,
        topk as topk,
        transpose as transpose,
        tril as tril,
        triu as triu,
        trunc as trunc,
        uint16 as uint16,
        uint32 as uint32,
        uint64 as uint64,
        uint8 as uint8,
        unbind as unbind,
        unsqueeze as unsqueeze,
        var as var,
        where as where,
        zeros as zeros,
        zeros_like as zeros_like,
    )
    from groundup.tensor.autocast import autocast as autocast
    from groundup.tensor.create import tensor as tensor
    from groundup.tensor.jit import jit as jit
    from groundup.tensor.realize import realize as realize
    from groundup.glass import explain as explain
    from groundup.glass import profile as profile
