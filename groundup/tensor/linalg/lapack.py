"""LAPACK through NumPy, on memory: the one file of this room that imports it, inside functions.

Must not know tensors or derivatives.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache, update_wrapper
from itertools import product as indices_of
from typing import TYPE_CHECKING, Any, Literal

from ...ir.dtype import DType
from ...ir.extent import product
from ...runtime import Buffer, allocate
from ..errors import LinAlgError, ShapeError, at_line, shape_text

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

Kind = tuple[tuple[int, ...], DType]  # shape and type of a tensor
SINGULAR = "is singular: a pivot is 0"
DIVERGES = "has no convergent decomposition"


@cache
def most_axes() -> int:
    """How many axes a tensor has at most for every function here: NumPy's arrays have 64 (32
    before its version 2), complex numbers take one as pairs, and the loops of svd three."""
    import numpy as np

    return (64 if int(np.__version__.partition(".")[0]) >= 2 else 32) - 4


class Hosted:
    """A function of arrays as one of memory; `by` says what computes it."""

    def __init__(
        self, function: Callable[..., tuple[Array, ...]], by: str, leading: bool
    ) -> None:
        self.function, self.by, self.leading = function, by, leading
        update_wrapper(self, function)

    def __call__(
        self, memory: Sequence[Buffer], kinds: Sequence[Kind], *options: Any
    ) -> list[Buffer]:
        import numpy as np

        for shape, _ in kinds:
            if len(shape) > most_axes() + 1:
                raise ShapeError(
                    f"{self.by}, takes tensors of at most {most_axes()} axes, not of {len(shape)} "
                    f"(the pairs of complex numbers are one); reshape them" + at_line()
                )
        given = [
            np.frombuffer(m.memoryview(), dtype=d.name, count=product(shape)).reshape(shape)
            for m, (shape, d) in zip(memory, kinds, strict=True)
        ]
        with np.errstate(all="ignore"):  # infinities and NaN are results here as everywhere
            return [_buffer(a) for a in self.function(*given, *options)]


def hosted(
    by: str, leading: bool = False
) -> Callable[[Callable[..., tuple[Array, ...]]], Hosted]:
    """A function of arrays becomes one of memory; `by`: what computes it, for people; leading: it
    takes any number of axes in front of those that its options speak of."""
    return lambda function: Hosted(function, by, leading)


def matrices(by: str) -> Callable[[Callable[..., tuple[Array, ...]]], Hosted]:
    """A function of matrices, or of batches of them, becomes one of memory."""
    return hosted(by, leading=True)


def of_pairs(real: Hosted) -> Hosted:
    """The same function of complex matrices: they come and go as pairs (re, im) along a last axis,
    real results as they are."""

    def function(*given: Any) -> tuple[Array, ...]:
        import numpy as np

        seen = [_complex(x) if isinstance(x, np.ndarray) else x for x in given]
        return tuple(_as_pairs(np.asarray(y)) for y in real.function(*seen))

    function.__name__ = real.function.__name__
    return Hosted(function, real.by, real.leading)


def _complex(pairs: Array) -> Array:
    """Pairs as complex numbers, in the same memory."""
    kind = "complex128" if pairs.dtype.itemsize == 8 else "complex64"
    if not pairs.size:
        return pairs[..., 0].astype(kind)
    seen: Array = pairs.view(kind)[..., 0]
    return seen


def _as_pairs(array: Array) -> Array:
    import numpy as np

    if array.dtype.kind != "c":
        return array
    return np.stack([array.real, array.imag], -1)


def _buffer(array: Array) -> Buffer:
    import numpy as np

    memory = allocate(max(1, array.nbytes))
    flat = np.ascontiguousarray(array).reshape(-1)
    memory.write_bytes(flat.view(np.uint8) if array.size else b"")
    return memory


def _batched(name: str, why: str, function: Callable[..., Any], *arrays: Array) -> Any:
    """function(*arrays); where it fails, an error that says for which matrix of the batch."""
    import numpy as np

    try:
        return function(*arrays)
    except np.linalg.LinAlgError:
        for at in indices_of(*map(range, arrays[0].shape[:-2])):
            try:
                function(*(a[at] for a in arrays))
            except np.linalg.LinAlgError:
                raise fault(name, why, arrays[0], at) from None
        raise


def fault(name: str, why: str, array: Array, at: tuple[int, ...]) -> LinAlgError:
    """The error of one matrix of a batch."""
    lead = array.shape[:-2]
    which = f"matrix {list(at)} of the batch {shape_text(lead)}" if at else "the matrix"
    return LinAlgError(f"{name}: {which} {why}" + at_line())


def _finite(name: str, *arrays: Array) -> None:
    """Raise where there are NaN or infinities, of which iterative algorithms make anything."""
    import numpy as np

    for array in arrays:
        whole = np.isfinite(array).all((-1, -2))
        if not whole.all():
            at = tuple(int(i) for i in np.argwhere(~whole)[0])
            raise fault(name, "holds a NaN or an infinity", array, at)


@matrices("LAPACK's potrf, called by numpy.linalg.cholesky")
def cholesky(a: Array) -> tuple[Array, ...]:
    """The lower factors, of the lower triangles."""
    import numpy as np

    _finite("cholesky", np.tril(a))
    why = "is not positive definite, or its lower triangle is not that of a symmetric matrix"
    return (_batched("cholesky", why, np.linalg.cholesky, a),)


@matrices("LAPACK's geqrf and orgqr, called by numpy.linalg.qr")
def qr(a: Array, mode: Literal["reduced", "complete"]) -> tuple[Array, ...]:
    """Q and R."""
    import numpy as np

    q, r = np.linalg.qr(a, mode)
    return q, r


@matrices("LAPACK's gesdd, called by numpy.linalg.svd")
def svd(a: Array, full: bool) -> tuple[Array, ...]:
    """U, the singular values and Vh."""
    import numpy as np

    _finite("svd", a)
    u, s, vh = _batched("svd", DIVERGES,
                        lambda x: np.linalg.svd(x, full_matrices=full), a)  # fmt: skip
    return u, s, vh


@matrices("LAPACK's gesdd, called by numpy.linalg.svd")
def svdvals(a: Array) -> tuple[Array, ...]:
    """The singular values."""
    import numpy as np

    _finite("svdvals", a)
    return (_batched("svdvals", DIVERGES,
                     lambda x: np.linalg.svd(x, compute_uv=False), a),)  # fmt: skip


@matrices("LAPACK's syevd, called by numpy.linalg.eigh")
def eigh(a: Array, uplo: Literal["L", "U"]) -> tuple[Array, ...]:
    """Eigenvalues and eigenvectors, of one triangle."""
    import numpy as np

    _finite("eigh", np.tril(a) if uplo == "L" else np.triu(a))
    w, v = _batched("eigh", DIVERGES,
                    lambda x: np.linalg.eigh(x, uplo), a)  # fmt: skip
    return w, v


@matrices("LAPACK's syevd, called by numpy.linalg.eigvalsh")
def eigvalsh(a: Array, uplo: Literal["L", "U"]) -> tuple[Array, ...]:
    """Eigenvalues, of one triangle."""
    import numpy as np

    _finite("eigvalsh", np.tril(a) if uplo == "L" else np.triu(a))
    return (_batched("eigvalsh", DIVERGES,
                     lambda x: np.linalg.eigvalsh(x, uplo), a),)  # fmt: skip


@matrices("LAPACK's geev, called by numpy.linalg.eig")
def eig(a: Array, real: bool) -> tuple[Array, ...]:
    """Eigenvalues and eigenvectors of length 1, of complex matrices; real: of their real parts, in
    conjugate pairs."""
    import numpy as np

    _finite("eig", a)
    w, v = _batched("eig", DIVERGES, np.linalg.eig, a.real if real else a)
    return w.astype(a.dtype), v.astype(a.dtype)


@matrices("LAPACK's geev, called by numpy.linalg.eigvals")
def eigvals(a: Array, real: bool) -> tuple[Array, ...]:
    """The eigenvalues alone."""
    import numpy as np

    _finite("eigvals", a)
    w = _batched("eigvals", DIVERGES, np.linalg.eigvals, a.real if real else a)
    return (w.astype(a.dtype),)


@matrices("LAPACK's gesv, called by numpy.linalg.solve")
def solve(a: Array, b: Array, name: str) -> tuple[Array, ...]:
    """The X with a X = b; an error is that of `name`."""
    import numpy as np

    return (_batched(name, SINGULAR, np.linalg.solve, a, b),)


@matrices("LAPACK's gesv, called by numpy.linalg.inv")
def inv(a: Array, name: str, fill: bool) -> tuple[Array, ...]:
    """Inverses; where there is none, an error of `name`, or (fill) infinities."""
    import numpy as np

    if not fill:
        return (_batched(name, SINGULAR, np.linalg.inv, a),)
    result = np.full_like(a, np.inf)
    for at in indices_of(*map(range, a.shape[:-2])):
        try:
            result[at] = np.linalg.inv(a[at])
        except np.linalg.LinAlgError:
            continue
    return (result,)


@matrices("LAPACK's getrf, called by numpy.linalg.det")
def det(a: Array) -> tuple[Array, ...]:
    """Determinants."""
    import numpy as np

    return (np.asarray(np.linalg.det(a)),)


@matrices("LAPACK's getrf, called by numpy.linalg.slogdet")
def slogdet(a: Array) -> tuple[Array, ...]:
    """Signs of determinants, and logarithms of their absolute values."""
    import numpy as np

    sign, log = np.linalg.slogdet(a)
    return np.asarray(sign), np.asarray(log)


@matrices("LAPACK's gesdd and getrf, called by numpy.linalg.svd and det")
def cofactors(a: Array) -> tuple[Array, ...]:
    """det A · A⁻ᵀ, also where A is singular: det U · det Vh · U diag(Π of the other σ) Vh"""
    import numpy as np

    _finite("det", a)
    u, s, vh = _batched("det", DIVERGES, np.linalg.svd, a)
    ones = np.ones_like(s[..., :1])
    before = np.cumprod(np.concatenate([ones, s[..., :-1]], -1), -1)
    after = np.cumprod(np.concatenate([ones, s[..., :0:-1]], -1), -1)[..., ::-1]
    sign = np.linalg.det(u) * np.linalg.det(vh)
    others = (before * after)[..., : s.shape[-1]]
    return ((u * (others * sign[..., None])[..., None, :]) @ vh,)


@matrices("LAPACK's gesdd, called by numpy.linalg.svd; syevd, by eigh, if hermitian")
def pinv(a: Array, atol: float | None, rtol: float | None, hermitian: bool) -> tuple[Array, ...]:
    """Pseudo-inverses, singular values up to a limit counted as 0."""
    import numpy as np

    _finite("pinv", np.tril(a) if hermitian else a)
    if hermitian:
        w, u = _batched("pinv", DIVERGES, np.linalg.eigh, a)
        s, left, right = abs(w), u, u.conj().swapaxes(-1, -2) * np.sign(w)[..., None]
    else:
        left, s, right = _batched("pinv", DIVERGES, _reduced_svd, a)
    keep = s > limits(s.max(-1, keepdims=True, initial=0), a.shape, a.dtype, atol, rtol)
    inverse = np.where(keep, 1 / np.where(keep, s, 1), 0)
    turned = right.conj().swapaxes(-1, -2)
    result = (turned * inverse[..., None, :]) @ left.conj().swapaxes(-1, -2)
    return (np.asarray(result, a.dtype),)


def _reduced_svd(a: Array) -> Any:
    import numpy as np

    return np.linalg.svd(a, full_matrices=False)


def limits(
    largest: Array, shape: Sequence[int], dtype: Any, atol: float | None, rtol: float | None
) -> Array:
    """Singular values up to this count as 0."""
    import numpy as np

    if rtol is None:
        rtol = 0.0 if atol else float(max(shape[-2:]) * np.finfo(dtype).eps)
    return np.asarray(np.maximum(atol or 0.0, rtol * largest), np.finfo(dtype).dtype)


@matrices("LAPACK's gelsd, called by numpy.linalg.lstsq")
def lstsq(a: Array, b: Array, rcond: float | None) -> tuple[Array, ...]:
    """Solutions, ranks and singular values."""
    import numpy as np

    _finite("lstsq", a, b)
    lead, (m, n), k = a.shape[:-2], a.shape[-2:], b.shape[-1]
    x = np.zeros((*lead, n, k), a.dtype)
    rank = np.zeros(lead, np.int64)
    s = np.zeros((*lead, min(m, n)), a.dtype)
    for at in indices_of(*map(range, lead)):
        if min(m, n):
            done = _batched("lstsq", DIVERGES, lambda p, q: np.linalg.lstsq(p, q, rcond),
                            a[at], b[at])  # fmt: skip
            x[at], _, rank[at], s[at] = done
    return x, rank, s


@matrices("NumPy, column by column, as LAPACK's getf2")
def lu(a: Array, pivot: bool, name: str) -> tuple[Array, ...]:
    """L and U in one array, the rows that were exchanged (from 1 on), the order of rows that comes
    of it, and where the first pivot is 0 (else 0), which is an error if there is a name for it.
    NumPy has no LU: column by column, as LAPACK's getf2."""
    import numpy as np

    lead, (m, n) = a.shape[:-2], a.shape[-2:]
    k, x = min(m, n), a.reshape(product(lead), m, n).copy()
    every = np.arange(len(x))
    swaps = np.tile(np.arange(1, k + 1, dtype=np.int32), (len(x), 1))
    order = np.tile(np.arange(m), (len(x), 1))
    info = np.zeros(len(x), np.int32)
    for j in range(k):
        if pivot:
            best = j + np.abs(x[:, j:, j]).argmax(1)
            swaps[:, j] = best + 1
            for rows in (x, order):
                kept = rows[every, j].copy()
                rows[every, j] = rows[every, best]
                rows[every, best] = kept
        divisor = x[:, j, j]
        info[(divisor == 0) & (info == 0)] = j + 1
        x[:, j + 1 :, j] /= np.where(divisor == 0, 1, divisor)[:, None]
        x[:, j + 1 :, j + 1 :] -= x[:, j + 1 :, j, None] * x[:, j, None, j + 1 :]
    info = info.reshape(lead)
    if name and info.any():
        at = tuple(int(i) for i in np.argwhere(info)[0])
        raise fault(name, f"has 0 as its pivot {info[at]}", a, at)
    return x.reshape(a.shape), swaps.reshape(*lead, k), order.reshape(*lead, m), info


