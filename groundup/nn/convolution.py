"""Convolutions and transposed convolutions as modules.

Names, arguments, shapes and initial distributions are PyTorch's. Must not know training loops.
"""

from __future__ import annotations

from collections.abc import Sequence

from groundup.tensor import DType, ShapeError, Tensor, empty, float32, pad
from groundup.tensor.errors import at_line
from groundup.tensor.misuse import named

from . import functional as F
from . import init
from .functional.checks import Several, several, shapes_at_line
from .module import Module, Parameter

_IMAGES = {1: "sequences (n, {}, l)", 2: "images (n, {}, h, w)", 3: "volumes (n, {}, d, h, w)"}
_FUNCTIONS = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
_TRANSPOSED = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}
_MODES = ("zeros", "reflect", "replicate", "circular")


class _Convolution(Module):
    """What all six share: the parameters, their start, the check of the input."""

    dims = 0
    transposed = False

    @named
    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Several,
        stride: Several,
        dilation: Several,
        groups: int,
        bias: bool,
        dtype: DType,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        if groups < 1 or in_channels % groups or out_channels % groups:
            raise ValueError(
                f"{name}: {groups} groups must divide {in_channels} input and {out_channels}"
                " output channels" + at_line()
            )
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size = several(kernel_size, "kernel_size", self.dims)
        self.stride = several(stride, "stride", self.dims)
        self.dilation = several(dilation, "dilation", self.dims)
        ends = (in_channels, out_channels) if self.transposed else (out_channels, in_channels)
        shape = (ends[0], ends[1] // groups, *self.kernel_size)
        self.weight = Parameter(empty(*shape, dtype=dtype))
        self.bias = Parameter(empty(out_channels, dtype=dtype)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the initial weights again."""
        init.torch_default_(self.weight, self.bias)

    def check(self, x: Tensor) -> None:
        """Raise ShapeError for an input of the wrong shape."""
        d = self.dims
        if x.ndim not in (d + 1, d + 2) or x.shape[-d - 1] != self.in_channels:
            raise ShapeError(
                f"{self} expects {_IMAGES[d].format(self.in_channels)}"
                + shapes_at_line(input=x.shape, weight=self.weight.shape)
            )

    def _repr(self, **others: object) -> str:
        """The sizes, and what differs from the usual."""
        parts = [
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}",
            f"stride={self.stride}",
        ]
        plain = {"dilation": self.dilation, "groups": self.groups, "bias": self.bias is not None}
        usual = {"dilation": (1,) * self.dims, "groups": 1, "bias": True, "padding_mode": "zeros"}
        nothing = (0,) * self.dims
        for name, value in {**others, **plain}.items():
            if value != usual.get(name, nothing):
                parts.append(f"{name}={value!r}")
        return ", ".join(parts)


class _Conv(_Convolution):
    @named
    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Several,
        stride: Several = 1,
        padding: Several | str = 0,
        dilation: Several = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        dtype: DType = float32,
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, stride, dilation, groups, bias, dtype
        )
        if padding_mode not in _MODES:
            known = ", ".join(map(repr, _MODES))
            raise ValueError(
                f"{type(self).__name__}: padding_mode is one of {known}, not {padding_mode!r}"
                + at_line()
            )
        self.padding: tuple[int, ...] | str = (
            padding if isinstance(padding, str) else several(padding, "padding", self.dims, 0)
        )
        self.padding_mode = padding_mode

    def forward(self, x: Tensor) -> Tensor:
        """(n, in_channels, …) to (n, out_channels, …), with one to three axes of the image."""
        self.check(x)
        x, rest = self._padded(x)
        args = (self.stride, rest, self.dilation, self.groups)
        return _FUNCTIONS[self.dims](x, self.weight, self.bias, *args)

    def _padded(self, x: Tensor) -> tuple[Tensor, Several | str]:
        """(the input, what is left to pad with zeros)."""
        if self.padding_mode == "zeros" or self.padding == "valid":
            return x, self.padding
        amounts: list[int] = []
        for i in reversed(range(self.dims)):  # pad() counts axes from the last
            if isinstance(self.padding, str):
                total = self.dilation[i] * (self.kernel_size[i] - 1)
                amounts += [total // 2, total - total // 2]
            else:
                amounts += [self.padding[i], self.padding[i]]
        return pad(x, amounts, mode=self.padding_mode), 0

    def extra_repr(self) -> str:
        return self._repr(padding=self.padding, padding_mode=self.padding_mode)


class Conv1d(_Conv):
    """y[n,o,p] = Σ_{c,u} x[n, c, s·p + d·u − pad] · w[o,c,u] + b[o]

    Arguments as for Conv2d, with one axis. Weight: (out_channels, in_channels / groups, kernel).

    >>> Conv1d(3, 6, 5, padding=2)(gu.zeros(2, 3, 28)).shape
    (2, 6, 28)
    """

    dims = 1


class Conv2d(_Conv):
    """y[n,o,p,q] = Σ_{c,u,v} x[n, c, s·p + d·u − pad, s·q + d·v − pad] · w[o,c,u,v] + b[o]

    Weight: (out_channels, in_channels / groups, kernel); bias: (out_channels,). Both start as
    U(−1/√fan_in, 1/√fan_in), fan_in = in_channels / groups · |kernel| (`init.torch_default_`).
    padding: a number, one for each axis, 'valid' (0) or 'same' (the image keeps its size).
    padding_mode: what lies beyond the edges: 'zeros', 'reflect', 'replicate' or 'circular'.
    Raises ShapeError, on call, for an input that is not (n, in_channels, h, w) or without the n.

    >>> Conv2d(1, 6, 5, padding=2)(gu.zeros(2, 1, 28, 28)).shape
    (2, 6, 28, 28)
    """

    dims = 2


class Conv3d(_Conv):
    """y[n,o,p,q,r] = Σ_{c,u,v,w} x[n, c, s·p + d·u − pad, …, …] · w[o,c,u,v,w] + b[o]

    Arguments as for Conv2d, with three axes. Weight: (out_channels, in_channels / groups, kernel).

    >>> Conv3d(1, 2, 3, padding=1)(gu.zeros(2, 1, 4, 5, 6)).shape
    (2, 2, 4, 5, 6)
    """

    dims = 3


# ---- transposed ----------------------------------------------------------------------------------


class _Transposed(_Convolution):
    transposed = True

    @named
    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Several,
        stride: Several = 1,
        padding: Several = 0,
        output_padding: Several = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Several = 1,
        dtype: DType = float32,
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, stride, dilation, groups, bias, dtype
        )
        self.padding = several(padding, "padding", self.dims, 0)
        self.output_padding = several(output_padding, "output_padding", self.dims, 0)

    def forward(self, x: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        """(n, in_channels, …) to (n, out_channels, …), with one to three axes of the image."""
        self.check(x)
        args = (self.stride, self.padding, self._extra(x, output_size), self.groups, self.dilation)
        return _TRANSPOSED[self.dims](x, self.weight, self.bias, *args)

    def _extra(self, x: Tensor, output_size: Sequence[int] | None) -> tuple[int, ...]:
        """The output padding that gives an output of `output_size`."""
        if output_size is None:
            return self.output_padding
        wanted = tuple(output_size)[-self.dims :]
        least = [
            (int(h) - 1) * s - 2 * p + d * (k - 1) + 1
            for h, s, p, d, k in zip(
                x.shape[-self.dims :], self.stride, self.padding, self.dilation, self.kernel_size
            )
        ]
        extra = tuple(w - m for w, m in zip(wanted, least, strict=False))
        if len(wanted) != self.dims or not all(
            0 <= e < s for e, s in zip(extra, self.stride, strict=False)
        ):
            most = tuple(m + s - 1 for m, s in zip(least, self.stride, strict=True))
            raise ValueError(
                f"{self}: output_size is between {tuple(least)} and {most} for this input, not"
                f" {tuple(output_size)}" + shapes_at_line(input=x.shape)
            )
        return extra

    def extra_repr(self) -> str:
        return self._repr(padding=self.padding, output_padding=self.output_padding)


class ConvTranspose1d(_Transposed):
    """y[n,o,t] = Σ x[n,c,p] · w[c,o,u] + b[o] over c and all p, u with s·p + d·u − pad = t

    Arguments as for ConvTranspose2d, with one axis.

    >>> ConvTranspose1d(3, 2, 4, stride=2, padding=1)(gu.zeros(5, 3, 7)).shape
    (5, 2, 14)
    """

    dims = 1


class ConvTranspose2d(_Transposed):
    """The adjoint of Conv2d: y[n,o,t,…] = Σ x[n,c,p,…] · w[c,o,u,…] + b[o], s·p + d·u − pad = t

    Weight: (in_channels, out_channels / groups, kernel); bias: (out_channels,). Both start as
    PyTorch's, U(−b, b), b = 1/√(out_channels / groups · |kernel|).
    output_padding: elements added at the end of each axis, less than the stride or the dilation.
    output_size, on call: the size of the output in the place of output_padding.
    Raises ShapeError, on call, for an input that is not (n, in_channels, h, w) or without the n.

    >>> ConvTranspose2d(3, 2, 3, stride=2, padding=1, output_padding=1)(gu.zeros(5, 3, 7, 7)).shape
    (5, 2, 14, 14)
    """

    dims = 2


class ConvTranspose3d(_Transposed):
    """The adjoint of Conv3d; arguments as for ConvTranspose2d, with three axes.

    >>> ConvTranspose3d(1, 2, 2, stride=2)(gu.zeros(1, 1, 2, 3, 4)).shape
    (1, 2, 4, 6, 8)
    """

    dims = 3
