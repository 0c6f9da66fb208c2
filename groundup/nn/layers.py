"""The layers as modules: parameters, plain numbers as attributes, and a call to functional.

Names, arguments, shapes and initial distributions are PyTorch's. Must not know training loops.
"""

from __future__ import annotations

import math
from typing import Any

from groundup.tensor import DType, ShapeError, Tensor, empty, float32
from groundup.tensor.errors import at_line
from groundup.tensor.misuse import named

from . import functional as F
from . import init
from .functional.alignment import Lengths
from .functional.checks import Pair, shapes_at_line
from .module import Module, Parameter


class Identity(Module):
    """y = x"""

    def forward(self, x: Tensor) -> Tensor:
        """x itself."""
        return x


class Linear(Module):
    """y[…, o] = Σ_k x[…, k] · w[o, k] + b[o]

    in_features: k; out_features: o; bias: whether there is a b. Weight: (o, k); bias: (o,). Both
    start as U(−1/√k, 1/√k), PyTorch's default (see `init.torch_default_`).
    Raises ShapeError, on call, for an input whose last axis is not k long.

    >>> Linear(784, 50)(gu.zeros(64, 784)).shape
    (64, 50)
    """

    @named
    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, dtype: DType = float32
    ) -> None:
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        self.weight = Parameter(empty(out_features, in_features, dtype=dtype))
        self.bias = Parameter(empty(out_features, dtype=dtype)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the initial weights again."""
        init.torch_default_(self.weight, self.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(…, k) to (…, o)."""
        if x.ndim < 1 or x.shape[-1] != self.in_features:
            raise ShapeError(
                f"{self} expects a last axis of {self.in_features}{self._advice(x)}"
                + shapes_at_line(input=x.shape, weight=self.weight.shape)
            )
        return F.linear(x, self.weight, self.bias)

    def _advice(self, x: Tensor) -> str:
        if x.ndim > 2 and math.prod(x.shape[1:]) == self.in_features:
            return ": put nn.Flatten() before it"
        if x.ndim == 2 and x.shape[0] == self.in_features:
            return ": is it transposed?"
        return f": did you mean Linear({int(x.shape[-1])}, {self.out_features})?" if x.ndim else ""

    def extra_repr(self) -> str:
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, "
            f"bias={self.bias is not None}"
        )


