"""torch's list of operations, run by groundup: samples converted, results and gradients compared.

Must not know any operation: the table in entries.py says which of ours answers to which of theirs.
"""

from __future__ import annotations

import math
import re
import traceback
import warnings
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import groundup as gu

PACKAGE = str(Path(gu.__file__).parent)

# How far two right results may be apart, as (relative, absolute): each side computes in the
# type itself and rounds at every step, so the distance grows with what a sample sums up. float32:
# 42 units in the last place; float64: 450; the 16-bit types: 8 and 13. A gradient is one more pass
# of the same kind over the result, so it gets the same room, times 10.
TOLERANCE = {
    "float64": (1e-13, 1e-13),
    "float32": (5e-6, 1e-5),
    "float16": (8e-3, 1e-3),
    "bfloat16": (1e-1, 1e-2),
}
GRADIENT = (1e-12, 1e-12)
CHOSEN = 10  # one in so many samples is run by CI


class Unsupported(Exception):
    """A sample that holds what groundup does not have (complex numbers, sparse layouts …)."""


# ---- from theirs to ours -------------------------------------------------------------------------


def converted(value: Any, leaves: list[tuple[Any, gu.Tensor]]) -> Any:
    """An argument of a sample as ours; tensors that ask for gradients are noted in `leaves`."""
    import torch

    if isinstance(value, torch.Tensor):
        return _tensor(value, leaves)
    if isinstance(value, torch.dtype):
        return dtype(value)
    if isinstance(value, torch.Size | tuple):
        items = [converted(v, leaves) for v in value]
        return tuple(items)
    if isinstance(value, list):
        return [converted(v, leaves) for v in value]
    if isinstance(value, dict):
        return {k: converted(v, leaves) for k, v in value.items()}
    if isinstance(value, np.generic):
        return value.item()
    return value


def _tensor(value: Any, leaves: list[tuple[Any, gu.Tensor]]) -> gu.Tensor:
    import torch

    if value.device.type != "cpu":
        raise Unsupported(f"a tensor on {value.device.type}")
    if value.layout is not torch.strided or value.is_quantized:
        raise Unsupported(f"a tensor of layout {value.layout}")
    kind = dtype(value.dtype)
    if value.ndim > 64:
        raise Unsupported("more axes than NumPy's arrays have, by which samples come here")
    plain = value.detach().resolve_neg().resolve_conj()
    array = (plain.float() if value.dtype is torch.bfloat16 else plain).numpy()
    ours = gu.from_numpy(np.ascontiguousarray(array).reshape(array.shape)).to(kind)
    if value.requires_grad:
        ours.requires_grad_()
        leaves.append((value, ours))
    return ours


def dtype(kind: Any) -> gu.DType:
    """torch.float32 as gu.float32."""
    name = str(kind).removeprefix("torch.")
    found = getattr(gu, {"bool": "bool_"}.get(name, name), None)
    if not isinstance(found, gu.DType):
        raise Unsupported(f"the type {name}")
    return found


# What says where and how a tensor lies in memory, not what it is.
_PLACES = ("device", "layout", "memory_format", "pin_memory", "out_device")


def arguments(sample: Any, leaves: list[tuple[Any, gu.Tensor]]) -> tuple[list[Any], dict[str, Any]]:
    """The arguments of a sample, as ours."""
    layout = sample.kwargs.get("layout")
    if layout is not None and str(layout) != "torch.strided":
        raise Unsupported(f"the layout {layout}")
    args = [converted(a, leaves) for a in (sample.input, *sample.args)]
    kwargs = {k: converted(v, leaves) for k, v in sample.kwargs.items() if k not in _PLACES}
    return args, kwargs


# ---- samples -------------------------------------------------------------------------------------


def samples(op: Any, kind: Any, grad: bool) -> Iterator[tuple[int, Any]]:
    """(number, sample) of all samples of an operation in a dtype, the same in every run."""
    import torch

    torch.manual_seed(7)
    np.random.seed(7)
    import random

    random.seed(7)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield from enumerate(op.sample_inputs("cpu", kind, requires_grad=grad))


def chosen(name: str, kind: str, number: int) -> bool:
    """Is this sample one of the fixed tenth that CI runs?"""
    return zlib.crc32(f"{name} {kind} {number}".encode()) % CHOSEN == 0


