"""What the JAX definitions of the workloads share: the layers as functions of a state dict.

Images are (n, h, w, c) here, the layout in which XLA's convolutions for CPUs run without copies;
weights keep PyTorch's shapes and are transposed where they are used. Must not know the models.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Params = Mapping[str, Any]


class Layers:
    """The layers, from the module `jax`; each takes the parameters and the path of its own."""

    def __init__(self, jax: Any) -> None:
        self.jax, self.np = jax, jax.numpy

    def count(self, p: Params, path: str) -> int:
        """How many numbered children the path has."""
        head = f"{path}."
        return len({key[len(head) :].split(".")[0] for key in p if key.startswith(head)})

    def images(self, x: Any) -> Any:
        """(n, c, h, w) to (n, h, w, c)."""
        return x.transpose(0, 2, 3, 1)

    def relu(self, x: Any) -> Any:
        """max(x, 0), its derivative at 0 is 0."""
        return self.jax.nn.relu(x)

    def linear(self, p: Params, path: str, x: Any) -> Any:
        """x · wᵀ + b"""
        y = x @ p[f"{path}.weight"].T
        bias = p.get(f"{path}.bias")
        return y if bias is None else y + bias

    def conv(self, p: Params, path: str, x: Any, stride: int = 1, padding: int = 0) -> Any:
        """The convolution of images (n, h, w, c) by a weight (o, c, u, v)."""
        weight = p[f"{path}.weight"].transpose(2, 3, 1, 0)
        y = self.jax.lax.conv_general_dilated(
            x, weight, (stride, stride), [(padding, padding)] * 2,
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )  # fmt: skip
        bias = p.get(f"{path}.bias")
        return y if bias is None else y + bias

    def batch_norm(self, p: Params, path: str, x: Any, eps: float = 1e-5) -> Any:
        """Batch norm in training: the statistics of this batch, over all axes but the last."""
        over = tuple(range(x.ndim - 1))
        mean, var = x.mean(over), x.var(over)
        scale = self.jax.lax.rsqrt(var + eps) * p[f"{path}.weight"]
        return (x - mean) * scale + p[f"{path}.bias"]

    def layer_norm(self, p: Params, path: str, x: Any, eps: float = 1e-5) -> Any:
        """Layer norm over the last axis."""
        mean, var = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
        y = (x - mean) * self.jax.lax.rsqrt(var + eps)
        return y * p[f"{path}.weight"] + p[f"{path}.bias"]

    def max_pool(self, x: Any, size: int, stride: int, padding: int = 0) -> Any:
        """The greatest of each window of images (n, h, w, c)."""
        pads = [(0, 0), (padding, padding), (padding, padding), (0, 0)]
        return self.jax.lax.reduce_window(
            x, -self.np.inf, self.jax.lax.max, (1, size, size, 1), (1, stride, stride, 1), pads
        )

    def avg_pool(self, x: Any, size: int) -> Any:
        """The mean of each window, side by side, of images (n, h, w, c)."""
        window = (1, size, size, 1)
        total = self.jax.lax.reduce_window(x, 0.0, self.jax.lax.add, window, window, "VALID")
        return total / (size * size)

    def cross_entropy(self, scores: Any, y: Any) -> Any:
        """The mean over all targets of −log softmax(scores)[y]."""
        log_probs = self.jax.nn.log_softmax(scores, axis=-1)
        return -self.np.take_along_axis(log_probs, y[..., None], axis=-1).mean()
