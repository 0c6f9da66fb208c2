"""Tensors in files, in the safetensors format: numbers and names, so that loading executes nothing.

A file is whole or as it was before. The format's own library goes through NumPy, which has no
bfloat16; the tests hold this room to it, byte for byte. Must not know what the tensors mean.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..ir import dtype as dt
from ..ir.extent import product
from ..runtime import allocate
from . import storage as store
from .core import Core, Paired, force, value_of
from .errors import at_line
from .exchange import seen
from .shape import is_contiguous
from .storage import Storage
from .tensor import Tensor
from .view import contiguous_strides

# The format's names, in the order in which its own writer lays tensors out: the widest first, so
# that all are aligned. https://github.com/huggingface/safetensors#format
_NAMES = {
    "U64": "uint64", "I64": "int64", "F64": "float64", "C64": "complex64", "F32": "float32",
    "U32": "uint32", "I32": "int32", "BF16": "bfloat16", "F16": "float16", "U16": "uint16",
    "I16": "int16", "I8": "int8", "U8": "uint8", "BOOL": "bool",
}  # fmt: skip
_KNOWN = {code: (dt.complex64 if code == "C64" else dt.BY_NAME[name])
          for code, name in _NAMES.items()}  # fmt: skip
_CODES = {d: code for code, d in _KNOWN.items()}
_RANK = {code: i for i, code in enumerate(_NAMES)}
_WORDS = "__metadata__"  # about the file, among the names of tensors
_LONGEST = 100_000_000  # bytes of a header, of which the format allows no more


class SaveError(OSError):
    """A file or folder of a run cannot be written. What stood there before is untouched."""


def save(tensors: Mapping[str, Tensor], path: str | os.PathLike[str]) -> None:
    """Save tensors by name to a file in the safetensors format; it is there whole, or not at all.

    tensors: for example a module's `state_dict()`. Those that share memory are saved one by one.
    Equal names, types, shapes and values give equal bytes. Raises TypeError for what is no tensor
    and for complex128, which the format lacks, ValueError for the name __metadata__, which it has
    for other things, SaveError if the file cannot be written.

    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "weights.safetensors")
    >>> gu.save({"w": gu.tensor([1.0, 2.0])}, path)
    >>> gu.load(path)
    {'w': tensor([1., 2.])}
    """
    write_whole(Path(path), to_bytes(tensors))


def load(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """The tensors in a file in the safetensors format, by name, each in memory of its own.

    Nothing in a file is executed. Raises OSError if it cannot be read, ValueError if it is not
    in the format or is cut short.
    """
    data = Path(path).read_bytes()
    try:
        return from_bytes(data)
    except ValueError as error:
        raise ValueError(f"{os.fspath(path)} is no whole safetensors file: {error}") from None


# ---- the format ----------------------------------------------------------------------------------


def to_bytes(tensors: Mapping[str, Tensor]) -> bytes:
    """Tensors by name in the safetensors format; see `save`."""
    store.asked("save")
    if not isinstance(tensors, Mapping):
        raise TypeError(
            f"save takes a dict of tensors by name, not {type(tensors).__name__}" + at_line()
        )
    for name, t in tensors.items():
        if not isinstance(name, str) or not isinstance(t, Core):
            raise TypeError(
                f"save takes tensors by name; {name!r} is a {type(t).__name__}" + at_line()
            )
        if name == _WORDS:
            raise ValueError(
                f"save: {_WORDS!r} is the name of the format's own words about a file; give the "
                f"tensor another" + at_line()
            )
        if t.dtype not in _CODES:
            raise TypeError(
                f"{name!r} is of {t.dtype.name}, which the safetensors format lacks; it has "
                f"{', '.join(d.name for d in _CODES)}" + at_line()
            )
    wholes = {name: _dense(t) for name, t in tensors.items()}
    force([s for s, _ in wholes.values()])
    header: dict[str, Any] = {}
    parts: list[bytes] = []
    end = 0
    for name in sorted(tensors, key=lambda n: (_RANK[_CODES[tensors[n].dtype]], n.encode())):
        storage, offset = wholes[name]
        kind = tensors[name].dtype
        shape = [n.__index__() for n in tensors[name]._shape]
        size = int(product(shape)) * kind.itemsize
        parts.append(storage.memory().read_bytes(offset * storage.dtype.itemsize, size))
        header[name] = {
            "dtype": _CODES[kind], "shape": shape, "data_offsets": [end, end + size],
        }  # fmt: skip
        end += size
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return b"".join([len(text).to_bytes(8, "little"), text, *parts])


def _dense(t: Core) -> tuple[Storage, int]:
    """A storage that holds the elements in row-major order from a position on."""
    if isinstance(t, Paired):
        t = t._pair
    if is_contiguous(t):
        return t._storage, int(t.layout()[1])
    return Storage(t._shape, t.dtype, value_of(t)), 0


def from_bytes(data: bytes) -> dict[str, Tensor]:
    """The tensors of a file's content. Raises ValueError if it is not in the format."""
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or length > min(_LONGEST, len(data) - 8):
        raise ValueError(f"a header of {length} bytes does not fit into {len(data)} bytes")
    try:
        header = json.loads(data[8 : 8 + length], object_pairs_hook=_once)
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"its header is not JSON ({error})") from None
    if not isinstance(header, dict):
        raise ValueError(f"its header is no JSON object, but {type(header).__name__}")
    words = header.pop(_WORDS, {})  # for people
    if not isinstance(words, dict) or any(not isinstance(w, str) for w in words.values()):
        raise ValueError(f"its {_WORDS} are no strings by name: {words!r:.80}")
    body = memoryview(data)[8 + length :]
    entries = {name: _entry(name, entry) for name, entry in header.items()}
    end = 0  # the parts follow one another without gaps: nothing is hidden between them
    for name, (_, _, first, last) in sorted(entries.items(), key=lambda e: e[1][2:]):
        if first != end:
            raise ValueError(f"the bytes of {name!r} begin at {first}, not at {end}")
        end = last
    if end != len(body):
        raise ValueError(f"{len(body)} bytes of elements follow the header, not {end}")
    found = {}
    for name, (kind, shape, first, last) in entries.items():
        buffer = allocate(max(1, last - first))
        buffer.write_bytes(body[first:last])
        found[name] = seen(buffer, shape, contiguous_strides(shape), kind, None)
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name for name, _ in pairs}) < len(pairs):
        raise ValueError("its header has a name twice")
    return dict(pairs)


def _entry(name: str, entry: Any) -> tuple[dt.DType, tuple[int, ...], int, int]:
    """(type, shape, first byte, end) of one tensor, checked."""
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise ValueError(f"{name!r} has no dtype, shape and data_offsets: {entry!r:.80}")
    code, shape, ends = entry["dtype"], entry["shape"], entry["data_offsets"]
    kind = _KNOWN.get(code) if isinstance(code, str) else None
    if kind is None:
        raise ValueError(f"{name!r} is of type {code!r}; groundup has {', '.join(_KNOWN)}")
    if not _naturals(shape) or not _naturals(ends) or len(ends) != 2:
        raise ValueError(f"{name!r} has shape {shape!r:.80} at bytes {ends!r:.80}")
    size = int(product(shape)) * kind.itemsize
    if ends[1] - ends[0] != size:
        raise ValueError(
            f"{name!r} of shape {tuple(shape)} has {size} bytes, but {ends[0]} to {ends[1]} are its"
        )
    return kind, tuple(shape), ends[0], ends[1]


def _naturals(value: Any) -> bool:
    return isinstance(value, list) and all(type(n) is int and n >= 0 for n in value)


# ---- files ---------------------------------------------------------------------------------------


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
