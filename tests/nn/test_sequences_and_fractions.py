"""The loss of unaligned sequences, and pooling at random places: beside torch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import groundup as gu
import groundup.nn.functional as F
from groundup import nn

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.peers


def compared(
    x: Any, targets: Any, ends: Any, sizes: Any, blank: int = 0, reduction: str = "mean",
    zero_infinity: bool = False,
) -> None:  # fmt: skip
    """Loss and gradient through log_softmax, as torch has them."""

    def run(lib: Any, functional: Any, given: Any) -> Any:
        def length(v: Any) -> Any:
            return lib.from_numpy(v) if isinstance(v, np.ndarray) else v

        loss = functional.ctc_loss(
            given.log_softmax(-1), lib.from_numpy(targets), length(ends), length(sizes), blank,
            reduction, zero_infinity,
        )  # fmt: skip
        loss.sum().backward()  # an infinite one has NaN
        return loss.detach().numpy(), None if given.grad is None else given.grad.numpy()

    theirs = run(torch, torch.nn.functional, torch.from_numpy(x.copy()).requires_grad_())
    ours = run(gu, F, gu.from_numpy(x.copy()).requires_grad_())
    assert ours[0].shape == theirs[0].shape
    np.testing.assert_allclose(ours[0], theirs[0], rtol=1e-12)
    if theirs[1] is not None:
        assert ours[1] is not None
        np.testing.assert_allclose(ours[1], theirs[1], rtol=1e-9, atol=1e-12)


RNG = np.random.default_rng(3)
X = RNG.standard_normal((7, 3, 5))
LABELS = np.array([[1, 1, 4], [2, 3, -9], [-1, -1, -1]])  # beyond the lengths anything may stand


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_ctc_of_padded_targets(reduction: str) -> None:
    labels = np.where(LABELS < 0, 0, LABELS)
    compared(X, labels, np.array([7, 5, 2]), np.array([3, 2, 0]), reduction=reduction)


def test_ctc_of_targets_one_after_the_other() -> None:
    compared(X, np.array([1, 1, 4, 2, 3]), (7, 5, 2), (3, 2, 0))
    compared(X, np.zeros(0, np.int64), [7, 5, 0], [0, 0, 0], reduction="sum")


@pytest.mark.parametrize("zero_infinity", [False, True])
def test_ctc_of_targets_that_are_too_long(zero_infinity: bool) -> None:
    labels = np.full((3, 3), 2)  # three of one label need five times
    compared(X, labels, (7, 4, 0), (3, 3, 1), reduction="none", zero_infinity=zero_infinity)


def test_ctc_of_one_sequence_and_another_blank() -> None:
    compared(X[:, 0], np.array([0, 2]), np.array(7), np.array(2), blank=4, reduction="none")
    compared(X, np.array([[0, 2], [1, 1], [3, 0]]), (7, 7, 7), (2, 2, 1), blank=4)


def test_what_lies_beyond_the_ends_is_not_read() -> None:
    x = gu.from_numpy(X.copy()).log_softmax(-1).detach()
    whole = F.ctc_loss(x, gu.tensor([[1, 2], [3, 1], [2, 2]]), [3, 7, 5], [2, 1, 0],
                       reduction="none")  # fmt: skip
    x[3:, 0] = float("nan")
    x.requires_grad_()
    again = F.ctc_loss(x, gu.tensor([[1, 2], [3, -5], [99, 99]]), [3, 7, 5], [2, 1, 0],
                       reduction="none")  # fmt: skip
    assert again.tolist() == whole.tolist()
    again.sum().backward()
    assert x.grad is not None and x.grad.isfinite().all().item()
    assert not x.grad[3:, 0].any().item()


def test_ctc_refuses_what_does_not_fit() -> None:
    x, labels = gu.zeros(4, 2, 3), gu.ones(2, 2).long()
    for text, kind, args in [
        ("input_lengths are at most 4, the times, not 5", ValueError, (x, labels, [4, 5], [1, 1])),
        ("0 or more, not -1", ValueError, (x, labels, [4, 4], [1, -1])),
        ("a row of targets, at least as long", gu.ShapeError, (x, labels, [4, 4], [1, 3])),
        ("2 integers, one for each", gu.ShapeError, (x, labels, [4], [1, 1])),
        ("have 3 labels", gu.ShapeError, (x, gu.ones(2).long(), [4, 4], [1, 2])),
        ("integer type, not float32", TypeError, (x, gu.ones(2, 2), [4, 4], [1, 2])),
        ("leaves an axis|none of the 3 classes", IndexError, (x, 3 * labels, [4, 4], [1, 2])),
        ("expected log probabilities", gu.ShapeError, (gu.zeros(4), labels, [4, 4], [1, 2])),
    ]:
        with pytest.raises(kind, match=text):
            F.ctc_loss(*args).item()
    with pytest.raises(IndexError, match="blank is one of the classes 0 to 2"):
        F.ctc_loss(x, labels, [4, 4], [1, 1], blank=3)


def test_ctc_as_a_module() -> None:
    x = gu.from_numpy(X).log_softmax(-1)
    args = (x, gu.tensor([[1], [2], [3]]), [7, 7, 7], [1, 1, 1])
    assert nn.CTCLoss(reduction="sum")(*args).item() == F.ctc_loss(*args, reduction="sum").item()


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_fractional_pools_of_given_samples(dims: int, kind: Any) -> None:
    rng = np.random.default_rng(dims)
    name = f"fractional_max_pool{dims}d"
    for _ in range(4):
        shape = [2, 3, *rng.integers(6, 11, dims)]
        kernel, size = (tuple(map(int, rng.integers(1, 4, dims))) for _ in range(2))
        x, samples = rng.standard_normal(shape).astype(kind), rng.random((2, 3, dims)).astype(kind)
        theirs = torch.from_numpy(x.copy()).requires_grad_()
        ours = gu.from_numpy(x.copy()).requires_grad_()
        a, at = getattr(torch.nn.functional, name)(
            theirs, kernel, size, return_indices=True, _random_samples=torch.from_numpy(samples)
        )
        b, bt = getattr(F, name)(
            ours, kernel, size, return_indices=True, _random_samples=gu.from_numpy(samples)
        )
        np.testing.assert_array_equal(bt.numpy(), at.numpy())
        np.testing.assert_array_equal(b.detach().numpy(), a.detach().numpy())
        a.sum().backward()
        b.sum().backward()
        np.testing.assert_array_equal(ours.grad.numpy(), theirs.grad.numpy())


def test_fractional_pools_choose_places_by_themselves() -> None:
    pool = nn.FractionalMaxPool2d(2, output_ratio=0.5)
    x = gu.arange(64.0).reshape(1, 1, 8, 8)
    assert pool(x).shape == (1, 1, 4, 4) and pool(x)[0, 0, -1, -1].item() == 63
    assert nn.FractionalMaxPool3d(1, output_size=2)(gu.ones(2, 4, 4, 4)).shape == (2, 2, 2, 2)
    with pytest.raises(ValueError, match="give one of output_size and output_ratio"):
        nn.FractionalMaxPool2d(2)
    with pytest.raises(gu.ShapeError, match="do not fit"):
        F.fractional_max_pool2d(x, 4, 6)
    with pytest.raises(ValueError, match="between 0 and 1"):
        F.fractional_max_pool2d(x, 2, output_ratio=1.5)
