"""What is left, and said, when a run that is trained cannot be saved, tested or reported."""

import tempfile
from pathlib import Path

import pytest

from groundup import nn, optim
from groundup.cli import train
from groundup.data import DataLoader, Loaders, Normalize, TensorDataset
from groundup.datasets import Splits
from groundup.tensor import tensor
from groundup.train import Learner, Recorder, SaveError


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> train.Run:
    """A run of two items whose fit is over; temporary files go to `elsewhere`."""
    items = TensorDataset(tensor([[0.0], [1.0]]), tensor([0, 1]))
    loader = DataLoader(items, 2)
    model = nn.Linear(1, 2)
    learn = Learner(Loaders(loader, None, loader), model, optim.SGD(model.parameters(), lr=0.1))
    recorder = Recorder()
    learn.fit(1, [recorder])
    splits = Splits("tiny", items, items, items, ("no", "yes"), Normalize(0.0, 1.0))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "elsewhere"))
    folder = tmp_path / "run"
    return train.Run(
        train.Options("tiny"), folder, splits, learn.loaders, learn, recorder, epochs=1, lr=0.1
    )


def test_weights_that_have_no_place_in_the_folder_are_saved_elsewhere(
    run: train.Run, tmp_path: Path
) -> None:
    run.folder.write_bytes(b"a file, so nothing can be saved in it")
    with pytest.raises(SaveError, match="cannot save .*The trained model is saved in") as caught:
        train._save(run)
    (refuge,) = (tmp_path / "elsewhere").iterdir()
    assert str(refuge) in str(caught.value)
    names = sorted(path.name for path in refuge.iterdir())
    assert names == ["history.csv", "training.png", "weights.safetensors"]


def test_without_any_place_the_first_reason_is_told(
    run: train.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.folder.write_bytes(b"a file, so nothing can be saved in it")
    monkeypatch.setattr(tempfile, "tempdir", str(run.folder))
    with pytest.raises(SaveError, match="cannot save .*weights.safetensors"):
        train._save(run)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SaveError("cannot save the report")])
def test_a_test_that_fails_says_where_the_model_is(run: train.Run, error: BaseException) -> None:
    with pytest.raises(type(error)) as caught, train._saying_what_is_there(run):
        raise error
    assert f"he trained model is saved in {run.folder}" in str(caught.value)
