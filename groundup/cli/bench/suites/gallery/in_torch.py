"""The gallery in torch, eager. Where it is not plain which of its spellings is the fastest, an item
has several: IDIOMS lists the others, all are measured, and the fastest counts.

Must not know the other libraries.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any


def matmul(torch: Any, a: Any, b: Any) -> Any:
    return a @ b


batched_matmul = matmul


def trace(torch: Any, x: Any) -> Any:
    return x.diagonal(0, 1, 2).sum(1)


def _trace_by_einsum(torch: Any, x: Any) -> Any:
    return torch.einsum("nii->n", x)


def diagonal(torch: Any, x: Any) -> Any:
    return x.diagonal(0, 1, 2).clone(memory_format=torch.contiguous_format)


def outer(torch: Any, a: Any, b: Any) -> Any:
    return torch.outer(a, b)


# ---- windows -------------------------------------------------------------------------------------


def convolution_1_d(torch: Any, x: Any, w: Any) -> Any:
    return torch.nn.functional.conv1d(x, w, stride=2, dilation=3)


def _convolution_1_d_as_2d(torch: Any, x: Any, w: Any) -> Any:
    """Of images one row high, in channels_last memory."""
    x, w = (t[:, :, None].contiguous(memory_format=torch.channels_last) for t in (x, w))
    return torch.nn.functional.conv2d(x, w, stride=(1, 2), dilation=(1, 3))[:, :, 0]


def convolution_2_d(torch: Any, x: Any, w: Any) -> Any:
    return torch.nn.functional.conv2d(x, w, stride=2, dilation=2)


def max_pool(torch: Any, x: Any) -> Any:
    return torch.nn.functional.max_pool2d(x, 2)


def _max_pool_by_slices(torch: Any, x: Any) -> Any:
    rows = torch.maximum(x[:, :, ::2], x[:, :, 1::2])
    return torch.maximum(rows[..., ::2], rows[..., 1::2])


def bilinear(torch: Any, x: Any) -> Any:
    return torch.nn.functional.interpolate(x, scale_factor=2, mode="bilinear")


# ---- rows ----------------------------------------------------------------------------------------


def softmax(torch: Any, x: Any) -> Any:
    return x.softmax(1)


def layer_norm(torch: Any, x: Any) -> Any:
    return torch.nn.functional.layer_norm(x, x.shape[1:])


def attention(torch: Any, q: Any, k: Any, v: Any) -> Any:
    return torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)


# ---- points --------------------------------------------------------------------------------------


def distances(torch: Any, x: Any) -> Any:
    return torch.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist").square_()


def _distances_by_cdist_of_mm(torch: Any, x: Any) -> Any:
    return torch.cdist(x, x, compute_mode="use_mm_for_euclid_dist").square_()


def _distances_by_matmul(torch: Any, x: Any) -> Any:
    length = x.square().sum(1)
    return torch.addmm(length, x, x.T, alpha=-2).add_(length[:, None])


def _distances_by_coordinates(torch: Any, x: Any) -> Any:
    total = (x[:, None, 0] - x[:, 0]).square_()
    for f in range(1, x.shape[1]):
        off = x[:, None, f] - x[:, f]
        total.addcmul_(off, off)
    return total


def k_means(torch: Any, x: Any, centres: Any) -> Any:
    near = torch.addmm(centres.square().sum(1), x, centres.T, alpha=-2).argmin(1)
    sums = torch.zeros_like(centres).index_add_(0, near, x)
    return sums / torch.bincount(near, minlength=len(centres))[:, None]


def _k_means_by_one_hot(torch: Any, x: Any, centres: Any) -> Any:
    near = torch.addmm(centres.square().sum(1), x, centres.T, alpha=-2).argmin(1)
    hot = torch.zeros(len(x), len(centres)).scatter_(1, near[:, None], 1.0)
    return (hot.T @ x) / hot.sum(0)[:, None]


def mean_shift(torch: Any, x: Any) -> Any:
    return _shifted(_distances_by_matmul(torch, x), x)


def _mean_shift_by_coordinates(torch: Any, x: Any) -> Any:
    return _shifted(_distances_by_coordinates(torch, x), x)


def _mean_shift_by_softmax(torch: Any, x: Any) -> Any:
    return _distances_by_matmul(torch, x).mul_(-0.5).softmax(1) @ x


def _mean_shift_by_attention(torch: Any, x: Any) -> Any:
    """softmaxⱼ(−|xᵢ − xⱼ|² / 2) = softmaxⱼ(xᵢ · xⱼ − |xⱼ|² / 2): attention with a mask to add."""
    y = x[None, None]
    mask = x.square().sum(1).mul_(-0.5)[None, None, None].expand(1, 1, len(x), -1)
    attend = torch.nn.functional.scaled_dot_product_attention
    return attend(y, y, y, attn_mask=mask, scale=1.0)[0, 0]


def _shifted(squares: Any, x: Any) -> Any:
    pull = squares.mul_(-0.5).exp_()
    return (pull @ x) / pull.sum(1, keepdim=True)


def max_plus(torch: Any, a: Any, b: Any) -> Any:
    best = a[:, :1] + b[0]
    for k in range(1, len(b)):
        torch.maximum(best, a[:, k : k + 1] + b[k], out=best)
    return best


def _max_plus_by_rows(torch: Any, a: Any, b: Any) -> Any:
    columns = b.T.contiguous()
    return torch.stack([(row + columns).amax(1) for row in a])


def histogram(torch: Any, x: Any) -> Any:
    return torch.bincount(x, minlength=256)


def _histogram_by_scatter(torch: Any, x: Any) -> Any:
    ones = torch.ones((), dtype=torch.int64).expand(x.shape)
    return torch.zeros(256, dtype=torch.int64).scatter_add_(0, x, ones)


# ---- time ----------------------------------------------------------------------------------------


def cumsum(torch: Any, x: Any) -> Any:
    return x.cumsum(1)


def lstm_cell(torch: Any, x: Any, h: Any, cell: Any, wx: Any, wh: Any, bias: Any) -> Any:
    return torch._VF.lstm_cell(x, (h, cell), wx, wh, bias, torch.zeros_like(bias))[0]


def _lstm_cell_by_addmm(torch: Any, x: Any, h: Any, cell: Any, wx: Any, wh: Any, bias: Any) -> Any:
    gates = torch.addmm(bias, x, wx.T).addmm_(h, wh.T)
    i, f, g, o = gates.chunk(4, 1)
    kept = f.sigmoid().mul_(cell).addcmul_(i.sigmoid(), g.tanh())
    return kept.tanh_().mul_(o.sigmoid())


def rope(torch: Any, x: Any, cos: Any, sin: Any) -> Any:
    pairs = torch.view_as_complex(x.unflatten(-1, (-1, 2)))
    return torch.view_as_real(pairs * torch.complex(cos, sin)).flatten(-2)


def _rope_by_halves(torch: Any, x: Any, cos: Any, sin: Any) -> Any:
    even, odd = x[..., ::2], x[..., 1::2]
    return torch.stack([even * cos - odd * sin, odd * cos + even * sin], -1).flatten(-2)


def _rope_by_products(torch: Any, x: Any, cos: Any, sin: Any) -> Any:
    y, (even, odd) = torch.empty_like(x), (x[..., ::2], x[..., 1::2])
    torch.mul(even, cos, out=y[..., ::2]).addcmul_(odd, sin, value=-1)
    torch.mul(odd, cos, out=y[..., 1::2]).addcmul_(even, sin)
    return y


# ---- grids ---------------------------------------------------------------------------------------


def life(torch: Any, grid: Any) -> Any:
    h, w = grid.shape
    padded = torch.nn.functional.pad(grid, (1, 1, 1, 1))
    rows = (padded[:h] + padded[1 : h + 1]).add_(padded[2:])
    around = (rows[:, :w] + rows[:, 1 : w + 1]).add_(rows[:, 2:])  # with the cell itself
    return (around == 3).logical_or_((around == 4).logical_and_(grid.bool()))


def _life_in_bits(torch: Any, grid: Any) -> Any:
    """Three, or four with the cell itself: three once the cell's own bit is set at two."""
    h, w = grid.shape
    padded = torch.nn.functional.pad(grid, (1, 1, 1, 1))
    rows = (padded[:h] + padded[1 : h + 1]).add_(padded[2:])
    around = (rows[:, :w] + rows[:, 1 : w + 1]).add_(rows[:, 2:]).sub_(grid)
    return around.bitwise_or_(grid) == 3


