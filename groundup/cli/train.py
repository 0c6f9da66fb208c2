"""`groundup train`: data, model, fit, test, and the files of the run. Must not know typer."""

import json
import math
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from groundup import nn
from groundup._version import __version__
from groundup.cli.clock import process_seconds
from groundup.data import Loaders, UnknownName
from groundup.data.loader import check_batch_size
from groundup.datasets import DataError, Splits, load
from groundup.optim import SGD, one_cycle
from groundup.runtime import get_num_threads, set_num_threads
from groundup.runtime.code import stats
from groundup.tensor import manual_seed
from groundup.train import (
    Learner,
    NonFiniteLoss,
    Progress,
    Recorder,
    SaveError,
    Schedule,
    StopOnInterrupt,
    StopOnNaN,
    confused_picture,
    most_confused,
    new_run_folder,
    save_weights,
    training_picture,
    write_whole,
)
from groundup.vision import MODELS, Recipe

_SHOWN = 24  # confused images in the picture: four rows of six


class WrongOption(ValueError):
    """An option's value cannot be; `option` is its name on the command line."""

    def __init__(self, option: str, message: str) -> None:
        self.option = option
        super().__init__(message)


class TrainFailed(Exception):
    """The options were right, and yet the training could not be completed."""


@dataclass(frozen=True)
class Options:
    """What the user asked for; None means the recipe's own value."""

    dataset: str
    model: str = "cnn"
    epochs: int | None = None
    lr: float | None = None
    batch_size: int | None = None
    seed: int = 0
    threads: int | None = None
    out: Path | None = None
    json: Path | None = None


@dataclass(frozen=True)
class Run:
    """A run that is set up: all that is needed from the first step to the last file."""

    options: Options
    folder: Path
    data: Splits
    loaders: Loaders
    learn: Learner
    recorder: Recorder
    epochs: int
    lr: float

    @property
    def parameters(self) -> int:
        return sum(math.prod(p.shape) for p in self.learn.model.parameters())


def train_and_save(options: Options) -> None:
    """Train, test and save as `options` say.

    Raises WrongOption before anything is done if a value cannot be, TrainFailed if the data file is
    damaged, the loss is no longer a number or a file cannot be saved, and KeyboardInterrupt, which
    says what was saved.
    """
    try:
        run = set_up(options)
        _say_what(run)
        stop = StopOnInterrupt()
        with _saved_whatever_happens(run):
            schedule = Schedule(lr=one_cycle(run.lr))
            shown = Progress(run.recorder)
            run.learn.fit(run.epochs, [schedule, StopOnNaN(), run.recorder, stop, shown])
            if stop.interrupted:
                raise KeyboardInterrupt
        with _saying_what_is_there(run):
            accuracy = _test(run)
            _report(run, accuracy)
    except (DataError, SaveError) as error:
        raise TrainFailed(str(error)) from error


def set_up(options: Options) -> Run:
    """Check every option, then make folder, data, model and learner.

    Raises WrongOption, DataError.
    """
    recipe = _recipe(options)
    data = _data(options)
    batch_size = options.batch_size if options.batch_size is not None else recipe.batch_size
    with _blamed_on("--batch-size", ValueError):
        check_batch_size(batch_size, len(data.train))
    if options.threads is not None:
        with _blamed_on("--threads", ValueError):
            set_num_threads(options.threads)
    if options.json is not None:
        _check_json(options.json, options.out)
    manual_seed(options.seed)
    model: nn.Module = recipe.build()
    with _blamed_on("--out", SaveError):
        folder = new_run_folder(options.dataset, options.out, _room(model))
    lr = options.lr if options.lr is not None else recipe.lr
    optimizer = SGD(
        model.parameters(), lr=lr, momentum=recipe.momentum, weight_decay=recipe.weight_decay
    )
    loaders = data.loaders(batch_size, options.seed)
    learn = Learner(loaders, model, optimizer)
    epochs = options.epochs if options.epochs is not None else recipe.epochs
    return Run(options, folder, data, loaders, learn, Recorder(), epochs, lr)


def _recipe(options: Options) -> Recipe:
    with _blamed_on("--model", UnknownName):
        return MODELS[options.model]


def _data(options: Options) -> Splits:
    with _blamed_on("dataset", UnknownName):
        return load(options.dataset)


@contextmanager
def _blamed_on(option: str, error: type[Exception]) -> Iterator[None]:
    try:
        yield
    except error as found:
        raise WrongOption(option, f"{found}.") from found


def _room(model: nn.Module) -> int:
    """Bytes that the files of a run need: the weights twice, as the new file is made beside the
    old, and pictures.
    """
    weights = sum(math.prod(t.shape) * t.dtype.itemsize for t in model.state_dict().values())
    return 2 * weights + 2**19


