"""Interpretation: the worst errors first, and pictures that are pictures."""

import io
import math

import pytest

import groundup as gu
from groundup.train import Confusion, confused_picture, most_confused, training_picture
from groundup.train.interpret import smoothed


def test_the_worst_errors_come_first() -> None:
    scores = gu.tensor([[0.0, 1.0], [5.0, 0.0], [0.0, 4.0], [1.0, 0.0]])
    worst = most_confused(scores, gu.tensor([0, 0, 0, 1]))
    assert [item.index for item in worst] == [2, 0, 3]
    assert [(item.target, item.predicted) for item in worst] == [(0, 1), (0, 1), (1, 0)]
    assert worst[0].probability == pytest.approx(1 / (1 + math.exp(-4)))
    assert worst[0].target_probability == pytest.approx(1 / (1 + math.exp(4)))


def test_large_scores_do_not_overflow() -> None:
    (item,) = most_confused(gu.tensor([[-1e4, 1e4]]), gu.tensor([0]))
    assert item.probability == 1.0 and item.target_probability == 0.0


def test_smoothing_keeps_a_constant_and_follows_a_change() -> None:
    assert smoothed([2.0] * 9) == pytest.approx([2.0] * 9, rel=1e-12)
    step = smoothed([0.0] * 50 + [1.0] * 50, window=5)
    assert step[49] == 0.0 and 0 < step[50] < step[55] < step[99] and step[99] > 0.99


def size(png: bytes) -> tuple[int, int]:
    from PIL import Image

    with Image.open(io.BytesIO(png)) as image:
        assert image.format == "PNG"
        return image.size


def test_pictures() -> None:
    width, _ = size(training_picture([2.0, 1.0, 0.5], [0.1, 0.2, 0.1], "title"))
    item = Confusion(0, 3, 5, 0.01, 0.9)
    image = [[0.0, 255.0], [255.0, 0.0]]
    classes = tuple("0123456789")
    one_row = size(confused_picture([image] * 6, [item] * 6, classes))
    two_rows = size(confused_picture([image] * 7, [item] * 7, classes))
    assert width == one_row[0] == two_rows[0] and two_rows[1] > one_row[1]


def test_pictures_of_nothing() -> None:
    size(confused_picture([], [], ("a", "b")))
    size(training_picture([1.0], [0.1]))