@matrices("NumPy")
def exchanges(pivots: Array, m: int, name: str) -> tuple[Array, ...]:
    """The order of m rows after exchanging row i with row pivots[i] − 1, for each i in turn."""
    import numpy as np

    *lead, n = pivots.shape
    flat = pivots.reshape(product(lead), n)
    if flat.size and not (flat.min() >= 1 and flat.max() <= m):
        raise ValueError(
            f"{name}: pivots are from 1 to {m}, not {flat.min()} to {flat.max()}" + at_line()
        )
    order, every = np.tile(np.arange(m), (len(flat), 1)), np.arange(len(flat))
    for j in range(n):
        kept = order[every, j].copy()
        order[every, j] = order[every, flat[:, j] - 1]
        order[every, flat[:, j] - 1] = kept
    return (order.reshape(*lead, m),)


@hosted("LAPACK's geqrf, called by numpy.linalg.qr")
def geqrf(a: Array) -> tuple[Array, ...]:
    """R and the vectors of reflections in one array, and their factors."""
    import numpy as np

    lead, (m, n) = a.shape[:-2], a.shape[-2:]
    if not min(m, n):
        return a, np.zeros((*lead, 0), a.dtype)
    packed, tau = np.linalg.qr(a, "raw")
    return packed.swapaxes(-1, -2), tau


