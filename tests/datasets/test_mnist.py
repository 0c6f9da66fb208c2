"""The embedded MNIST: the true images, a fixed split, and clear words about a damaged file."""

import shutil
from pathlib import Path

import pytest

import groundup as gu
from groundup import datasets
from groundup.datasets import DataError, mnist


@pytest.fixture(scope="module")
def raw() -> mnist.Raw:
    return mnist.read()


@pytest.fixture(scope="module")
def splits() -> datasets.Splits:
    return datasets.load("mnist")


def test_the_embedded_images_are_the_originals(raw: mnist.Raw, data_folder: Path) -> None:
    import numpy as np

    with np.load(data_folder / "mnist.npz") as original:
        assert raw.train_images == original["x_train"].tobytes()
        assert raw.test_images == original["x_test"].tobytes()
        assert list(raw.train_labels) == original["y_train"].tolist()
        assert list(raw.test_labels) == original["y_test"].tolist()


def test_the_split_is_disjoint_complete_and_fixed(splits: datasets.Splits) -> None:
    train, valid = set(splits.train.indices), set(splits.valid.indices)
    assert len(train) == len(splits.train) == 55_000
    assert len(valid) == len(splits.valid) == 5_000
    assert not train & valid and train | valid == set(range(60_000))
    assert len(splits.test) == 10_000
    # Fixed for ever: results of different versions stay comparable.
    assert splits.valid.indices[:5] == [6, 18, 36, 37, 45]


def test_an_item_is_an_image_and_its_label(splits: datasets.Splits, raw: mnist.Raw) -> None:
    image, label = splits.test[0]
    assert tuple(image.shape) == (1, 28, 28) and image.dtype == gu.uint8
    assert [v for row in image[0].tolist() for v in row] == list(raw.test_images[:784])
    assert label.item() == raw.test_labels[0] == 7


def test_normalisation_uses_the_training_images_only(
    splits: datasets.Splits, raw: mnist.Raw
) -> None:
    import numpy as np

    images = np.frombuffer(raw.train_images, dtype=np.uint8).reshape(60_000, -1)
    own = images[splits.train.indices].astype(np.float64)
    assert splits.normalize.mean == pytest.approx(own.mean(), rel=1e-12)
    assert splits.normalize.std == pytest.approx(own.std(), rel=1e-12)


def test_loaders_give_normalised_batches(splits: datasets.Splits) -> None:
    loaders = splits.loaders(batch_size=100, seed=5)
    assert len(loaders.train) == 550
    x, y = next(iter(loaders.train))
    assert tuple(x.shape) == (100, 1, 28, 28) and x.dtype == gu.float32
    assert tuple(y.shape) == (100,) and set(y.tolist()) == set(range(10))
    assert loaders.valid is not None and loaders.test is not None
    assert sum(len(y.tolist()) for _, y in loaders.valid) == 5_000
    first = next(iter(loaders.test))[1].tolist()
    assert first[:4] == [7, 2, 1, 0]


def test_a_truncated_file_is_named(tmp_path: Path) -> None:
    short = tmp_path / "mnist.xz"
    short.write_bytes(mnist._FILE.read_bytes()[:-1])
    with pytest.raises(
        DataError, match=r"mnist.xz is truncated: it has 9,455,111 bytes and should"
    ):
        mnist.read(short)


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    damaged = tmp_path / "mnist.xz"
    content = bytearray(mnist._FILE.read_bytes())
    content[4_000_000] ^= 1
    damaged.write_bytes(content)
    with pytest.raises(DataError, match="damaged: its length is right but its SHA-256"):
        mnist.read(damaged)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read .*install groundup anew"):
        mnist.read(tmp_path / "mnist.xz")


def test_the_whole_file_is_plain_xz(tmp_path: Path, raw: mnist.Raw) -> None:
    import lzma

    whole = tmp_path / "mnist.xz"
    shutil.copy(mnist._FILE, whole)
    with lzma.open(whole) as file:
        assert file.read(47_040_000) == raw.train_images


def test_unknown_data_sets_list_the_known() -> None:
    with pytest.raises(KeyError) as caught:
        datasets.load("minst")
    assert str(caught.value) == "unknown data set 'minst'; known: mnist. Did you mean 'mnist'?"