def _check_json(path: Path, out: Path | None) -> None:
    """Raise WrongOption if the report could not be written: better now than after the training."""
    if path.is_dir():
        raise WrongOption("--json", f"{path} is a folder: give the name of a file.")
    if out is not None and path.absolute() == out.absolute():
        raise WrongOption("--json", f"{path} is to be the folder of the run: give another name.")
    if out is not None and path.absolute().parent == out.absolute():
        return  # the run's folder, which is made and checked next
    if not path.parent.is_dir():
        raise WrongOption("--json", f"there is no folder {path.parent}.")
    try:
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        reason = f"cannot write into the folder {path.parent} ({error.strerror})."
        raise WrongOption("--json", reason) from error


def _say_what(run: Run) -> None:
    data, threads = run.data, get_num_threads()
    train, valid, test = len(data.train), len(data.valid), len(data.test)
    print(
        f"groundup {__version__}: {run.options.model}, {run.parameters:,} parameters\n"
        f"{data.name}: {train:,} items to train on, {valid:,} to validate, {test:,} to test\n"
        f"seed {run.options.seed}, {threads} thread{'s' * (threads > 1)}, results in {run.folder}",
        flush=True,
    )


@contextmanager
def _saved_whatever_happens(run: Run) -> Iterator[None]:
    """Save weights and history after the fit, also when it was interrupted or ran into a NaN."""
    try:
        yield
    except NonFiniteLoss as error:
        _save(run)
        raise TrainFailed(f"{error}. It is saved in {run.folder}") from error
    except KeyboardInterrupt:
        _save(run)
        steps = f"{len(run.recorder.losses):,} of {run.learn.steps:,} steps"
        raise KeyboardInterrupt(f"what was trained in {steps} is saved in {run.folder}") from None
    else:
        _save(run)


@contextmanager
def _saying_what_is_there(run: Run) -> Iterator[None]:
    """Say, when the test or the report does not succeed, that the model is saved all the same."""
    try:
        yield
    except SaveError as error:
        raise SaveError(f"{error}. The trained model is saved in {run.folder}") from error
    except KeyboardInterrupt:
        said = f"the trained model is saved in {run.folder}; its test was not completed"
        raise KeyboardInterrupt(said) from None


def _save(run: Run) -> None:
    """Save weights, history and its picture into the run's folder; if that cannot be, elsewhere."""
    try:
        _save_into(run, run.folder)
    except SaveError as error:
        try:
            refuge = Path(tempfile.mkdtemp(prefix=f"groundup-{run.data.name}-"))
            _save_into(run, refuge)
        except OSError:
            raise error from None
        raise SaveError(f"{error}. The trained model is saved in {refuge} instead") from error


def _save_into(run: Run, folder: Path) -> None:
    save_weights(run.learn.model, folder / "weights.safetensors")
    write_whole(folder / "history.csv", run.recorder.csv().encode())
    if run.recorder.losses:
        title = f"{run.data.name} · {run.options.model} · seed {run.options.seed}"
        picture = training_picture(run.recorder.losses, run.recorder.lrs, title)
        write_whole(folder / "training.png", picture)


def _test(run: Run) -> float:
    """Look at the test images once: return the accuracy, save the picture of the worst errors."""
    assert run.loaders.test is not None
    scores, targets = run.learn.scores(run.loaders.test)
    wrong = most_confused(scores, targets)
    n = len(run.data.test)
    accuracy = (n - len(wrong)) / n
    print(f"test accuracy {accuracy:.2%} ({len(wrong)} of {n:,} wrong)", flush=True)
    worst = wrong[:_SHOWN]
    images = [run.data.test[item.index][0][0].tolist() for item in worst]
    errors = f"the {len(worst)} most confused of {len(wrong)} errors in {n:,} test images"
    title = f"{run.data.name} · {run.options.model}: {errors}"
    write_whole(
        run.folder / "confused.png", confused_picture(images, worst, run.data.classes, title)
    )
    return accuracy


def _report(run: Run, accuracy: float) -> None:
    train_seconds = run.recorder.train_seconds
    total = process_seconds()
    report: dict[str, Any] = {
        "dataset": run.data.name,
        "model": run.options.model,
        "epochs": run.epochs,
        "batch_size": run.loaders.train.batch_size,
        "lr": run.lr,
        "seed": run.options.seed,
        "threads": get_num_threads(),
        "parameters": run.parameters,
        "test_accuracy": accuracy,
        "train_seconds": round(train_seconds, 3),
        "total_seconds": round(total, 3),
        "compile_seconds": round(stats()["compile_seconds"], 3),
        "out": str(run.folder),
        "version": __version__,
    }
    if run.options.json is not None:
        write_whole(run.options.json, (json.dumps(report, indent=2) + "\n").encode())
    print(f"{train_seconds:.1f} s of training, {total:.1f} s in all; saved in {run.folder}")
    sys.stdout.flush()
