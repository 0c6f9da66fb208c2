"""Files of a run: whole or absent, never overwritten; weights in the safetensors format.

Must not know what a model is for.
"""

import contextlib
import errno
import os
import shutil
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from groundup.nn import Module
from groundup.tensor import Tensor


class SaveError(OSError):
    """A file or folder of a run cannot be written. What stood there before is untouched."""


def write_whole(path: Path, content: bytes) -> None:
    """Write `content` to `path` so that the file is there whole, or as it was before.

    The bytes go to a temporary file beside it, are forced to the disk, and the file is then renamed
    over `path`. Raises SaveError, with the reason, if that is not possible (no room, no permission,
    …).
    """
    temporary: str | None = None
    try:
        number, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(number, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException as error:
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
        if isinstance(error, OSError):
            raise SaveError(_why_not(path, len(content), error)) from error
        raise


def weights_bytes(tensors: Mapping[str, Tensor]) -> bytes:
    """Return `tensors` in the safetensors format: equal bytes for equal names, shapes, dtypes and
    values.

    Loading such a file reads numbers and executes nothing.
    """
    import numpy as np
    from safetensors.numpy import save

    arrays = {name: np.array(tensor.numpy(), order="C") for name, tensor in tensors.items()}
    return bytes(save(arrays))


def save_weights(model: Module, path: Path) -> None:
    """Save parameters and buffers of `model` to `path`. Raises SaveError as `write_whole` does."""
    write_whole(path, weights_bytes(model.state_dict()))


def load_weights(model: Module, path: Path) -> None:
    """Load parameters and buffers of `model` from `path`, as `save_weights` wrote them.

    Raises KeyError or ValueError, from `load_state_dict`, if names or shapes do not fit.
    """
    from safetensors.numpy import load_file

    from groundup.tensor import from_numpy

    model.load_state_dict({name: from_numpy(array) for name, array in load_file(path).items()})


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


def _why_not(path: Path, size: int, error: OSError) -> str:
    reason = error.strerror or str(error)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        free = shutil.disk_usage(path.parent).free
        reason = f"the disk is full: {size:,} bytes are needed, {free:,} are free"
    return f"cannot save {path}: {reason}. What stood there before is untouched"


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
