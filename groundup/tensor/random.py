"""Random numbers: uniform and normal ones, whole ones, orders and choices.

Each is a function of the words that a generator gives for its element. Other distributions are in
`samplers`. Must not know how words are made.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ..ir import dtype as dt
from ..ir import node as ir
from ..ir.dtype import DType
from ..ir.extent import symbolic_key
from ..ir.node import Node
from ..runtime import pool
from . import pointwise as pw
from . import storage as store
from .core import Core, finish, force, value_of
from .engine import debugging
from .errors import at_line, whole_number
from .generator import Generator, _no_grad, _u64, chosen, known
from .indexing import host_values
from .misuse import named
from .mode import state as mode
from .shape import sizes
from .storage import from_values
from .tensor import Tensor

if TYPE_CHECKING:
    from ..schedule import Plan


# ---- distributions -------------------------------------------------------------------------------


def uniform_number(words: list[Node], dtype: DType) -> Node:
    """[0, 1): the upper 24 bits of a word (53 of two, for float64), each step equally likely."""
    if dtype is dt.float64:
        both = ir.alu("or", ir.alu("shl", words[1], _u64(32)), words[0])
        return ir.alu(
            "mul",
            ir.cast(ir.alu("shr", both, _u64(11)), dtype),
            ir.const(2.0**-53, dtype),
        )
    x = ir.cast(ir.alu("shr", words[0], _u64(8)), dt.float32)
    return ir.alu("mul", x, ir.const(2.0**-24, dt.float32))


def normal_number(words: list[Node], dtype: DType) -> Node:
    """√(−2 log u) · cos(2π v), u in (0, 1], v in [0, 1) (Box & Muller 1958)."""
    wide = dt.float64 if dtype is dt.float64 else dt.float32
    scale, half = ir.const(2.0**-32, wide), ir.const(2.0**-33, wide)
    u = ir.alu("add", ir.alu("mul", ir.cast(words[0], wide), scale), half)
    v = ir.alu("mul", ir.cast(words[1], wide), scale)
    radius = ir.alu("sqrt", ir.alu("mul", ir.const(-2.0, wide), ir.alu("log", u)))
    angle = ir.alu("mul", ir.const(6.283185307179586, wide), v)
    return ir.alu("mul", radius, ir.alu("cos", angle))


def _random(
    shape: tuple[int, ...],
    generator: Generator | None,
    body: Callable[[list[Node]], Node],
    requires_grad: bool = False,
) -> Tensor:
    words, state = chosen(generator).draw(shape)
    result = finish(ir.loops(shape, body(words)), state)
    return result.requires_grad_() if requires_grad else result


def _floating(name: str, dtype: DType) -> None:
    if not dtype.is_float:
        raise TypeError(f"{name} gives floating types, not {dtype.name}; see randint" + at_line())


def rand(
    *size: Any,
    dtype: DType = dt.float32,
    generator: Generator | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Uniform numbers from [0, 1)."""
    if dtype.is_complex:
        from .complex.create import rand as counterpart

        return counterpart(sizes(size), dtype, generator, requires_grad)
    _floating("rand", dtype)
    return _random(
        sizes(size), generator, lambda w: ir.cast(uniform_number(w, dtype), dtype), requires_grad
    )


