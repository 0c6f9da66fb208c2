"""Interpretation: which items a model gets most wrong, and pictures of that and of the training.

Must not know the model; it sees scores, targets, images and records.
"""

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

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

    The probabilities are softmax(scores): p[c] = exp(s[c]) / Σ_k exp(s[k]). `scores` (n, classes),
    `targets` (n,).

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
    """Return a PNG of the loss against steps, and of the learning rate below it."""
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
    """Return a PNG of images (rows of grey values) with their classes, true and predicted."""
    columns = 6
    rows = max(1, -(-len(images) // columns))
    height = 1.05 + 1.62 * rows
    figure = _figure(9.0, height)
    grid = figure.subplots(rows, columns, squeeze=False)
    cells = [axes for row in grid for axes in row]
    for axes in cells:
        axes.axis("off")
    for axes, image, item in zip(cells, images, confusions, strict=False):
        axes.imshow(image, cmap="gray_r", interpolation="nearest")
        _caption(axes, classes[item.target], classes[item.predicted], item.probability)
    if not images:
        cells[0].text(0.0, 0.5, "none: every item was recognised", color=FAINT, fontsize=12)
    place: dict[str, Any] = {"x": 0.03, "ha": "left", "va": "top"}
    figure.text(y=1 - 0.2 / height, s=title, color=INK, fontsize=13, fontweight="bold", **place)
    note = "its class → what it was taken for, and how surely"
    figure.text(y=1 - 0.47 / height, s=note, color=FAINT, fontsize=9.5, **place)
    figure.subplots_adjust(
        left=0.03, right=0.97, top=1 - 1.05 / height, bottom=0.12 / height, hspace=0.26, wspace=0.14
    )
    return _png(figure)


def _caption(axes: "Axes", target: str, predicted: str, probability: float) -> None:
    """Write `target -> predicted, probability` above an image, and frame the image."""
    place: dict[str, Any] = {
        "xycoords": "axes fraction",
        "textcoords": "offset points",
        "annotation_clip": False,
    }
    style: dict[str, Any] = {"fontsize": 11, "fontweight": "bold"}
    first = axes.annotate(target, (0, 1), (0, 5), color=INK, **style, **place)
    place["xycoords"] = first
    axes.annotate(f" → {predicted}", (1, 0), (0, 0), color=AMBER, va="bottom", **style, **place)
    place["xycoords"] = "axes fraction"
    axes.annotate(
        f"{probability:.0%}", (1, 1), (0, 5), color=FAINT, fontsize=9, ha="right", **place
    )
    axes.axis("on")
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_color(GRID)


def smoothed(values: Sequence[float], window: float | None = None) -> list[float]:
    """Return the exponential moving average over about `window` values, corrected for its start.

    keep = 1 - 1/window; the window is a fiftieth of the values, but at least 5, unless it is given.

    a_t = keep·a_{t-1} + (1-keep)·v_t,  ŝ_t = a_t / (1 - keep^t), Adam's correction (Kingma and Ba
    2015, section 3).

    >>> smoothed([1.0, 1.0, 1.0]) == [1.0, 1.0, 1.0]
    True
    """
    share = 1.0 / (window or max(5.0, len(values) / 50))
    result, average, weight = [], 0.0, 0.0
    for value in values:
        average += share * (value - average)
        weight += share * (1 - weight)
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
