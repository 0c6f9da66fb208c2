"""Sums of products: matmul and its relatives, einsum, written in the axes notation.

Must not know how a contraction runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from . import pointwise as pw
from .autocast import lowered
from .core import Core, Paired
from .errors import Marks, ShapeError, at_line, check_types, lined_up
from .misuse import named
from .notation import Axis, Indexed, axes, indexed
from .path import path
from .shape import diagonal, unsqueeze

if TYPE_CHECKING:
    from .tensor import Tensor


def _mismatch(operation: str, a: Core, b: Core, why: str, marks: Marks = 0) -> ShapeError:
    return ShapeError(f"{operation}: {why}" + lined_up(marks, a=a._shape, b=b._shape) + at_line())


@named
def matmul(a: Core, b: Core) -> Tensor:
    """y[…, i, j] = Σ_k a[…, i, k] · b[…, k, j]; a vector is a row left of @, a column right of it.

    Leading axes broadcast. Raises ShapeError when the k differ, TypeError for two dtypes.

    >>> (gu.ones(2, 3) @ gu.ones(3, 4)).shape
    (2, 4)
    """
    a, b = lowered(a), lowered(b)
    check_types("matmul", a.dtype, b.dtype)
    if not a.ndim or not b.ndim:
        raise _mismatch("matmul", a, b, "both sides need at least one axis; use * for numbers")
    inner_b = b._shape[-2] if b.ndim > 1 else b._shape[0]
    if a._shape[-1] != inner_b:
        raise _mismatch(
            "matmul", a, b,
            f"a's last axis has {int(a._shape[-1])}, b's "
            f"{'second to last' if b.ndim > 1 else 'only'} axis {int(inner_b)}: they must be equal",
            {"a": 1, "b": min(b.ndim, 2)},
        )  # fmt: skip
    if isinstance(a, Paired):
        from .complex.products import matmul as counterpart

        return counterpart(a, b)
    lead = _leading(a, b)
    batch = axes(len(lead))
    i, j, k = axes("i j k")
    left = indexed(a, (*_lead(a._shape[:-2], lead, batch), *((i,) if a.ndim > 1 else ()), k))
    right = indexed(b, (*_lead(b._shape[:-2], lead, batch), k, *((j,) if b.ndim > 1 else ())))
    free = (*batch, *((i,) if a.ndim > 1 else ()), *((j,) if b.ndim > 1 else ()))
    return _of_type((left * right).sum(k).order(*free), a)


def _of_type(product: Tensor, operand: Core) -> Tensor:
    """A sum of products of integers in their own type, as PyTorch's: sums are int64."""
    return pw.cast(product, operand.dtype) if operand.dtype.is_int else product


def _leading(a: Core, b: Core) -> tuple[int, ...]:
    """The axes in front of the matrices, broadcast."""
    try:
        return pw.broadcast("matmul", a._shape[:-2], b._shape[:-2])
    except ShapeError:
        pairs = zip(a._shape[-3::-1], b._shape[-3::-1], strict=False)
        axis = 3 + [s == r or 1 in (s, r) for s, r in pairs].index(False)
        sizes = f"{int(a._shape[-axis])} and {int(b._shape[-axis])}"
        raise _mismatch(
            "matmul", a, b, f"axes before the last two broadcast: counted from the right, axis "
            f"{axis} has sizes {sizes}, which are not equal, and none is 1", axis,
        ) from None  # fmt: skip


def _lead(
    own: tuple[int, ...], full: tuple[int, ...], batch: tuple[Axis, ...]
) -> tuple[Axis | int, ...]:
    """The batch axes of one side: a size of 1 that broadcasts is read at 0."""
    skip = len(full) - len(own)
    return tuple(
        0 if s == 1 and full[skip + d] != 1 else batch[skip + d] for d, s in enumerate(own)
    )


@named
def mm(a: Core, b: Core) -> Tensor:
    """y[i, j] = Σ_k a[i, k] · b[k, j], matrices only."""
    if a.ndim != 2 or b.ndim != 2:
        raise _mismatch("mm", a, b, "two matrices expected; @ broadcasts")
    return matmul(a, b)