# ---- comparing -----------------------------------------------------------------------------------


def differences(
    ours: Any,
    theirs: Any,
    tolerance: tuple[float, float] | None = None,
    where: str = "result",
    values: bool = True,
) -> Iterator[str]:
    """What is different between two results, in words."""
    import torch

    if isinstance(theirs, tuple | list):
        if not isinstance(ours, tuple | list) or len(ours) != len(theirs):
            yield f"{where}: {type(ours).__name__}, not {len(theirs)} values"
            return
        for i, (o, t) in enumerate(zip(ours, theirs, strict=True)):
            yield from differences(o, t, tolerance, f"{where}[{i}]", values)
        return
    if not isinstance(theirs, torch.Tensor):
        equal = ours == theirs or (ours != ours and theirs != theirs)
        if isinstance(theirs, float) and isinstance(ours, float) and not equal:
            equal = math.isclose(ours, theirs, rel_tol=TOLERANCE["float32"][0])
        if isinstance(theirs, torch.dtype):
            equal = ours is dtype(theirs)
        if not equal:
            yield f"{where}: {ours!r}, not {theirs!r}"
        return
    if not isinstance(ours, gu.Tensor):
        yield f"{where}: {type(ours).__name__}, not a tensor"
        return
    if tuple(ours.shape) != tuple(theirs.shape):
        yield f"{where}: shape {tuple(ours.shape)}, not {tuple(theirs.shape)}"
        return
    if ours.dtype is not dtype(theirs.dtype):
        yield f"{where}: dtype {ours.dtype.name}, not {theirs.dtype}"
        return
    if values:
        yield from _values(ours, theirs, tolerance, where)


def _values(
    ours: gu.Tensor, theirs: Any, tolerance: tuple[float, float] | None, where: str
) -> Iterator[str]:
    import torch

    half = theirs.dtype is torch.bfloat16
    a = (ours.detach().float() if half else ours.detach()).numpy()
    b = (theirs.detach().float() if half else theirs.detach()).resolve_neg().resolve_conj().numpy()
    if not (ours.dtype.is_float or ours.dtype.is_complex):
        wrong = a != b
    else:
        relative, absolute = TOLERANCE[ours.dtype.to_real().name]
        if tolerance is not None:
            relative, absolute = max(relative, tolerance[0]), max(absolute, tolerance[1])
        with np.errstate(all="ignore"):
            wrong = ~np.isclose(a, b, rtol=relative, atol=absolute, equal_nan=True)
    if not np.any(wrong):
        return
    place = tuple(int(i) for i in np.argwhere(wrong)[0])
    yield (
        f"{where}: {int(np.sum(wrong))} of {b.size} elements differ, the first at {place}: "
        f"{a[place]!r}, not {b[place]!r}"
    )


def gradients(
    ours: Any, theirs: Any, leaves: list[tuple[Any, gu.Tensor]], tolerance: tuple[float, float]
) -> Iterator[str]:
    """What is different between the gradients of two results by all leaves, in words.

    The results are weighted with random numbers, so that no gradient is right by symmetry.
    """
    import torch

    pairs = [
        (o, t)
        for o, t in zip(flat(ours), flat(theirs), strict=True)
        if isinstance(t, torch.Tensor) and t.requires_grad
    ]
    if not pairs or not leaves:
        return
    rng = np.random.default_rng(5)
    weights = [np.asarray(rng.standard_normal(tuple(t.shape))) for _, t in pairs]
    weights = [
        np.asarray(w + 1j * rng.standard_normal(w.shape)) if t.is_complex() else w
        for w, (_, t) in zip(weights, pairs, strict=True)
    ]
    seeds = [torch.from_numpy(w).to(t.dtype) for w, (_, t) in zip(weights, pairs, strict=True)]
    expected = torch.autograd.grad(
        [t for _, t in pairs], [t for t, _ in leaves], seeds, allow_unused=True
    )
    tracked = [(o, w) for (o, _), w in zip(pairs, weights, strict=True) if o.requires_grad]
    got: Any = [None] * len(leaves)
    if tracked:
        got = gu.derivatives(
            [o for o, _ in tracked],
            [o for _, o in leaves],
            [gu.from_numpy(w).to(o.dtype) for o, w in tracked],
            allow_unused=True,
        )
    for i, (mine, his) in enumerate(zip(got, expected, strict=True)):
        if his is None or his._is_zerotensor():
            his = torch.zeros(leaves[i][0].shape, dtype=leaves[i][0].dtype)
        if mine is None:
            mine = gu.zeros_like(leaves[i][1])
        yield from differences(mine, his, tolerance, f"gradient of tensor {i}")


