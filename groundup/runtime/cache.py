"""The kernel cache: machine code on disk, for this user, by a digest of all that it depends on.
It must not know how the code is made. Nothing that another user may have written is ever returned;
an entry that is damaged, truncated or of another version is a miss. The cache is bounded: what was
used least recently leaves it first, so that the entries of other versions do, too."""

from __future__ import annotations

import contextlib
import functools
import importlib
import os
import stat
import time
import warnings
from typing import Any

from . import system

_MAGIC = b"groundup-code-1\n"  # the last number is the version of this format
_HEADER = len(_MAGIC) + 8 + 32 + 32  # magic, length, key digest, payload digest
_LIMIT_MB = 256  # a kernel takes 1 to 50 KiB, so this is some ten thousand of them
_KEPT = 0.75  # of the limit, once it is exceeded: the next writes need not look
_PRUNE_EVERY = 64  # writes of one process
_HOUR = 3600.0  # so exactly is it known when an entry was used

_warned: set[str] = set()
_checked: dict[str, str | None] = {}
counters = {"hits": 0, "misses": 0, "damaged": 0, "written": 0}


@functools.cache
def _sha256() -> Any:
    """The constructor of the hash: Python's own where it is to be had, for `hashlib` loads OpenSSL,
    which costs a new process 3 ms."""
    for name in ("_sha256", "_sha2"):  # until Python 3.11, since 3.12
        with contextlib.suppress(ImportError):
            return importlib.import_module(name).sha256
    return importlib.import_module("hashlib").sha256


def digest(*parts: str | bytes) -> bytes:
    """The key of an entry: SHA-256 over the parts, each preceded by its length."""
    h = _sha256()(_MAGIC)
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        h.update(len(data).to_bytes(8, "little"))
        h.update(data)
    return bytes(h.digest())


def load(key: bytes) -> bytes | None:
    """The payload stored under a key, or None."""
    folder = directory()
    if folder is None:
        return None
    path = _path(folder, key)
    try:
        with open(os.open(path, _READ), "rb") as file:
            status = os.fstat(file.fileno())
            _touch(path, status)
            trusted = stat.S_ISREG(status.st_mode) and not system.current().why_not_private(status)
            payload = _unpack(key, file.read()) if trusted else None
    except OSError:
        counters["misses"] += 1
        return None
    if payload is None:
        counters["damaged"] += 1
        with contextlib.suppress(OSError):
            os.unlink(path)
        return None
    counters["hits"] += 1
    return payload


def _touch(path: str, status: os.stat_result) -> None:
    """Note that an entry is in use: its time of change is that of its latest use, to the hour."""
    if abs(time.time() - status.st_mtime) > _HOUR:
        with contextlib.suppress(OSError):
            os.utime(path)


def store(key: bytes, payload: bytes) -> None:
    """Store a payload: whole or not at all, also when two processes store at once."""
    folder = directory()
    if folder is None:
        return
    temporary = os.path.join(folder, f".{os.urandom(8).hex()}.tmp")
    try:
        with open(os.open(temporary, _CREATE, 0o600), "wb") as file:
            file.write(_pack(key, payload))
        os.replace(temporary, _path(folder, key))
        counters["written"] += 1
        if (counters["written"] - 1) % _PRUNE_EVERY == 0:
            _prune(folder)
    except OSError as error:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        _warn(f"cannot write the kernel cache {folder}: {error.strerror}; running uncached")


def limit() -> int:
    """How many bytes the cache may take: GROUNDUP_CACHE_MB, 256 MiB by default."""
    given = os.environ.get("GROUNDUP_CACHE_MB", "")
    if given and not given.strip().isdecimal():
        raise ValueError(f"GROUNDUP_CACHE_MB={given!r} is not a whole number, as 256 would be")
    return (int(given) if given else _LIMIT_MB) << 20


def _prune(directory: str) -> None:
    """Delete what was used least recently from a cache that has grown beyond its limit, and what
    processes that were killed while they wrote have left."""
    most, now = limit(), time.time()
    with os.scandir(directory) as found:
        files = sorted(filter(None, map(_age, found)))
    total = sum(size for _, size, _ in files)
    keep = total if total <= most else int(most * _KEPT)
    for used, size, path in files:
        left = path.endswith(".tmp") and now - used > _HOUR
        if total > keep or left:
            with contextlib.suppress(OSError):  # another process was first, or is reading it
                os.unlink(path)
            total -= size


def _age(file: os.DirEntry[str]) -> tuple[float, int, str] | None:
    """When a file was last used, its size and path; None if it is gone, or is no entry."""
    if not file.name.endswith((".bin", ".tmp")):
        return None
    try:
        status = file.stat(follow_symlinks=False)
    except OSError:
        return None
    return status.st_mtime, status.st_size, file.path


_BINARY = getattr(os, "O_BINARY", 0)  # Windows would translate line ends
_READ = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | _BINARY
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY


def _path(directory: str, key: bytes) -> str:
    return os.path.join(directory, f"{key.hex()}.bin")


def _pack(key: bytes, payload: bytes) -> bytes:
    length = len(payload).to_bytes(8, "little")
    check: bytes = _sha256()(payload).digest()
    return _MAGIC + length + key + check + payload


def _unpack(key: bytes, entry: bytes) -> bytes | None:
    payload = entry[_HEADER:]
    return payload if entry[:_HEADER] == _pack(key, payload)[:_HEADER] else None


def directory() -> str | None:
    """Where entries lie: `GROUNDUP_CACHE`, else this user's cache; None if there is none."""
    setting = os.environ.get("GROUNDUP_CACHE", "")
    if setting not in _checked:
        _checked[setting] = None if setting == "off" else _prepare(setting)
    return _checked[setting]


def _prepare(setting: str) -> str | None:
    """Create or check the directory; a warning and None if it will not do."""
    path = setting or os.path.join(system.current().cache_home(), "groundup")
    try:
        # a link cannot be turned elsewhere later
        path = os.path.realpath(path)
        if not os.path.exists(path):
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with contextlib.suppress(FileExistsError):  # another process was first
                os.mkdir(path, 0o700)
        status = os.stat(path)
    except OSError as error:
        _warn(f"cannot make the kernel cache {path}: {error.strerror}; running uncached")
        return None
    if not stat.S_ISDIR(status.st_mode):
        reason: str | None = "is not a directory"
    else:
        reason = system.current().why_not_private(status)
    if reason is None:
        return path
    _warn(
        f"the kernel cache {path} {reason}; running uncached. A cache holds machine code that is "
        f"executed, so it must be a directory of yours with mode 0700: chmod 700 {path}"
    )
    return None


def _warn(message: str) -> None:
    if message not in _warned:
        _warned.add(message)
        warnings.warn(message, RuntimeWarning, stacklevel=4)
