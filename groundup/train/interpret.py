"""Interpretation: which items a model gets most wrong, and pictures of that and of the training.

Must not know the model; it sees scores, targets, images and records.
"""

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from groundup.tensor import Tensor

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Confusion:
    """One item: its index, its class, the class it was taken for, and the probabilities of both."""

    index: int
    target: int
    predicted: int
    target_probability: float
    probability: float


def most_confused(scores: Tensor, targets: Tensor) -> list[Confusion]:
    """Return the items whose highest score is not their class, the least likely class first.

    The probabilities are softmax(scores): p[c] = exp(s[c]) / Σ_k exp(s[k]). `scores` (n, classes), `targets` (n,).

    >>> import groundup as gu
    >>> worst = most_confused(gu.tensor([[2.0, 0.0], [0.0, 9.0], [0.0, 3.0]]), gu.tensor([0, 0, 0]))
    >>> [(item.index, item.predicted) for item in worst]
    [(1, 1), (2, 1)]
    """
    found = []
    for index, (row, target) in enumerate(zip(scores.tolist(), targets.tolist(), strict=True)):
        top = max(row)
        predicted = row.index(top)
        if predicted != target:
            total = sum(math.exp(score - top) for score in row)
            own = math.exp(row[target] - top) / total
            found.append(Confusion(index, target, predicted, own, 1.0 / total))
    return sorted(found, key=lambda item: (item.target_probability, item.index))


INK, FAINT, GRID, BLUE, AMBER = "#1f2430", "#6b7280", "#e5e7eb", "#2563eb", "#d97706"


def training_picture(losses: Sequence[float], lrs: Sequence[float], title: str = "") -> bytes:
    """Return a PNG: the loss against steps (each, and its moving average), below it the learning rate."""
    figure = _figure(9.0, 5.4)
    upper, lower = figure.subplots(
        2, 1, sharex=True, gridspec_kw={"height_ratios": [2.6, 1.0], "hspace": 0.12}
    )
    steps = range(1, len(losses) + 1)
    upper.plot(steps, losses, color=BLUE, alpha=0.22, linewidth=0.8, label="each step")
    upper.plot(steps, smoothed(losses), color=BLUE, linewidth=2.0, label="moving average")
    positive = [loss for loss in losses if loss > 0]
    if positive and max(positive) > 10 * min(positive):
        upper.set_yscale("log")
    upper.set_ylabel("training loss")
    upper.legend(frameon=False, labelcolor=FAINT)
    lower.fill_between(steps, lrs, color=AMBER, alpha=0.15, linewidth=0)
    lower.plot(steps, lrs, color=AMBER, linewidth=2.0)
    lower.set_ylabel("learning rate")
    lower.set_xlabel("step")
    lower.set_ylim(bottom=0)
    lower.set_xlim(0, max(len(losses), 1))
    for axes in (upper, lower):
        _bare(axes)
    figure.suptitle(title, color=INK, fontsize=13, fontweight="bold", x=0.098, y=0.955, ha="left")
    figure.subplots_adjust(left=0.1, right=0.97, top=0.89, bottom=0.11)
    return _png(figure)


def confused_picture(
    images: Sequence[Sequence[Sequence[float]]],
    confusions: Sequence[Confusion],
    classes: Sequence[str],
    title: str = "",
) -> bytes:
    """Return a PNG: the images (rows of grey values), each with its class and what it was taken for."""
    columns = 6
    rows = max(1, -(-len(images) // columns))
    figure = _figure(9.0, 1.0 + 1.78 * rows)
    grid = figure.subplots(rows, columns, squeeze=False)
    cells = [axes for row in grid for axes in row]
    for axes in cells:
        axes.axis("off")
    for axes, image, item in zip(cells, images, confusions, strict=False):
        axes.imshow(image, cmap="gray_r", interpolation="nearest")
        true, taken = classes[item.target], classes[item.predicted]
        axes.text(
            0.0, 1.06, f"{true}", transform=axes.transAxes, color=INK, fontsize=13, fontweight="bold"
        )
        axes.text(
            1.0, 1.06, f"taken for {taken} · {item.probability:.0%}",
            transform=axes.transAxes, color=AMBER, fontsize=9, ha="right",
        )  # fmt: skip
        axes.axis("on")
        axes.set_xticks([])
        axes.set_yticks([])
        for spine in axes.spines.values():
            spine.set_color(GRID)
    if not images:
        cells[0].text(0.0, 0.5, "none: every item was recognised", color=FAINT, fontsize=12)
    height = figure.get_size_inches()[1]
    figure.suptitle(
        title, color=INK, fontsize=13, fontweight="bold", x=0.03, y=1 - 0.18 / height, ha="left", va="top"
    )
    figure.subplots_adjust(
        left=0.03, right=0.97, top=1 - 0.85 / height, bottom=0.15 / height, hspace=0.3, wspace=0.16
    )
    return _png(figure)


def smoothed(values: Sequence[float], keep: float = 0.97) -> list[float]:
    """Return the exponential moving average, corrected for its start from nothing.

    a_t = keep·a_{t-1} + (1-keep)·v_t,  ŝ_t = a_t / (1 - keep^t), the correction of Adam (Kingma and Ba 2015, §3).

    >>> smoothed([1.0, 1.0, 1.0]) == [1.0, 1.0, 1.0]
    True
    """
    result, average, weight = [], 0.0, 0.0
    for value in values:
        average += (1 - keep) * (value - average)
        weight += (1 - keep) * (1 - weight)
        result.append(average / weight)
    return result


def _figure(width: float, height: float) -> "Figure":
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=140, facecolor="white")


def _bare(axes: "Axes") -> None:
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(FAINT)
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=FAINT, labelsize=9)
    axes.xaxis.label.set_color(INK)
    axes.yaxis.label.set_color(INK)


def _png(figure: "Figure") -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()