def _life_by_convolution(torch: Any, grid: Any) -> Any:
    counts = torch.ones(1, 1, 3, 3)
    around = torch.nn.functional.conv2d(grid[None, None].float(), counts, padding=1)[0, 0]
    return (around == 3) | ((around == 4) & (grid == 1))


def jacobi(torch: Any, x: Any) -> Any:
    y = x[:-2, 1:-1] + x[2:, 1:-1]
    return y.add_(x[1:-1, :-2]).add_(x[1:-1, 2:]).mul_(0.25)


def _jacobi_by_convolution(torch: Any, x: Any) -> Any:
    weight = torch.tensor([[0, 0.25, 0], [0.25, 0, 0.25], [0, 0.25, 0]])
    return torch.nn.functional.conv2d(x[None, None], weight[None, None])[0, 0]


IDIOMS: Mapping[str, Mapping[str, Callable[..., Any]]] = {
    "trace": {"einsum": _trace_by_einsum},
    "convolution_1_d": {"as 2-d": _convolution_1_d_as_2d},
    "max_pool": {"slices": _max_pool_by_slices},
    "distances": {
        "cdist by mm": _distances_by_cdist_of_mm,
        "addmm": _distances_by_matmul,
        "coordinates": _distances_by_coordinates,
    },
    "k_means": {"one-hot": _k_means_by_one_hot},
    "mean_shift": {
        "coordinates": _mean_shift_by_coordinates,
        "softmax": _mean_shift_by_softmax,
        "attention": _mean_shift_by_attention,
    },
    "max_plus": {"row by row": _max_plus_by_rows},
    "histogram": {"scatter_add": _histogram_by_scatter},
    "lstm_cell": {"addmm": _lstm_cell_by_addmm},
    "rope": {"halves": _rope_by_halves, "addcmul": _rope_by_products},
    "life": {"bits": _life_in_bits, "conv2d": _life_by_convolution},
    "jacobi": {"conv2d": _jacobi_by_convolution},
}
