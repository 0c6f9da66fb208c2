"""Errors of layers show both shapes and say what would be right."""

from __future__ import annotations

import pytest

import groundup as gu
from groundup import nn
from groundup.nn import functional as F


def test_linear_names_the_layer_both_shapes_and_the_line() -> None:
    with pytest.raises(gu.ShapeError) as error:
        nn.Linear(784, 10)(gu.zeros(64, 1, 28, 28))
    text = str(error.value)
    assert "Linear(in_features=784, out_features=10, bias=True) expects a last axis of 784" in text
    assert "put nn.Flatten() before it" in text
    assert "(64, 1, 28, 28)" in text and "(10, 784)" in text
    assert text.splitlines()[-1].endswith("nn.Linear(784, 10)(gu.zeros(64, 1, 28, 28))")
    with pytest.raises(gu.ShapeError, match=r"did you mean Linear\(4, 2\)"):
        nn.Linear(3, 2)(gu.zeros(2, 4))
    with pytest.raises(gu.ShapeError, match=r"input +\(2, 4\)\n +weight +\(2, 3\)"):
        F.linear(gu.zeros(2, 4), gu.zeros(2, 3))
    with pytest.raises(gu.ShapeError, match=r"bias +\(3,\)"):
        F.linear(gu.zeros(2, 4), gu.zeros(2, 4), gu.zeros(3))


def test_conv2d_explains_channels_groups_and_sizes() -> None:
    with pytest.raises(gu.ShapeError, match=r"images \(n, 3, h, w\)\n +input +\(2, 1, 8, 8\)"):
        nn.Conv2d(3, 4, 3)(gu.zeros(2, 1, 8, 8))
    with pytest.raises(gu.ShapeError, match=r"expects 3 channels.*the input has 2"):
        F.conv2d(gu.zeros(1, 2, 8, 8), gu.zeros(4, 3, 3, 3))
    with pytest.raises(gu.ShapeError, match="larger than the image"):
        F.conv2d(gu.zeros(1, 1, 4, 4), gu.zeros(1, 1, 5, 5))
    with pytest.raises(ValueError, match="3 groups"):
        nn.Conv2d(4, 6, 3, groups=3)
    with pytest.raises(ValueError, match="stride is an int or a pair"):
        nn.Conv2d(1, 1, 3, stride=0)


def test_pooling_refuses_windows_of_nothing_but_padding() -> None:
    with pytest.raises(ValueError, match="more than half"):
        F.max_pool2d(gu.zeros(1, 1, 4, 4), 2, padding=2)
    with pytest.raises(gu.ShapeError, match=r"\(n, c, h, w\)"):
        F.avg_pool2d(gu.zeros(4, 4), 2)


def test_losses_refuse_what_broadcasting_would_hide() -> None:
    with pytest.raises(gu.ShapeError, match=r"input +\(4, 1\)\n +target +\(4,\)"):
        F.mse_loss(gu.zeros(4, 1), gu.zeros(4))
    with pytest.raises(gu.ShapeError, match="one class index for each"):
        F.cross_entropy(gu.zeros(4, 3), gu.zeros(5, dtype=gu.int64))
    with pytest.raises(TypeError, match="class indices of an integer dtype, not float32"):
        F.cross_entropy(gu.zeros(4, 3), gu.zeros(4))
    with pytest.raises(ValueError, match="reduction is"):
        F.mse_loss(gu.zeros(4), gu.zeros(4), "average")


@pytest.mark.parametrize("label", [3, 10, -1])
def test_a_label_that_is_no_class_is_an_index_error(label: int) -> None:
    x, target = gu.randn(4, 3).realize(), gu.tensor([0, 1, label, 2])
    with pytest.raises(IndexError, match=str(label)):  # known labels: at once
        F.cross_entropy(x, target)
    with pytest.raises(IndexError):  # labels that are still to be computed: with the loss
        F.cross_entropy(x, target + gu.zeros(4, dtype=gu.int64)).item()
    with pytest.raises(IndexError):
        gu.jit(lambda x, t: F.cross_entropy(x, t))(x, target).item()


def test_batch_norm_needs_more_than_one_value() -> None:
    with pytest.raises(gu.ShapeError, match="more than 1 value"):
        nn.BatchNorm1d(3)(gu.zeros(1, 3))
    with pytest.raises(gu.ShapeError, match=r"\(n, 3, h, w\)"):
        nn.BatchNorm2d(3)(gu.zeros(2, 4, 5, 5))


def test_numbers_out_of_range() -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        nn.Dropout(1.5)
    with pytest.raises(ValueError, match="no gain is known for 'swish'"):
        nn.init.calculate_gain("swish")
    with pytest.raises(ValueError, match="at least 2 axes"):
        nn.init.kaiming_normal_(gu.zeros(3))


def test_a_module_without_forward_says_so() -> None:
    class Empty(nn.Module):
        pass

    with pytest.raises(NotImplementedError, match="Empty has no forward"):
        Empty()(1)


def test_containers_take_modules_only() -> None:
    with pytest.raises(TypeError, match=r"write Sequential\(ReLU\(\), …\)"):
        nn.Sequential(nn.ReLU)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="holds modules, not int"):
        nn.ModuleList([3])  # type: ignore[list-item]


def test_layers_do_not_promote() -> None:
    with pytest.raises(TypeError, match="input float64, weight float32"):
        nn.Linear(4, 2)(gu.ones(3, 4, dtype=gu.float64))
    with pytest.raises(TypeError, match="input int64, weight float32"):
        nn.Conv2d(1, 1, 3)(gu.zeros(1, 1, 5, 5, dtype=gu.int64))
    with pytest.raises(TypeError, match="input is a tensor, not list"):
        F.linear([1.0], gu.ones(1, 1))
