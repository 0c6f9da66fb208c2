"""The kernel cache: machine code on disk, for this user, by a digest of all that it depends on.
It must not know how the code is made. Nothing that another user may have written is ever returned;
an entry that is damaged, truncated or of another version is a miss."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import stat
import warnings
from pathlib import Path

from . import system

_MAGIC = b"groundup-code-1\n"  # the last number is the version of this format
_HEADER = len(_MAGIC) + 8 + 32 + 32  # magic, length, key digest, payload digest

_warned: set[str] = set()
_checked: dict[str, Path | None] = {}
counters = {"hits": 0, "misses": 0, "damaged": 0, "written": 0}


def digest(*parts: str) -> bytes:
    """The key of an entry: SHA-256 over the parts, each preceded by its length."""
    h = hashlib.sha256(_MAGIC)
    for part in parts:
        data = part.encode()
        h.update(len(data).to_bytes(8, "little"))
        h.update(data)
    return h.digest()


def load(key: bytes) -> bytes | None:
    """The payload stored under a key, or None."""
    directory = _directory()
    if directory is None:
        return None
    path = directory / f"{key.hex()}.bin"
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | _BINARY)
    except OSError:
        counters["misses"] += 1
        return None
    with open(descriptor, "rb") as file:
        status = os.fstat(file.fileno())
        trusted = stat.S_ISREG(status.st_mode) and not system.current().why_not_private(status)
        payload = _unpack(key, file.read()) if trusted else None
    if payload is None:
        counters["damaged"] += 1
        with contextlib.suppress(OSError):
            path.unlink()
        return None
    counters["hits"] += 1
    return payload


def store(key: bytes, payload: bytes) -> None:
    """Store a payload: whole or not at all, also when two processes store at once."""
    directory = _directory()
    if directory is None:
        return
    temporary = directory / f".{secrets.token_hex(8)}.tmp"
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY
        with open(os.open(temporary, flags, 0o600), "wb") as file:
            file.write(_pack(key, payload))
        os.replace(temporary, directory / f"{key.hex()}.bin")
        counters["written"] += 1
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        _warn(f"cannot write the kernel cache {directory}: {error.strerror}; running uncached")


_BINARY = getattr(os, "O_BINARY", 0)  # Windows would translate line ends


def _pack(key: bytes, payload: bytes) -> bytes:
    length = len(payload).to_bytes(8, "little")
    return _MAGIC + length + key + hashlib.sha256(payload).digest() + payload


def _unpack(key: bytes, entry: bytes) -> bytes | None:
    payload = entry[_HEADER:]
    return payload if entry[:_HEADER] == _pack(key, payload)[:_HEADER] else None


def directory() -> Path | None:
    """Where entries lie: `GROUNDUP_CACHE`, else this user's cache; None if there is none."""
    return _directory()


def _directory() -> Path | None:
    setting = os.environ.get("GROUNDUP_CACHE", "")
    if setting not in _checked:
        _checked[setting] = None if setting == "off" else _prepare(setting)
    return _checked[setting]


def _prepare(setting: str) -> Path | None:
    """Create or check the directory; a warning and None if it will not do."""
    path = Path(setting) if setting else system.current().cache_home() / "groundup"
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileExistsError):  # another process was first
                path.mkdir(mode=0o700)
        path = path.resolve()  # a link cannot be turned elsewhere later
        status = path.stat()
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
