"""Normalising layers: BatchNorm, LayerNorm, GroupNorm.

Names, arguments, shapes and initial values are PyTorch's. Must not know training loops.
"""

from __future__ import annotations

from collections.abc import Sequence

from groundup.tensor import DType, ShapeError, Tensor, float32, int64, no_grad, ones, zeros
from groundup.tensor.errors import at_line
from groundup.tensor.misuse import named

from . import functional as F
from . import init
from .functional.checks import shapes_at_line
from .module import Module, Parameter
from .waiting import wait


class _BatchNorm(Module):
    @named
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        dtype: DType = float32,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        self.weight = Parameter(ones(num_features, dtype=dtype)) if affine else None
        self.bias = Parameter(zeros(num_features, dtype=dtype)) if affine and bias else None
        self.running_mean: Tensor | None = None
        self.running_var: Tensor | None = None
        self.num_batches_tracked: Tensor | None = None
        if track_running_stats:
            self.register_buffer("running_mean", zeros(num_features, dtype=dtype))
            self.register_buffer("running_var", ones(num_features, dtype=dtype))
            self.register_buffer("num_batches_tracked", zeros((), dtype=int64))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Weight 1, bias 0, running mean 0 and variance 1."""
        for tensor, value in (
            (self.weight, 1.0), (self.bias, 0.0), (self.running_mean, 0.0),
            (self.running_var, 1.0), (self.num_batches_tracked, 0),
        ):  # fmt: skip
            if tensor is not None:
                init.constant_(tensor, value)

    def check(self, x: Tensor) -> None:
        """Raise ShapeError for an input of the wrong shape."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """Normalise each channel over the batch (training) or by the running statistics (eval)."""
        self.check(x)
        momentum: float | Tensor = 0.0 if self.momentum is None else self.momentum
        if self.training and self.num_batches_tracked is not None:
            with no_grad():
                wait(self.num_batches_tracked.add_(1))
            if self.momentum is None:  # the plain average of all batches so far
                momentum = 1.0 / self.num_batches_tracked.to(x.dtype)
        return F.batch_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias,
            self.training, momentum, self.eps,
        )  # fmt: skip

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, "
            f"affine={self.affine}, bias={self.bias is not None}, "
            f"track_running_stats={self.track_running_stats}"
        )


class BatchNorm1d(_BatchNorm):
    """y[n,c,…] = (x[n,c,…] − μ[c]) / √(σ²[c] + eps) · weight[c] + bias[c] on (n, c) or (n, c, l)

    num_features: c. eps: added to the variance. momentum: PyTorch's convention, the share of the
    *new* batch in the running statistics (Keras counts the old: 0.9); None: their plain average.
    affine: whether there are weight (starts at 1) and bias (at 0; bias=False: weight alone).
    track_running_stats: keep statistics for evaluation. Source: Ioffe & Szegedy 2015; eps and
    momentum are PyTorch's.
    """

    def check(self, x: Tensor) -> None:
        if x.ndim not in (2, 3) or x.shape[1] != self.num_features:
            raise ShapeError(
                f"{self} expects (n, {self.num_features}) or (n, {self.num_features}, l)"
                + shapes_at_line(input=x.shape)
            )


class BatchNorm2d(_BatchNorm):
    """y[n,c,h,w] = (x[n,c,h,w] − μ[c]) / √(σ²[c] + eps) · weight[c] + bias[c]

    Arguments as for BatchNorm1d.
    """

    def check(self, x: Tensor) -> None:
        if x.ndim != 4 or x.shape[1] != self.num_features:
            raise ShapeError(
                f"{self} expects images (n, {self.num_features}, h, w)"
                + shapes_at_line(input=x.shape)
            )


class BatchNorm3d(_BatchNorm):
    """y[n,c,d,h,w] = (x[n,c,d,h,w] − μ[c]) / √(σ²[c] + eps) · weight[c] + bias[c]

    Arguments as for BatchNorm1d.
    """

    def check(self, x: Tensor) -> None:
        if x.ndim != 5 or x.shape[1] != self.num_features:
            raise ShapeError(
                f"{self} expects volumes (n, {self.num_features}, d, h, w)"
                + shapes_at_line(input=x.shape)
            )


class LayerNorm(Module):
    """y[…,k] = (x[…,k] − μ[…]) / √(σ²[…] + eps) · weight[k] + bias[k], k the last axes together

    normalized_shape: the sizes of those axes, or the one size. eps: added to the variance.
    elementwise_affine: whether there are weight (starts at 1) and bias (at 0; bias=False: weight
    alone). Source: Ba, Kiros & Hinton 2016; eps is PyTorch's.
    Raises ShapeError, on call, for an input that does not end in these axes.

    >>> LayerNorm(8)(gu.zeros(4, 8)).shape
    (4, 8)
    """

    @named
    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        dtype: DType = float32,
    ) -> None:
        super().__init__()
        if isinstance(normalized_shape, int):
            normalized_shape = (normalized_shape,)
        self.normalized_shape = tuple(normalized_shape)
        self.eps, self.elementwise_affine = eps, elementwise_affine
        shape = self.normalized_shape
        self.weight = Parameter(ones(*shape, dtype=dtype)) if elementwise_affine else None
        self.bias = Parameter(zeros(*shape, dtype=dtype)) if elementwise_affine and bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Weight 1, bias 0."""
        _one_and_zero(self.weight, self.bias)

    def forward(self, x: Tensor) -> Tensor:
        """The same shape, normalised over the last axes."""
        return F.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.normalized_shape}, eps={self.eps}, "
            f"elementwise_affine={self.elementwise_affine}, bias={self.bias is not None}"
        )


class GroupNorm(Module):
    """y[n,c,…] = (x[n,c,…] − μ[n,g]) / √(σ²[n,g] + eps) · weight[c] + bias[c], g the group of c

    num_groups: how many runs the channels are divided into. num_channels: c. affine: whether there
    are weight (starts at 1) and bias (at 0). Source: Wu & He 2018; eps is PyTorch's.
    Raises ShapeError, on call, for an input that is not (n, num_channels, …).

    >>> GroupNorm(2, 6)(gu.zeros(4, 6, 5, 5)).shape
    (4, 6, 5, 5)
    """

    @named
    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        dtype: DType = float32,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        if num_groups < 1 or num_channels % num_groups:
            raise ValueError(
                f"GroupNorm: {num_groups} groups must divide {num_channels} channels" + at_line()
            )
        self.num_groups, self.num_channels = num_groups, num_channels
        self.eps, self.affine = eps, affine
        self.weight = Parameter(ones(num_channels, dtype=dtype)) if affine else None
        self.bias = Parameter(zeros(num_channels, dtype=dtype)) if affine and bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Weight 1, bias 0."""
        _one_and_zero(self.weight, self.bias)

    def forward(self, x: Tensor) -> Tensor:
        """The same shape, normalised over each group of channels of each example."""
        if x.ndim < 2 or x.shape[1] != self.num_channels:
            raise ShapeError(
                f"{self} expects (n, {self.num_channels}, …)" + shapes_at_line(input=x.shape)
            )
        return F.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}, "
            f"bias={self.bias is not None}"
        )


def _one_and_zero(weight: Tensor | None, bias: Tensor | None) -> None:
    if weight is not None:
        init.ones_(weight)
    if bias is not None:
        init.zeros_(bias)
