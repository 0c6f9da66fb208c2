"""Files of a run: whole or absent, never overwritten; weights in the safetensors format.

Must not know what a model is for.
"""

import shutil
import tempfile
import time
from pathlib import Path

from groundup.nn import Module
from groundup.tensor.saving import SaveError, load, save


def save_weights(model: Module, path: Path) -> None:
    """Save parameters and buffers of `model` to `path`. Raises SaveError as `gu.save` does."""
    save(model.state_dict(), path)


def load_weights(model: Module, path: Path) -> None:
    """Load parameters and buffers of `model` from `path`, as `save_weights` wrote them.

    Raises KeyError or ValueError, from `load_state_dict`, if names or shapes do not fit.
    """
    model.load_state_dict(load(path))


def new_run_folder(name: str, out: Path | None = None, room: int = 0) -> Path:
    """Make and return a new, empty, writable folder for a run: `out`, or else `runs/NAME-TIME`.

    Two runs that start in one second get `runs/NAME-TIME` and `runs/NAME-TIME-2`. Raises SaveError
    if `out` has something in it (a run is never overwritten), is no folder, or cannot be written,
    or if less than `room` bytes are free there.
    """
    if out is None:
        folder = _numbered(Path("runs") / f"{name}-{time.strftime('%Y%m%d-%H%M%S')}")
    else:
        folder = _given(out)
    free = shutil.disk_usage(folder).free
    if free < room:
        raise SaveError(
            f"the disk of {folder} is full: the run's files need about {room:,} bytes, "
            f"{free:,} are free"
        )
    return folder


def _given(out: Path) -> Path:
    try:
        out.mkdir(parents=True, exist_ok=True)
        if any(out.iterdir()):
            raise SaveError(
                f"{out} is not empty, and a run is never overwritten: give a new or an empty folder"
            )
        with tempfile.TemporaryFile(dir=out):
            return out
    except SaveError:
        raise
    except (FileExistsError, NotADirectoryError) as error:
        raise SaveError(f"{error.filename} is a file: the run's files need a folder") from error
    except OSError as error:
        raise SaveError(
            f"cannot write into {out} ({error.strerror}): choose another folder"
        ) from error


def _numbered(base: Path) -> Path:
    attempt = 1
    while True:
        path = base if attempt == 1 else base.with_name(f"{base.name}-{attempt}")
        try:
            path.mkdir(parents=True)
            return path
        except FileExistsError as error:
            if not path.exists():  # then it is `runs` that is a file
                raise SaveError(f"{base.parent} is a file: the runs need a folder") from error
            attempt += 1
        except OSError as error:
            raise SaveError(
                f"cannot make the folder {path} ({error.strerror}): name another with --out"
            ) from error