@named
def bmm(a: Core, b: Core) -> Tensor:
    """y[n, i, j] = Σ_k a[n, i, k] · b[n, k, j]"""
    if a.ndim != 3 or b.ndim != 3 or a._shape[0] != b._shape[0]:
        raise _mismatch("bmm", a, b, "(n, i, k) and (n, k, j) expected; @ broadcasts")
    return matmul(a, b)


@named
def mv(a: Core, b: Core) -> Tensor:
    """y[i] = Σ_k a[i, k] · b[k]"""
    if a.ndim != 2 or b.ndim != 1:
        raise _mismatch("mv", a, b, "a matrix and a vector expected")
    return matmul(a, b)


@named
def dot(a: Core, b: Core) -> Tensor:
    """Σ_k a[k] · b[k]"""
    if a.ndim != 1 or b.ndim != 1:
        raise _mismatch("dot", a, b, "two vectors expected; use @ for matrices")
    return matmul(a, b)


@named
def outer(a: Core, b: Core) -> Tensor:
    """y[i, j] = a[i] · b[j]"""
    if a.ndim != 1 or b.ndim != 1:
        raise _mismatch("outer", a, b, "two vectors expected")
    return pw.binary("mul", unsqueeze(a, 1), b)


# ---- einsum --------------------------------------------------------------------------------------


def _parse(equation: str, ranks: list[int]) -> tuple[list[str], str, int]:
    """(one letter for each axis of each operand, those of the result, number of `...` axes).

    Axes that `...` stands for become upper-case Greek letters, counted from the right.
    """
    text = equation.replace(" ", "")
    left, arrow, right = text.partition("->")
    terms = left.split(",")
    if len(terms) != len(ranks):
        raise ValueError(
            f"einsum: {equation!r} names {len(terms)} operands, {len(ranks)} were given" + at_line()
        )
    most = 0
    for term, rank in zip(terms, ranks, strict=True):
        named = len(term.replace("...", ""))
        if ("..." not in term and named != rank) or named > rank:
            raise ShapeError(
                f"einsum: {term!r} in {equation!r} names {named} axes of an operand that has {rank}"
                + at_line()
            )
        most = max(most, rank - named) if "..." in term else most
    dots = "".join(chr(0x391 + i) for i in range(most))
    full = [
        t.replace("...", dots[len(dots) - (r - len(t) + 3) :] if r - len(t) + 3 else "")
        for t, r in zip(terms, ranks, strict=True)
    ]
    if arrow:
        result = right.replace("...", dots)
    else:
        letters = "".join(full)
        result = dots + "".join(
            sorted(c for c in set(letters) if letters.count(c) == 1 and c not in dots)
        )
    bad = [c for c in "".join(terms).replace(".", "") + right.replace(".", "") if not c.isalpha()]
    unknown = [c for c in result if c not in "".join(full)]
    if bad or unknown or len(set(result)) != len(result):
        raise ValueError(
            f"einsum: {equation!r}: the result names each of the operands' letters at most once"
            + at_line()
        )
    return full, result, most


@named
def einsum(equation: str, *operands: Any) -> Tensor:
    """Sum of products over the axes that the result does not name.

    equation: letters for the axes of each operand, then those of the result: "ik,kj->ij". A letter
    twice in one operand takes its diagonal; `...` stands for axes that broadcast.
    Several operands are contracted two at a time, in the order that takes the fewest multiply-adds
    (the best of all orders for up to 8 operands, see path.py).

    >>> gu.einsum("ik,kj->ij", gu.ones(2, 3), gu.ones(3, 4)).shape
    (2, 4)
    """
    if len(operands) == 1 and isinstance(operands[0], list | tuple):
        operands = tuple(operands[0])
    operands = tuple(lowered(x) for x in operands)
    terms, result, _ = _parse(equation, [x.ndim for x in operands])
    for x in operands[1:]:
        check_types("einsum", operands[0].dtype, x.dtype)
    _check_sizes(equation, terms, operands)
    standing = [_diagonals(x, term) for x, term in zip(operands, terms, strict=True)]
    standing = [_summed(i, standing, result) for i in range(len(standing))]
    for i, j in path([t for _, t in standing], result, _plain_sizes(standing)):
        right, left = standing.pop(j), standing.pop(i)
        following = set(result).union(*(t for _, t in standing))
        standing.append(_contract(*left, *right, following, None if standing else result))
    ((current, letters),) = standing
    if len(operands) == 1:
        return _close(current, letters, result)
    whole = letters == result
    product = cast("Tensor", current) if whole else _close(current, letters, result)
    return _of_type(product, operands[0])