@matrices("LAPACK's potrf, called by numpy.linalg.cholesky")
def definite(a: Array) -> tuple[Array, ...]:
    """The order of the first leading minor that is not positive, or 0, as LAPACK's potrf says."""
    import numpy as np

    found = np.zeros(a.shape[:-2], np.int32)
    for at in indices_of(*map(range, found.shape)):
        for k in range(1, a.shape[-1] + 1):
            try:
                sound = bool(np.isfinite(np.linalg.cholesky(a[at][:k, :k])).all())
            except np.linalg.LinAlgError:
                sound = False
            if not sound:
                found[at] = k
                break
    return (found,)


# Padé approximant of order 13 of exp and the greatest 1-norm for which it is exact to double
# precision: Higham, The scaling and squaring method for the matrix exponential revisited (2005),
# b_j = (26 − j)! 13! / (26! j! (13 − j)!), here as multiples of b_13.
PADE = [math.factorial(26 - j) // (math.factorial(j) * math.factorial(13 - j)) for j in range(14)]
PADE_NORM = 5.371920351148152


@matrices("NumPy: a Padé approximant, and LAPACK's gesv called by numpy.linalg.solve")
def exponential(a: Array) -> tuple[Array, ...]:
    """exp of each matrix, in float64: of the matrix halved until it is small, then squared."""
    import numpy as np

    _finite("matrix_exp", a)
    result = np.zeros(a.shape, np.float64)
    one = np.eye(a.shape[-1])
    for at in indices_of(*map(range, a.shape[:-2])):
        x = a[at].astype(np.float64)
        norm = abs(x).sum(0).max(initial=0.0)
        halvings = max(0, math.ceil(math.log2(norm / PADE_NORM))) if norm else 0
        x = x / 2.0**halvings
        b, square, power = [c / PADE[13] for c in PADE], x @ x, one
        even, odd = np.zeros_like(x), np.zeros_like(x)
        for j in range(0, 14, 2):
            even, odd, power = even + b[j] * power, odd + b[j + 1] * power, power @ square
        odd = x @ odd
        x = np.linalg.solve(even - odd, even + odd)
        for _ in range(halvings):
            x = x @ x
        result[at] = x
    return (result.astype(a.dtype),)
