"""Data sets, loaders, normalisation: what they give, and what they refuse."""

import math

import pytest

import groundup as gu
from groundup.data import (
    DataLoader,
    Dataset,
    Normalize,
    Registry,
    SequentialSampler,
    Subset,
    TensorDataset,
    UnknownName,
    statistics,
)
from groundup.data.dataset import Item


def numbers(n: int) -> TensorDataset:
    return TensorDataset(gu.arange(n), gu.arange(n) * 10)


def test_items_and_batches() -> None:
    data = numbers(5)
    assert len(data) == 5
    assert [t.item() for t in data[3]] == [3, 30]
    x, y = data.batch([4, 0, 4])
    assert x.tolist() == [4, 0, 4] and y.tolist() == [40, 0, 40]


def test_the_default_batch_stacks_items() -> None:
    class Squares(Dataset):
        def __len__(self) -> int:
            return 4

        def __getitem__(self, index: int) -> Item:
            return gu.tensor([float(index)]), gu.tensor(index * index)

    x, y = Squares().batch([3, 1])
    assert x.tolist() == [[3.0], [1.0]] and y.tolist() == [9, 1]


def test_a_subset_maps_indices() -> None:
    part = Subset(numbers(10), [9, 2, 5])
    assert len(part) == 3 and part[1][0].item() == 2
    assert part.batch([2, 0])[1].tolist() == [50, 90]
    with pytest.raises(IndexError, match=r"index 10 is outside the data set's 10 items \(0 to 9\)"):
        Subset(numbers(10), [0, 10])


def test_tensors_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match=r"same first dimension.*\(3, 2\), \(4,\)"):
        TensorDataset(gu.zeros(3, 2), gu.zeros(4))
    with pytest.raises(ValueError, match="at least one tensor"):
        TensorDataset()


@pytest.mark.parametrize(("labels", "bad", "where"), [([0, 1, 3], 3, 2), ([0, -1, 9], -1, 1)])
def test_labels_outside_the_classes_are_refused(labels: list[int], bad: int, where: int) -> None:
    with pytest.raises(ValueError, match=f"label {bad} of item {where} is outside the 3 classes"):
        TensorDataset(gu.zeros(3), gu.tensor(labels), classes=3)


def test_batches_cover_the_data_in_order() -> None:
    loader = DataLoader(numbers(7), 3)
    assert len(loader) == 3
    assert [x.tolist() for x, _ in loader] == [[0, 1, 2], [3, 4, 5], [6]]
    short = DataLoader(numbers(7), 3, drop_last=True)
    assert len(short) == 2 == len(list(short))


def test_shuffling_is_a_matter_of_seed_and_pass() -> None:
    def passes(seed: int) -> list[list[int]]:
        loader = DataLoader(numbers(20), 6, shuffle=True, seed=seed)
        return [[i for x, _ in loader for i in x.tolist()] for _ in range(2)]

    assert passes(1) == passes(1) != passes(2)
    first, second = passes(1)
    assert first != second and sorted(first) == sorted(second) == list(range(20))


def test_a_sampler_gives_the_order() -> None:
    loader = DataLoader(numbers(20), 2, sampler=SequentialSampler(4))
    assert [x.tolist() for x, _ in loader] == [[0, 1], [2, 3]] and len(loader) == 2
    with pytest.raises(ValueError, match="either shuffle=True or a sampler"):
        DataLoader(numbers(4), 2, shuffle=True, sampler=SequentialSampler(4))


@pytest.mark.parametrize(
    ("size", "message"),
    [(0, "at least 1"), (-3, "at least 1"), (8, "larger than the data: there are 7 items")],
)
def test_impossible_batch_sizes_are_refused(size: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DataLoader(numbers(7), size)


@pytest.mark.parametrize("size", [2.0, True, "4"])
def test_a_batch_size_is_a_whole_number(size: object) -> None:
    with pytest.raises(TypeError, match="whole number"):
        DataLoader(numbers(7), size)  # type: ignore[arg-type]


def test_statistics_are_exact() -> None:
    values = [0, 255, 255, 17, 3, 90, 255, 1]
    data = TensorDataset(gu.tensor(values, dtype=gu.uint8).view(4, 2))
    mean, std = statistics(data, chunk=3)
    assert mean == sum(values) / 8
    assert math.isclose(std, math.sqrt(sum((v - mean) ** 2 for v in values) / 8), rel_tol=1e-14)
    with pytest.raises(ValueError, match="empty data set"):
        statistics(Subset(data, []))


def test_normalize_gives_mean_0_and_std_1() -> None:
    data = TensorDataset(gu.tensor([[1, 5], [9, 200]], dtype=gu.uint8))
    x = Normalize(*statistics(data))(data.batch([0, 1])[0])
    assert x.dtype == gu.float32
    values = [v for row in x.tolist() for v in row]
    assert abs(sum(values)) < 1e-5 and abs(sum(v * v for v in values) / 4 - 1) < 1e-5


@pytest.mark.parametrize("std", [0.0, -1.0, math.nan, math.inf])
def test_normalize_refuses_a_std_that_is_none(std: float) -> None:
    with pytest.raises(ValueError, match="positive std"):
        Normalize(0.0, std)


def test_a_transform_is_applied_to_the_first_tensor() -> None:
    loader = DataLoader(numbers(4), 4, transform=lambda x: x + 100)
    ((x, y),) = loader
    assert x.tolist() == [100, 101, 102, 103] and y.tolist() == [0, 10, 20, 30]


def test_an_unknown_name_lists_the_known_ones() -> None:
    registry = Registry("fruit", {"apple": 1, "pear": 2})
    assert registry["pear"] == 2 and list(registry) == ["apple", "pear"]
    with pytest.raises(UnknownName) as caught:
        registry["aple"]
    assert str(caught.value) == "unknown fruit 'aple'; known: apple, pear. Did you mean 'apple'?"