def randn(
    *size: Any,
    dtype: DType = dt.float32,
    generator: Generator | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Normal numbers of mean 0 and variance 1; of a complex type, ½ in each part."""
    if dtype.is_complex:
        from .complex.create import randn as counterpart

        return counterpart(sizes(size), dtype, generator, requires_grad)
    _floating("randn", dtype)
    return _random(
        sizes(size), generator, lambda w: ir.cast(normal_number(w, dtype), dtype), requires_grad
    )


_DRAWS: dict[str, Callable[..., Tensor]] = {"uniform": rand, "normal": randn}
_fills: dict[tuple[Any, ...], Plan] = {}
_KEPT = 4096  # plans remembered by what they draw


def fill(
    target: Core, kind: str, scale: float, shift: float, generator: Generator | None = None
) -> None:
    """target ← draw · scale + shift, now; "uniform" draws are from [0, 1), "normal" ones N(0, 1).

    A model draws once for each of its parameters, many of one shape: the expression of the first is
    remembered as its plan, and the others only run it. They get the numbers that it would give.
    """
    with _no_grad(), pool.lock:
        tracing = store.tracing() is not None
        if tracing or mode.mapped or debugging() or not _whole(target):
            value = scaled(target, kind, scale, shift, generator)
            target.assign(kind, value_of(value), value._storage.oldest)
            if not (tracing or mode.mapped):
                force([target._storage])
            return
        target.check_writable(kind)
        key = (kind, target._shape, target.dtype, float(scale).hex(), float(shift).hex())
        plan = _fills.get(key)
        stream = chosen(generator)
        state = stream.state._storage
        force([state])
        before = state.buffer
        assert before is not None
        if plan is None:
            from ..schedule import Signature, plan_for

            node = value_of(scaled(target, kind, scale, shift, generator))
            signature = Signature([node])
            plan = plan_for(signature, [node], (None,))
            if signature.buffers == [before]:
                if len(_fills) >= _KEPT:
                    del _fills[next(iter(_fills))]
                _fills[key] = plan
            (result,) = plan.run(signature.buffers, None, (None,))
        else:
            (result,) = plan.run([before], None, (None,))
            del before  # else the state would be copied to be advanced
            stream.advance()
        target._storage.put(result)


def _whole(t: Core) -> bool:
    """Is a tensor all of its own memory, of a size that is a number?"""
    return t._parent is None and t._storage.owner is None and symbolic_key(t._shape) is None


def scaled(
    target: Core, kind: str, scale: float, shift: float, generator: Generator | None
) -> Tensor:
    """draw · scale + shift in the shape and type of a tensor."""
    draws = _DRAWS[kind](target._shape, dtype=target.dtype, generator=generator)
    return draws * scale + shift


@named
def randint(
    low: int,
    high: int | Sequence[int] | None = None,
    size: Sequence[int] | None = None,
    dtype: DType = dt.int64,
    generator: Generator | None = None,
) -> Tensor:
    """Integers from low (0 if left out) up to but without high, equally likely.

    A 64-bit number modulo high − low: the bias is less than (high − low) / 2⁶⁴.
    """
    shape = high if size is None else size
    first, end = (low, high) if isinstance(high, int) else (0, low)
    if shape is None or isinstance(shape, int):
        raise TypeError("randint(low, high, size) or randint(high, size)" + at_line())
    first = whole_number("randint", "low", first)
    end = whole_number("randint", "high", end)
    if not isinstance(dtype, DType):
        raise TypeError(f"randint: dtype is a type, not a {type(dtype).__name__}" + at_line())
    if dtype.is_complex:
        raise TypeError(f"randint gives whole numbers, not {dtype.name}" + at_line())
    if end <= first:
        raise ValueError(f"randint: nothing from {first} up to but without {end}" + at_line())
    if first < -(2**63) or end > 2**63:
        raise OverflowError(f"randint: {first} to {end} is more than int64 holds" + at_line())

    return integers(first, end, sizes((shape,)), dtype, generator)


def integers(
    first: int, end: int, shape: tuple[int, ...], dtype: DType, generator: Generator | None
) -> Tensor:
    """Integers from first up to but without end, which both 64 bits hold, equally likely."""
    kind = dt.int64 if first < 0 else dt.uint64

    def body(words: list[Node]) -> Node:
        both = ir.alu("or", ir.alu("shl", words[1], _u64(32)), words[0])
        rest = both if end - first == 2**64 else ir.alu("mod", both, _u64(end - first))
        value = ir.alu("add", rest, _u64(first & (2**64 - 1)))  # wraps, as two's complement does
        return ir.cast(ir.cast(value, kind), dtype)

    return _random(shape, generator, body)


@named
def bernoulli(
    p: Core, probability: float | None = None, *, generator: Generator | None = None
) -> Tensor:
    """1 with probability p[…], else 0, in p's shape and type.

    probability: one for all places, whatever is in p (PyTorch's p beside an input).
    Raises ValueError for a p outside [0, 1] or NaN (in captured functions, 0 comes of NaN).

    >>> gu.bernoulli(gu.tensor([0.0, 1.0])).tolist()
    [0.0, 1.0]
    """
    if not isinstance(p, Core):
        raise TypeError(f"bernoulli takes a tensor, not a {type(p).__name__}" + at_line())
    if probability is not None:
        from .create import full

        return bernoulli(full(p._shape, probability, dtype=p.dtype), generator=generator)
    _floating("bernoulli", p.dtype)
    if known():
        fine = pw.binary("and", pw.binary("le", 0.0, p), pw.binary("le", p, 1.0))
        if not bool(fine.all().item()):
            raise ValueError(
                f"bernoulli: probabilities are from 0 to 1, everywhere in a tensor of shape "
                f"{tuple(p._shape)}" + at_line()
            )
    words, state = chosen(generator).draw(p._shape)
    kind = dt.float64 if p.dtype is dt.float64 else dt.float32
    chance = ir.cast(pw.read_at(value_of(p), p._shape), kind)
    below = ir.alu("lt", uniform_number(words, kind), chance)
    return finish(ir.loops(p._shape, ir.cast(below, p.dtype)), p, state)


@named
def randperm(n: int, *, generator: Generator | None = None, dtype: DType = dt.int64) -> Tensor:
    """The numbers 0 … n − 1 in a random order: sorted by random 64-bit keys (computed now)."""
    n = whole_number("randperm", "n", n)
    if n < 0:
        raise ValueError(f"randperm: n is 0 or more, not {n}" + at_line())

    def body(words: list[Node]) -> Node:
        return ir.alu("or", ir.alu("shl", words[1], _u64(32)), words[0])

    keys: list[Any] = host_values(_random((n,), generator, body), "randperm")
    order: list[int] = sorted(range(n), key=keys.__getitem__)
    return Tensor._make(from_values(order, (n,), dtype))


@named
def rand_like(a: Core, dtype: DType | None = None, generator: Generator | None = None) -> Tensor:
    """Uniform numbers from [0, 1) in the shape and type of another tensor."""
    return rand(a._shape, dtype=dtype or a.dtype, generator=generator)


@named
def randn_like(a: Core, dtype: DType | None = None, generator: Generator | None = None) -> Tensor:
    """Normal numbers in the shape and type of another tensor."""
    return randn(a._shape, dtype=dtype or a.dtype, generator=generator)


def _outcomes(p: Core, count: int, replacement: bool) -> None:
    """Raise unless so many indices can be drawn from the rows of p."""
    if not isinstance(p, Core):
        raise TypeError(f"multinomial takes a tensor, not a {type(p).__name__}" + at_line())
    count = whole_number("multinomial", "num_samples", count)
    if p.ndim not in (1, 2) or not p.dtype.is_float:
        raise ValueError(
            f"multinomial: floating probabilities in one axis or two, not {p.dtype.name} of shape "
            f"{tuple(p._shape)}" + at_line()
        )
    size = int(p._shape[-1])
    if count < 1 or (count > size and not replacement) or size == 0:
        raise ValueError(
            f"multinomial: {count} of {size} outcomes cannot be drawn"
            + ("" if replacement else " without replacement") + at_line()
        )  # fmt: skip
    if not known():
        return
    values = host_values(p, "multinomial")
    totals = [sum(values[i : i + size]) for i in range(0, len(values), size)]
    if not all(0 <= v < math.inf for v in values) or not all(t > 0 for t in totals):
        raise ValueError(
            "multinomial: probabilities are finite, not negative, and not all 0" + at_line()
        )


@named
def multinomial(
    p: Core, num_samples: int, replacement: bool = False, generator: Generator | None = None
) -> Tensor:
    """Indices drawn with probabilities proportional to the rows of p.

    With replacement by the running sum of p; without, the largest log p + Gumbel noise.
    """
    from .running import cumsum

    _outcomes(p, num_samples, replacement)
    rows = p._shape[:-1]
    if replacement:
        total = cumsum(p, -1)
        at = rand(*rows, num_samples, 1, dtype=p.dtype, generator=generator)
        bound = total.unsqueeze(-2)
        last = total[..., -1:].unsqueeze(-2)
        found: Tensor = (bound <= at * last).sum(-1)
        return found.clamp_max(int(p._shape[-1]) - 1)
    noise = -(-(rand_like(p, generator=generator) + 1e-20).log()).log()
    keys = (pw.log(p) + noise).reshape(-1, p._shape[-1]).tolist()
    if any(sum(k > float("-inf") for k in row) < num_samples for row in keys):
        raise ValueError(f"multinomial: fewer than {num_samples} outcomes are possible" + at_line())
    picked = [sorted(range(len(r)), key=lambda i: -r[i])[:num_samples] for r in keys]
    flat = [i for row in picked for i in row]
    return Tensor._make(from_values(flat, (*rows, num_samples), dt.int64))
