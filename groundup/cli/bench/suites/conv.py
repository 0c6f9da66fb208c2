"""conv: convolutions of residual networks, forward and each gradient by itself.

Both sides are measured with activations in NCHW and in NHWC memory (see sides.py), and the faster
layout counts for each.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from groundup.cli.bench.record import Asked, Case, Function, Input, Suite

ASKED = Asked({"torch": 1.0})


class Shape(NamedTuple):
    """A convolution: n images of c channels, h×h, to `out` channels by k×k windows."""

    name: str
    n: int
    c: int
    out: int
    h: int
    k: int
    stride: int = 1
    groups: int = 1

    @property
    def padding(self) -> int:
        """So that a stride of 1 keeps the size."""
        return self.k // 2

    @property
    def size(self) -> int:
        """Height and width of the result."""
        return (self.h + 2 * self.padding - self.k) // self.stride + 1


SHAPES = [
    Shape("3×3 64→64 32²", 16, 64, 64, 32, 3),
    Shape("3×3 256→256 14²", 16, 256, 256, 14, 3),
    Shape("3×3 512→512 7²", 16, 512, 512, 7, 3),
    Shape("1×1 64→256 56²", 8, 64, 256, 56, 1),
    Shape("3×3 s2 64→128 56²", 8, 64, 128, 56, 3, 2),
    Shape("7×7 s2 3→64 128²", 16, 3, 64, 128, 7, 2),
    Shape("depthwise 3×3 128 28²", 16, 128, 128, 28, 3, 1, 128),
]


def _smaller(s: Shape) -> Shape:
    """The same window on little data; odd sizes, so that borders are met."""
    groups = 8 if s.groups > 1 else 1
    c = 8 if s.groups > 1 else min(s.c, 5)
    return s._replace(n=2, c=c, out=8, h=max(9, s.h // 4 + 1), groups=groups)


def _ours(s: Shape) -> Function:
    return lambda gu, x, w: gu.nn.functional.conv2d(
        x, w, stride=s.stride, padding=s.padding, groups=s.groups
    )


def _torch(s: Shape) -> Function:
    return lambda torch, x, w: torch.nn.functional.conv2d(
        x, w, stride=s.stride, padding=s.padding, groups=s.groups
    )


def _torch_gradient(s: Shape, number: int) -> Function:
    """Only one of the gradients, by the function that autograd itself calls."""
    wanted = [number == 0, number == 1, False]
    stride, padding = [s.stride] * 2, [s.padding] * 2

    def gradient(torch: Any, x: Any, w: Any, g: Any) -> Any:
        found = torch.ops.aten.convolution_backward(
            g, x, w, None, stride, padding, [1, 1], False, [0, 0], s.groups, wanted
        )
        return (found[number],)

    return gradient


def _jax(s: Shape) -> Function:
    return lambda jax, x, w: jax.lax.conv_general_dilated(
        x, w, (s.stride, s.stride), [(s.padding, s.padding)] * 2, feature_group_count=s.groups,
        dimension_numbers=("NCHW", "OIHW", "NCHW"),
    )  # fmt: skip


def _cases(s: Shape, name: str) -> list[Case]:
    x = Input((s.n, s.c, s.h, s.h), image=True)
    w = Input((s.out, s.c // s.groups, s.k, s.k))
    result = (s.n, s.out, s.size, s.size)
    y = Input(result, image=True)
    window = w.shape[1] * s.k * s.k
    flop = 2.0 * s.n * s.out * s.size * s.size * window
    both = (x, w)
    sums = (window, s.out // s.groups * s.k * s.k, s.n * s.size * s.size)
    forward = Case(
        name, both, result, _ours(s), _torch(s), _jax(s), flop=flop, terms=sums[0], linear=True,
        read=x.nbytes + w.nbytes, written=y.nbytes, asked=ASKED,
    )  # fmt: skip
    gradients = [
        Case(
            f"{name} {mark}", both, result, _ours(s), _torch(s), _jax(s), "gradient", (number,),
            _torch_gradient(s, number), flop=flop, terms=sums[1 + number], linear=True,
            read=y.nbytes + both[1 - number].nbytes, written=both[number].nbytes, asked=ASKED,
        )
        for number, mark in enumerate(("∂x", "∂w"))
    ]  # fmt: skip
    return [forward, *gradients]


def suite(small: bool = False) -> Suite:
    """Return the rows; small: the same windows on small images."""
    cases = [c for s in SHAPES for c in _cases(_smaller(s) if small else s, s.name)]
    return Suite("conv", tuple(cases), {"torch": 0.9})
