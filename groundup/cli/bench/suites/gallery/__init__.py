"""gallery: the items of docs/index-notation.md beside NumPy, torch's best idiom and functorch.dim.

At sizes where torch takes a millisecond or more, but no result has more than 32 MiB: glibc asks the
system anew for anything larger at every call (mallopt(3), DEFAULT_MMAP_THRESHOLD_MAX), and torch
would be timed at that. The formulas are in a file for each library, under the same names.

Must not know how a row is timed.
"""

from __future__ import annotations

import math

from groundup.cli.bench.record import Case, Input, Suite
from groundup.cli.bench.suites.gallery import in_axes, in_dims, in_numpy, in_torch

# Of the 22 rows (a convolution has two), how many are to be faster than torch.
FASTER = {"torch": 16}


def _case(
    name: str, result: tuple[int, ...], *inputs: Input, flop: float = 0.0, terms: int = 1,
    linear: bool = False, read: float | None = None, result_bytes: int = 4,
) -> Case:  # fmt: skip
    """The row of an item: its formulas by name; read: bytes, by default all of the inputs."""
    function = name.replace(" ", "_").replace("-", "_")
    shown = "×".join(str(size) for size in inputs[0].shape)
    return Case(
        f"{name} {shown}",
        inputs,
        result,
        getattr(in_axes, function),
        getattr(in_torch, function),
        idioms=in_torch.IDIOMS.get(function, {}),
        numpy=getattr(in_numpy, function),
        dims=getattr(in_dims, function, None),
        flop=flop,
        terms=terms,
        linear=linear,
        read=float(sum(i.nbytes for i in inputs)) if read is None else read,
        written=float(result_bytes * math.prod(result)),
    )


def _products(m: int, batch: int, n: int, many: int, d: int, wide: int) -> list[Case]:
    square, stack, matrices = Input((m, m)), Input((batch, n, n)), Input((many, d, d))
    line = 64.0 * many * d  # of a diagonal each element lies in a cache line of its own
    return [
        _case("matmul", (m, m), square, square, flop=2.0 * m**3, terms=m, linear=True),
        _case("batched matmul", (batch, n, n), stack, stack,
              flop=2.0 * batch * n**3, terms=n, linear=True),
        _case("trace", (many,), matrices, terms=d, linear=True, read=line),
        _case("diagonal", (many, d), matrices, read=line),
        _case("outer", (wide, wide), Input((wide,)), Input((wide,))),
    ]  # fmt: skip


def _windows(n: int, c: int, length: int, size: int, many: int, few: int) -> list[Case]:
    p, q = (length - 7) // 2 + 1, (size - 5) // 2 + 1
    flop = 2.0 * n * c * c * 3
    image, images, several = (Input((m, c, size, size), image=True) for m in (n, many, few))
    return [
        _case("convolution 1-d", (n, c, p), Input((n, c, length)), Input((c, c, 3)),
              flop=flop * p, terms=3 * c, linear=True),
        _case("convolution 2-d", (n, c, q, q), image, Input((c, c, 3, 3)),
              flop=flop * 3 * q * q, terms=9 * c, linear=True),
        _case("max-pool", (many, c, size // 2, size // 2), images),
        _case("bilinear", (few, c, 2 * size, 2 * size), several),
    ]  # fmt: skip


def _rows(rows: int, columns: int, batch: int, heads: int, steps: int, width: int) -> list[Case]:
    matrix, head = Input((rows, columns)), Input((batch, heads, steps, width))
    # Two products, and half of the positions lie ahead.
    flop = 2.0 * batch * heads * steps * steps * width
    return [
        _case("softmax", matrix.shape, matrix, terms=columns),
        _case("layer norm", matrix.shape, matrix, terms=columns),
        _case("attention", head.shape, head, head, head, flop=flop, terms=steps),
    ]  # fmt: skip


def _points(n: int, many: int, centres: int, m: int, count: int, bins: int = 256) -> list[Case]:
    points, square = Input((n, 3)), Input((m, m))
    return [
        _case("distances", (n, n), points, terms=3),
        _case("k-means", (centres, 8), Input((many, 8)), Input((centres, 8)), terms=many),
        _case("mean shift", (n, 3), points, terms=n),
        _case("max-plus", (m, m), square, square),
        _case("histogram", (bins,), Input((count,), below=bins), result_bytes=8),
    ]


def _time(rows: int, steps: int, batch: int, width: int, heads: int, d: int) -> list[Case]:
    state, half = Input((batch, width)), Input((steps, d // 2))
    weight, bias = (Input((4 * width, *more), std=width**-0.5) for more in ((width,), ()))
    turned = Input((batch // 17 or 1, heads, steps, d))
    return [
        _case("cumsum", (rows, steps), Input((rows, steps)), terms=steps, linear=True),
        _case("lstm cell", state.shape, state, state, state, weight, weight, bias,
              flop=16.0 * batch * width * width, terms=2 * width),
        _case("rope", turned.shape, turned, half, half, terms=2),
    ]  # fmt: skip


def _grids(size: int, wide: int) -> list[Case]:
    square = (size, size)
    return [
        _case("life", square, Input(square, below=2, dtype="uint8"), result_bytes=1),
        _case("jacobi", (wide - 2, wide - 2), Input((wide, wide)), terms=4),
    ]


def suite(small: bool = False) -> Suite:
    """Return the rows; small: the same on little data."""
    cases = [
        *_products(*((9, 3, 7, 5, 6, 11) if small else (1024, 32, 256, 32768, 32, 2896))),
        *_windows(*((2, 3, 19, 10, 5, 2) if small else (16, 64, 4096, 64, 60, 7))),
        *_rows(*((7, 45, 2, 2, 17, 8) if small else (6144, 1024, 4, 8, 512, 64))),
        *_points(*((21, 60, 4, 13, 300) if small else (2048, 65536, 64, 512, 2**22))),
        *_time(*((5, 19, 3, 6, 2, 8) if small else (4096, 1024, 256, 512, 8, 64))),
        *_grids(*((11, 12) if small else (4096, 2560))),
    ]
    return Suite("gallery", tuple(cases), faster=FASTER)
