"""Fourier transforms of one direction and no scale but a given factor, by numpy.fft, on memory:
the one file of this room that imports it, inside functions.

Complex numbers are pairs (re, im) along the last axis of real arrays, seen as complex ones without
a copy. Must not know tensors or derivatives.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..linalg.lapack import hosted

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

_COMPLEX = {"float32": "complex64", "float64": "complex128"}


def _seen(pairs: Array) -> Array:
    """Pairs as complex numbers, in the same memory."""
    return pairs.view(_COMPLEX[pairs.dtype.name])[..., 0]


def _scaled(values: Array, factor: float, kind: str) -> Array:
    """values · factor, of a type: NumPy before 2 computes float32 in float64."""
    import numpy as np

    values = values.astype(kind, copy=False)
    return values if factor == 1 else values * np.asarray(factor, values.real.dtype)


@hosted("pocketfft, called by numpy.fft")
def complex_to_complex(
    pairs: Array, axes: tuple[int, ...], forward: bool, factor: float
) -> tuple[Array, ...]:
    """Σₙ zₙ·e^(∓2πi·k·n/N) · factor along each axis; − if forward."""
    import numpy as np

    if not pairs.size:
        return (pairs,)
    values = _seen(pairs)
    for axis in axes:
        if forward:
            values = np.fft.fft(values, axis=axis)
        else:
            values = np.fft.ifft(values, axis=axis, norm="forward")
    return (_scaled(values, factor, _COMPLEX[pairs.dtype.name]),)


@hosted("pocketfft, called by numpy.fft")
def real_to_complex(x: Array, axis: int, factor: float) -> tuple[Array, ...]:
    """Σₙ xₙ·e^(−2πi·k·n/N) · factor for k = 0 … ⌊N/2⌋."""
    import numpy as np

    kind = _COMPLEX[x.dtype.name]
    if not x.size:
        shape = (*x.shape[:axis], x.shape[axis] // 2 + 1, *x.shape[axis + 1 :])
        return (np.zeros(shape, kind),)
    return (_scaled(np.fft.rfft(x, axis=axis), factor, kind),)


@hosted("pocketfft, called by numpy.fft")
def complex_to_real(pairs: Array, axis: int, n: int, factor: float) -> tuple[Array, ...]:
    """Σₖ zₖ·e^(2πi·k·n/N) · factor over all k, where z₋ₖ is the conjugate of zₖ: real numbers."""
    import numpy as np

    if not pairs.size:
        return (np.zeros((*pairs.shape[:axis], n, *pairs.shape[axis + 1 : -1]), pairs.dtype),)
    values = np.fft.irfft(_seen(pairs), n, axis=axis, norm="forward")
    return (_scaled(values, factor, pairs.dtype.name),)
