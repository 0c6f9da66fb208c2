"""The layers as functions, written as their equations in the axes notation.

Each is a few lines: the equation stands in the docstring, the same equation in code below it, and
the compiler sees nothing else (a convolution is a sum over a product of two reads, like a matmul).
Shapes are PyTorch's: images are (N, C, H, W). Must not know about modules or training loops.
"""

from groundup.tensor import pad

from .convolution import (
    conv1d,
    conv2d,
    conv3d,
    conv_transpose1d,
    conv_transpose2d,
    conv_transpose3d,
)
from .losses import (
    binary_cross_entropy_with_logits,
    cross_entropy,
    l1_loss,
    mse_loss,
    nll_loss,
)
from .normalisation import batch_norm, group_norm, layer_norm
from .pointwise import (
    dropout,
    gelu,
    general_relu,
    leaky_relu,
    log_softmax,
    relu,
    softmax,
)
from .pooling import adaptive_avg_pool2d, avg_pool2d, max_pool2d
from .products import embedding, linear, scaled_dot_product_attention
from .resampling import interpolate

__all__ = [
    "linear", "embedding", "scaled_dot_product_attention",
    "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d",
    "max_pool2d", "avg_pool2d", "adaptive_avg_pool2d", "interpolate",
    "relu", "leaky_relu", "general_relu", "gelu", "softmax", "log_softmax", "dropout", "pad",
    "batch_norm", "layer_norm", "group_norm",
    "mse_loss", "l1_loss", "nll_loss", "cross_entropy", "binary_cross_entropy_with_logits",
]  # fmt: skip
