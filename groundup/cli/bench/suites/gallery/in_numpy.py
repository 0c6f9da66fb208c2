"""The gallery in NumPy: the spelling that a careful user of NumPy writes.

Must not know the other libraries.
"""

from __future__ import annotations

import math
from typing import Any


def matmul(np: Any, a: Any, b: Any) -> Any:
    return a @ b


batched_matmul = matmul


def trace(np: Any, x: Any) -> Any:
    return np.trace(x, axis1=1, axis2=2)


def diagonal(np: Any, x: Any) -> Any:
    return np.diagonal(x, axis1=1, axis2=2).copy()


def outer(np: Any, a: Any, b: Any) -> Any:
    return np.outer(a, b)


# ---- windows -------------------------------------------------------------------------------------


def convolution_1_d(np: Any, x: Any, w: Any) -> Any:
    size = (x.shape[2] - 3 * (w.shape[2] - 1) - 1) // 2 + 1
    taps = [x[:, :, 3 * u : 3 * u + 2 * size - 1 : 2] for u in range(w.shape[2])]
    return sum(w[:, :, u] @ tap for u, tap in enumerate(taps))


def convolution_2_d(np: Any, x: Any, w: Any) -> Any:
    outputs, channels, height, width = w.shape
    p, q = (x.shape[2] - 2 * height) // 2 + 1, (x.shape[3] - 2 * width) // 2 + 1
    y = np.zeros((x.shape[0], outputs, p * q), x.dtype)
    for u in range(height):
        for v in range(width):
            tap = x[:, :, 2 * u : 2 * (u + p) : 2, 2 * v : 2 * (v + q) : 2]
            y += w[:, :, u, v] @ tap.reshape(x.shape[0], channels, p * q)
    return y.reshape(x.shape[0], outputs, p, q)


def max_pool(np: Any, x: Any) -> Any:
    rows = np.maximum(x[:, :, ::2], x[:, :, 1::2])
    return np.maximum(rows[..., ::2], rows[..., 1::2])


def bilinear(np: Any, x: Any) -> Any:
    for axis in (2, 3):
        size = x.shape[axis]
        at = np.clip((np.arange(2 * size) + 0.5) / 2 - 0.5, 0, size - 1)
        low = at.astype(np.int64)
        share = (at % 1).astype(np.float32).reshape([-1] + [1] * (3 - axis))
        after = x.take(np.minimum(low + 1, size - 1), axis)
        x = x.take(low, axis) * (1 - share) + after * share
    return x


# ---- rows ----------------------------------------------------------------------------------------


def softmax(np: Any, x: Any) -> Any:
    e = np.exp(x - x.max(-1, keepdims=True))
    e /= e.sum(-1, keepdims=True)
    return e


def layer_norm(np: Any, x: Any) -> Any:
    centred = x - x.mean(1, keepdims=True)
    centred /= np.sqrt(np.square(centred).mean(1, keepdims=True) + np.float32(1e-5))
    return centred


def attention(np: Any, q: Any, k: Any, v: Any) -> Any:
    steps = q.shape[2]
    scores = q @ k.swapaxes(2, 3) / np.float32(math.sqrt(q.shape[3]))
    scores += np.triu(np.full((steps, steps), -np.inf, np.float32), 1)
    return softmax(np, scores) @ v


# ---- points --------------------------------------------------------------------------------------


def distances(np: Any, x: Any) -> Any:
    return _squares(np, x, x)


def _squares(np: Any, x: Any, y: Any) -> Any:
    """(xᵢ − yⱼ)², coordinate by coordinate: fewer temporaries than all at once."""
    total = np.square(x[:, None, 0] - y[:, 0])
    for f in range(1, x.shape[1]):
        total += np.square(x[:, None, f] - y[:, f])
    return total


def k_means(np: Any, x: Any, centres: Any) -> Any:
    near = (np.square(centres).sum(1) - 2 * x @ centres.T).argmin(1)
    count = len(centres)
    sums = [np.bincount(near, column, count) for column in x.T]
    return (np.stack(sums, 1) / np.bincount(near, minlength=count)[:, None]).astype(np.float32)


def mean_shift(np: Any, x: Any) -> Any:
    pull = np.exp(_squares(np, x, x) / -2)
    return pull @ x / pull.sum(1, keepdims=True)


def max_plus(np: Any, a: Any, b: Any) -> Any:
    best = a[:, :1] + b[0]
    for k in range(1, len(b)):
        np.maximum(best, a[:, k : k + 1] + b[k], out=best)
    return best


def histogram(np: Any, x: Any) -> Any:
    return np.bincount(x, minlength=256)


# ---- time ----------------------------------------------------------------------------------------


def cumsum(np: Any, x: Any) -> Any:
    return np.cumsum(x, 1)


def lstm_cell(np: Any, x: Any, h: Any, cell: Any, wx: Any, wh: Any, bias: Any) -> Any:
    gates = x @ wx.T + h @ wh.T + bias
    i, f, g, o = np.split(gates, 4, 1)
    return _sigmoid(np, o) * np.tanh(_sigmoid(np, f) * cell + _sigmoid(np, i) * np.tanh(g))


def _sigmoid(np: Any, x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def rope(np: Any, x: Any, cos: Any, sin: Any) -> Any:
    y, (even, odd) = np.empty_like(x), (x[..., ::2], x[..., 1::2])
    np.subtract(even * cos, odd * sin, out=y[..., ::2])
    np.add(odd * cos, even * sin, out=y[..., 1::2])
    return y


# ---- grids ---------------------------------------------------------------------------------------


def life(np: Any, grid: Any) -> Any:
    h, w = grid.shape
    padded = np.pad(grid, 1)
    rows = padded[:h] + padded[1 : h + 1] + padded[2:]
    around = rows[:, :w] + rows[:, 1 : w + 1] + rows[:, 2:]  # with the cell itself
    return (around == 3) | ((around == 4) & (grid == 1))


def jacobi(np: Any, x: Any) -> Any:
    y = x[:-2, 1:-1] + x[2:, 1:-1]
    y += x[1:-1, :-2]
    y += x[1:-1, 2:]
    y *= 0.25
    return y