class Embedding(Module):
    """y[…, k] = weight[ids[…], k]: a row of numbers for each id, learned.

    num_embeddings: how many rows; embedding_dim: how many numbers in a row. Weight:
    (num_embeddings, embedding_dim), drawn from N(0, 1) as in PyTorch.
    padding_idx: the row (from the back if negative) that starts at 0 and is not trained.
    Raises IndexError, on call, for an id that is no row.

    >>> Embedding(10, 3)(gu.tensor([[1, 9], [0, 0]])).shape
    (2, 2, 3)
    """

    @named
    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        dtype: DType = float32,
    ) -> None:
        super().__init__()
        if padding_idx is not None and not -num_embeddings <= padding_idx < num_embeddings:
            raise ValueError(
                f"Embedding: padding_idx {padding_idx} is none of the {num_embeddings} rows"
                + at_line()
            )
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim
        self.padding_idx = None if padding_idx is None else padding_idx % num_embeddings
        self.weight = Parameter(empty(num_embeddings, embedding_dim, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the rows again; the padding row is 0."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            init.zeros_(self.weight[self.padding_idx])

    def forward(self, ids: Tensor) -> Tensor:
        """(…) integers to (…, embedding_dim)."""
        return F.embedding(ids, self.weight, self.padding_idx)

    def extra_repr(self) -> str:
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.num_embeddings}, {self.embedding_dim}{padding}"


# ---- pointwise -----------------------------------------------------------------------------------


class ReLU(Module):
    """max(x, 0); inplace: written into x."""

    @named
    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def forward(self, x: Tensor) -> Tensor:
        """Element by element."""
        return F.relu(x, self.inplace)

    def extra_repr(self) -> str:
        return "inplace=True" if self.inplace else ""


class GeneralReLU(Module):
    """min(leaky(x) − sub, maxv): the lesson's shifted rectifier.

    leak: the slope below 0 (None: 0). sub: what is subtracted, to bring the mean of a rectified
    normal (1/√(2π) ≈ 0.4) back towards 0 (None: nothing). maxv: the largest value (None: no limit).

    >>> GeneralReLU(leak=0.1, sub=0.5)(gu.tensor([-1.0, 2.0])).tolist()
    [-0.6000000238418579, 1.5]
    """

    @named
    def __init__(
        self, leak: float | None = None, sub: float | None = None, maxv: float | None = None
    ) -> None:
        super().__init__()
        self.leak, self.sub, self.maxv = leak, sub, maxv

    def forward(self, x: Tensor) -> Tensor:
        """Element by element."""
        return F.general_relu(x, self.leak, self.sub, self.maxv)

    def extra_repr(self) -> str:
        return f"leak={self.leak}, sub={self.sub}, maxv={self.maxv}"


class LeakyReLU(Module):
    """x where x > 0, else negative_slope · x"""

    @named
    def __init__(self, negative_slope: float = 0.01) -> None:
        super().__init__()
        self.negative_slope = negative_slope

    def forward(self, x: Tensor) -> Tensor:
        """Element by element."""
        return F.leaky_relu(x, self.negative_slope)

    def extra_repr(self) -> str:
        return f"negative_slope={self.negative_slope}"


class Tanh(Module):
    """tanh(x)"""

    def forward(self, x: Tensor) -> Tensor:
        """Element by element."""
        return x.tanh()


class Sigmoid(Module):
    """1 / (1 + exp(−x))"""

    def forward(self, x: Tensor) -> Tensor:
        """Element by element."""
        return x.sigmoid()


class GELU(Module):
    """x · Φ(x), Φ the normal distribution function; approximate='tanh' for the paper's formula."""

    @named
    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        self.approximate = approximate

    def forward(self, x: Tensor) -> Tensor:
        """Element by element."""
        return F.gelu(x, self.approximate)

    def extra_repr(self) -> str:
        return f"approximate={self.approximate!r}"


class Softmax(Module):
    """exp(x) / Σ exp(x) over axis `dim`"""

    @named
    def __init__(self, dim: int = -1) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, x: Tensor) -> Tensor:
        """Along one axis."""
        return F.softmax(x, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class LogSoftmax(Module):
    """x − log Σ exp(x) over axis `dim`"""

    @named
    def __init__(self, dim: int = -1) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, x: Tensor) -> Tensor:
        """Along one axis."""
        return F.log_softmax(x, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class Dropout(Module):
    """In training, each element is 0 with probability p and x / (1 − p) otherwise; else x."""

    @named
    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        if not 0.0 <= p <= 1.0:
            raise ValueError(f"Dropout: the probability p must be between 0 and 1, not {p}")
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """Element by element."""
        return F.dropout(x, self.p, self.training)

    def extra_repr(self) -> str:
        return f"p={self.p}"


# ---- shape and pooling ---------------------------------------------------------------------------


class Flatten(Module):
    """(n, c, h, w) to (n, c·h·w): axes start_dim to end_dim become one."""

    @named
    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, x: Tensor) -> Tensor:
        """The same elements in fewer axes."""
        return x.flatten(self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class MaxPool2d(Module):
    """y[n,c,p,q] = max_{u,v} x[n, c, s·p + d·u − pad, s·q + d·v − pad]; s = k by default"""

    @named
    def __init__(
        self, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0, dilation: Pair = 1
    ) -> None:
        super().__init__()
        self.kernel_size, self.padding, self.dilation = kernel_size, padding, dilation
        self.stride = kernel_size if stride is None else stride

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) to (n, c, h', w')."""
        options = (self.kernel_size, self.stride, self.padding, self.dilation)
        y: Tensor = F.max_pool2d(x, *options)
        return y

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}"
        )


class AvgPool2d(Module):
    """y[n,c,p,q] = the mean over u, v of x[n, c, s·p + u − pad, s·q + v − pad], 0 outside"""

    @named
    def __init__(
        self,
        kernel_size: Pair,
        stride: Pair | None = None,
        padding: Pair = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__()
        self.kernel_size, self.padding = kernel_size, padding
        self.stride = kernel_size if stride is None else stride
        self.ceil_mode, self.count_include_pad = ceil_mode, count_include_pad
        self.divisor_override = divisor_override

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) to (n, c, h', w')."""
        options = (self.kernel_size, self.stride, self.padding, self.ceil_mode)
        return F.avg_pool2d(x, *options, self.count_include_pad, self.divisor_override)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class FractionalMaxPool2d(Module):
    """functional.fractional_max_pool2d as a module: the greatest of windows at random places"""

    _pool = staticmethod(F.fractional_max_pool2d)

    @named
    def __init__(
        self, kernel_size: Pair, output_size: Pair | None = None,
        output_ratio: float | tuple[float, ...] | None = None, return_indices: bool = False,
        _random_samples: Tensor | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        if (output_size is None) == (output_ratio is None):
            raise ValueError(
                f"{type(self).__name__}: give one of output_size and output_ratio" + at_line()
            )
        self.kernel_size, self.return_indices = kernel_size, return_indices
        self.output_size, self.output_ratio = output_size, output_ratio
        self._random_samples = _random_samples

    def forward(self, x: Tensor) -> Any:
        """(n, c, h, w) to (n, c, p, q), and with return_indices where each is."""
        return self._pool(x, self.kernel_size, self.output_size, self.output_ratio,
                          self.return_indices, self._random_samples)  # fmt: skip

    def extra_repr(self) -> str:
        size = self.output_size
        asked = f"output_ratio={self.output_ratio}" if size is None else f"output_size={size}"
        return f"kernel_size={self.kernel_size}, {asked}"


class FractionalMaxPool3d(FractionalMaxPool2d):
    """functional.fractional_max_pool3d as a module: windows of three axes"""

    _pool = staticmethod(F.fractional_max_pool3d)


class AdaptiveAvgPool2d(Module):
    """(n, c, h, w) to (n, c, P, Q): means of windows that divide the image as evenly as can be."""

    @named
    def __init__(self, output_size: int | tuple[int | None, int | None] | None) -> None:
        super().__init__()
        self.output_size = output_size

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) to (n, c, P, Q)."""
        return F.adaptive_avg_pool2d(x, self.output_size)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


# ---- losses --------------------------------------------------------------------------------------


class CrossEntropyLoss(Module):
    """functional.cross_entropy as a module."""

    @named
    def __init__(self, reduction: str = "mean", label_smoothing: float = 0.0) -> None:
        super().__init__()
        self.reduction, self.label_smoothing = reduction, label_smoothing

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        """The loss of scores (n, C, …) for class indices (n, …)."""
        return F.cross_entropy(x, target, self.reduction, self.label_smoothing)


class MSELoss(Module):
    """functional.mse_loss as a module."""

    @named
    def __init__(self, reduction: str = "mean") -> None:
        super().__init__()
        self.reduction = reduction

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        """The loss of an input for a target of the same shape."""
        return F.mse_loss(x, target, self.reduction)


class CTCLoss(Module):
    """functional.ctc_loss as a module."""

    @named
    def __init__(
        self, blank: int = 0, reduction: str = "mean", zero_infinity: bool = False
    ) -> None:
        super().__init__()
        self.blank, self.reduction, self.zero_infinity = blank, reduction, zero_infinity

    def forward(
        self, log_probs: Tensor, targets: Tensor, input_lengths: Lengths, target_lengths: Lengths
    ) -> Tensor:
        """The loss of log probabilities (t, n, c) for labels (n, s)."""
        options = (self.blank, self.reduction, self.zero_infinity)
        return F.ctc_loss(log_probs, targets, input_lengths, target_lengths, *options)