def flat(value: Any) -> list[Any]:
    """The parts of a nested result."""
    if isinstance(value, tuple | list):
        return [x for v in value for x in flat(v)]
    return [value]


# ---- one sample ----------------------------------------------------------------------------------


def check_sample(
    op: Any,
    function: Callable[..., Any],
    sample: Any,
    grad: bool,
    tolerance: dict[str, tuple[float, float]] | None = None,
    kind: str = "float64",
    random: bool = False,
    invariant: bool = False,
    shaped: Callable[..., Any] | None = None,
) -> list[str]:
    """What is different between ours and theirs on one sample; raises Unsupported.

    random: the values are; shapes and types are compared. invariant: what the sample itself
    makes of a result is compared, for the result is not unique. shaped(function, *arguments):
    the function whose derivatives are compared, of arguments that it brings into shape.
    """
    import torch

    leaves: list[tuple[Any, gu.Tensor]] = []
    args, kwargs = arguments(sample, leaves)

    def seen(result: Any) -> Any:
        return sample.output_process_fn_grad(result) if invariant else result

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = op(sample.input, *sample.args, **sample.kwargs)
        allowed = tolerance or {}
        if any(str(t.dtype) == "torch.float32" for t in flat([sample.input, *sample.args,
               *sample.kwargs.values()]) if isinstance(t, torch.Tensor)):  # fmt: skip
            # One operand in float32 makes the sample one of float32.
            kind = "float32"
            room = allowed.get(kind, TOLERANCE[kind])
            allowed = {**allowed, kind: room, "gradient": room}
        ours = function(*args, **kwargs)
        found = list(differences(ours, theirs, values=False)) if invariant else []
        if not found:
            found = list(differences(seen(ours), seen(theirs), allowed.get(kind),
                                     values=not random))  # fmt: skip
        if found or not grad or random:
            return found
        with torch.enable_grad():
            if shaped is not None:
                ours = shaped(function, *args, **kwargs)
                theirs = shaped(op, sample.input, *sample.args, **sample.kwargs)
            room = allowed.get("gradient", GRADIENT)
            return list(gradients(seen(ours), seen(theirs), leaves, room))


def number_for_tensor(sample: Any) -> bool:
    """Are the first two arguments a number and a tensor, in either order?"""
    first = [sample.input, *sample.args][:2]
    numbers = [isinstance(v, bool | int | float) for v in first]
    return len(first) == 2 and numbers[0] != numbers[1] and any(hasattr(v, "shape") for v in first)


def is_ours(error: BaseException) -> bool:
    """Is this an error that says what was wrong, rather than one that slipped out of the code?

    It is raised by a `raise` of ours, or by Python for arguments that a function does not take.
    """
    if not isinstance(error, TypeError | ValueError | IndexError | RuntimeError):
        return False
    if isinstance(error, TypeError) and re.search(r"\w\(\) (got|takes|missing) ", str(error)):
        return True
    frames = traceback.extract_tb(error.__traceback__)
    last = frames[-1]
    if not last.filename.startswith(PACKAGE):
        return isinstance(error, TypeError)
    return (last.line or "").lstrip().startswith(("raise ", "return raise_"))


def described(sample: Any) -> str:
    """A sample in a line."""

    def one(v: Any) -> str:
        if hasattr(v, "shape") and hasattr(v, "dtype"):
            return f"{str(v.dtype).removeprefix('torch.')}{list(v.shape)}"
        if isinstance(v, tuple | list):
            return "(" + ", ".join(map(one, v)) + ")"
        return repr(v)

    parts = [one(a) for a in (sample.input, *sample.args)]
    parts += [f"{k}={one(v)}" for k, v in sample.kwargs.items()]
    return ", ".join(parts)[:300]