def _plain_sizes(pairs: list[tuple[Core, str]]) -> dict[str, int]:
    return {letter: int(size) for letter, size in _sizes(pairs).items()}


def _summed(i: int, pairs: list[tuple[Core, str]], result: str) -> tuple[Core, str]:
    """An operand summed over the letters that nobody else names: they are no part of a product."""
    x, term = pairs[i]
    if len(pairs) == 1:
        return x, term
    others = set(result).union(*(t for k, (_, t) in enumerate(pairs) if k != i))
    kept = "".join(c for c in term if c in others)
    return (x, term) if kept == term else (_close(x, term, kept), kept)


def _check_sizes(equation: str, terms: list[str], operands: tuple[Any, ...]) -> None:
    found: dict[str, int] = {}
    for term, x in zip(terms, operands, strict=True):
        for letter, size in zip(term, x._shape, strict=True):
            before = found.get(letter, 1)
            if before != 1 and size not in (1, before):
                raise ShapeError(
                    f"einsum: axis {letter!r} of {equation!r} has sizes {before} and {size}"
                    + lined_up(
                        {f"operand {i}": len(t) - t.index(letter)
                         for i, t in enumerate(terms) if letter in t},
                        **{f"operand {i}": o._shape for i, o in enumerate(operands)},
                    )
                    + at_line()
                )
            if size != 1:
                found[letter] = size


def _diagonals(x: Core, term: str) -> tuple[Core, str]:
    """A letter that an operand names twice becomes one axis."""
    while len(set(term)) != len(term):
        letter = next(c for c in term if term.count(c) > 1)
        first = term.index(letter)
        second = term.index(letter, first + 1)
        x = diagonal(x, 0, first, second)
        rest = [c for i, c in enumerate(term) if i not in (first, second)]
        term = "".join(rest) + letter
    return x, term


def _sizes(pairs: list[tuple[Core, str]]) -> dict[str, int]:
    result: dict[str, int] = {}
    for x, term in pairs:
        for letter, size in zip(term, x._shape, strict=True):
            if result.get(letter, 1) == 1:
                result[letter] = size
    return result


def _read(x: Core, term: str, named: dict[str, Axis], size: dict[str, int]) -> Indexed:
    key = tuple(
        0 if n == 1 and size[c] != 1 else named[c] for c, n in zip(term, x._shape, strict=True)
    )
    return indexed(x, key)


def _contract(
    a: Core, la: str, b: Core, lb: str, following: set[str], result: str | None
) -> tuple[Core, str]:
    """Two operands as one, summed over the letters that nothing after them needs.

    Its axes are those of the result, for the last two; else the ones that both have, then those of
    each: a matrix product for each element of the first.
    """
    if isinstance(a, Paired) and isinstance(b, Paired):
        from .complex.products import contracted

        return contracted(a, la, b, lb, following, result)
    size = _sizes([(a, la), (b, lb)])
    named = dict(zip(size, axes(len(size)), strict=True))
    kept = [c for c in size if c in following]
    if result is not None and set(result) == set(kept):
        kept = list(result)
    else:
        kept.sort(key=lambda c: (not (c in la and c in lb), c not in la))
    gone = [named[c] for c in size if c not in following]
    product = _read(a, la, named, size) * _read(b, lb, named, size)
    if gone:
        product = product.sum(*gone)
    return product.order(*(named[c] for c in kept)), "".join(kept)


def _close(x: Core, letters: str, result: str) -> Tensor:
    if isinstance(x, Paired):
        from .complex.products import WHOLE

        return x.over(lambda p: _close(p, letters + WHOLE, result + WHOLE))
    size = _sizes([(x, letters)])
    named = dict(zip(size, axes(len(size)), strict=True))
    body = _read(x, letters, named, size)
    gone = [named[c] for c in letters if c not in result]
    if gone:
        body = body.sum(*gone)
    return body.order(*(named[c] for c in result))
