"""How a tensor looks in a notebook: images as pictures, all else as text with a line about it.

Writes PNG itself, as simply as the format allows (RFC 2083). Must not know where it is shown.
"""

from __future__ import annotations

import base64
import html
import math
import struct
import zlib
from typing import TYPE_CHECKING, NamedTuple

from ..ir import dtype as dt
from . import pointwise as pw
from . import storage as store
from .create import tensor
from .describe import FEW, Summary, dense, lovely, number_text
from .errors import NoValue
from .mode import no_grad

if TYPE_CHECKING:
    from .tensor import Tensor

LEAST = 8  # pixels on each side: less is a matrix of numbers
ALONE, TILED = 512, 128  # most pixels on a side, of one image and of one of several
MOST = 64  # images that are shown of a batch
_GAP, _PAGE = 2, 720  # pixels between images; most for all of them side by side


class Form(NamedTuple):
    """How a tensor is a row of images: which axis is what, None where there is no such axis."""

    number: int | None
    channel: int | None
    down: int
    across: int


def form_of(shape: tuple[int, ...], kind: dt.DType) -> Form | None:
    """In which way a tensor of this shape and type is one image or several; None: in none.

    uint8 or floating, at least 8 pixels on each side: (H, W), (1 or 3, H, W), (N, 1 or 3, H, W);
    of uint8, where the type says it, also (H, W, 3 or 4) and (N, H, W).
    """
    if kind is not dt.uint8 and not kind.is_float:
        return None
    found = None
    if len(shape) == 2:
        found = Form(None, None, 0, 1)
    elif len(shape) == 3 and shape[0] in (1, 3):
        found = Form(None, 0, 1, 2)
    elif len(shape) == 3 and kind is dt.uint8:
        found = Form(None, 2, 0, 1) if shape[2] in (3, 4) else Form(0, None, 1, 2)
    elif len(shape) == 4 and shape[1] in (1, 3):
        found = Form(0, 1, 2, 3)
    if found is None or 0 in shape or min(shape[found.down], shape[found.across]) < LEAST:
        return None
    return found


def page(x: Tensor) -> str:
    """A tensor as a piece of HTML: the picture, if it is one, what it holds in a line, the values.

    It inherits the page's colours, light or dark.
    """
    text = f'<pre style="margin:0">{html.escape(repr(x))}</pre>'
    if math.prod(map(int, x.shape)) <= FEW or store.tracing() is not None:
        return text
    try:
        facts = lovely(x)
    except NoValue:  # one element of a batch: vmap
        return text
    line = f'<pre style="margin:0;opacity:.7">{html.escape(str(facts))}</pre>'
    shape = tuple(int(s) for s in x.shape)
    form = form_of(shape, x.dtype)
    if form is None:
        return f"<div>{text}{line}</div>"
    drawn = draw(x, form, facts)
    values = f"<details><summary>values</summary>{text}</details>"
    return f"<div>{line}{drawn}{values}</div>"


def draw(x: Tensor, form: Form, facts: Summary) -> str:
    """The picture as an `img` that holds its own data, and a line about how to read it."""
    with no_grad():
        images, step = _laid_out(x.detach(), form)
        grey = images.shape[-1] == 1
        low, high = _range(facts, images.dtype)
        shown = _bytes(images, low, high, facts)
    n, height, width, channels = (int(s) for s in shown.shape)
    memory = dense(shown).read_bytes(0, n * height * width * channels)
    rows = -(-n // max(1, _PAGE // (width + _GAP)))
    columns = -(-n // rows)
    data, across, down = _tiled(memory, (n, height, width, channels), columns)
    code = base64.b64encode(png(across, down, channels, data)).decode()
    zoom = max(1, min((224 if n == 1 else 64) // max(height, width), _PAGE // across))
    notes = []
    if form.number is not None and n < x.shape[form.number]:
        notes.append(f"the first {n} of {x.shape[form.number]}")
    if images.dtype is not dt.uint8:
        notes.append(f"{'black' if grey else 'dark'} is {number_text(low)}, "
                     f"{'white' if grey else 'bright'} {number_text(high)}")  # fmt: skip
    if step > 1:
        notes.append(f"one row and column in {step}")
    if facts.nan or facts.inf:
        notes.append("NaN and infinite are magenta")
    note = html.escape("; ".join(notes))
    return (
        f'<img alt="{html.escape(str(facts))}" width="{across * zoom}" height="{down * zoom}" '
        f'style="image-rendering:pixelated;max-width:100%;height:auto;display:block;margin:4px 0;'
        f'border:1px solid rgba(128,128,128,.5)" src="data:image/png;base64,{code}">'
        + (f'<div style="opacity:.7;font-size:smaller">{note}</div>' if note else "")
    )


def _laid_out(x: Tensor, form: Form) -> tuple[Tensor, int]:
    """(images as (number, height, width, channels), of each only every step-th pixel; the step)"""
    number, channel, down, across = form
    order = [d for d in (number, down, across, channel) if d is not None]
    x = x.permute(*order)
    if number is None:
        x = x.unsqueeze(0)
    if channel is None:
        x = x.unsqueeze(-1)
    x = x[:MOST]
    most = ALONE if number is None else TILED
    step = -(-max(int(x.shape[1]), int(x.shape[2])) // most)
    return x[:, ::step, ::step], step


def _range(facts: Summary, kind: dt.DType) -> tuple[float, float]:
    """The numbers that are shown darkest and brightest."""
    if kind is dt.uint8:
        return 0, 255
    low, high = facts.least, facts.greatest
    if low is None or high is None or (low >= 0 and high <= 1):
        return 0.0, 1.0
    return (low, high) if low < high else (low - 1, high + 1)


def _bytes(images: Tensor, low: float, high: float, facts: Summary) -> Tensor:
    """Elements as bytes from 0 to 255; with three channels where some have to stand out."""
    if images.dtype is dt.uint8:
        return images
    wide = images.double()
    known = pw.isfinite(wide)
    safe = pw.where(known, wide, low)
    level = (((safe - low) / (high - low)).clamp(0.0, 1.0) * 255 + 0.5).to(dt.uint8)
    if not (facts.nan or facts.inf):
        return level
    n, height, width, channels = images.shape
    known = known.amin(-1, keepdim=True) if channels > 1 else known
    magenta = tensor([255, 0, 255], dtype=dt.uint8)
    return pw.where(known.expand(n, height, width, 3), level.expand(n, height, width, 3), magenta)


def _tiled(
    data: bytes, shape: tuple[int, int, int, int], columns: int
) -> tuple[bytes, int, int]:
    """Images side by side in rows, the gaps black: (bytes, width, height) of all."""
    n, height, width, channels = shape
    if n == 1:
        return data, width, height
    rows = -(-n // columns)
    across, down = columns * (width + _GAP) - _GAP, rows * (height + _GAP) - _GAP
    row = width * channels
    gap, absent = bytes(_GAP * channels), bytes(row)
    lines: list[bytes] = []
    for first in range(0, n, columns):
        if first:
            lines += [bytes(across * channels)] * _GAP
        for y in range(height):
            pieces = []
            for i in range(first, first + columns):
                start = (i * height + y) * row
                pieces.append(data[start : start + row] if i < n else absent)
            lines.append(gap.join(pieces))
    return b"".join(lines), across, down


_COLOURS = {1: 0, 3: 2, 4: 6}  # PNG's colour types: grey, RGB, RGB with opacity


def png(width: int, height: int, channels: int, data: bytes) -> bytes:
    """A picture of 8 bits a channel as a PNG file; `data` in rows from the top.

    >>> png(1, 1, 1, bytes([255]))[1:4]
    b'PNG'
    """
    row = width * channels

    def chunk(name: bytes, body: bytes) -> bytes:
        check = zlib.crc32(name + body)
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", check)

    # Each row begins with the number of its filter: 0, none.
    lines = b"".join(b"\0" + data[y * row : (y + 1) * row] for y in range(height))
    head = struct.pack(">IIBBBBB", width, height, 8, _COLOURS[channels], 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(lines))
        + chunk(b"IEND", b"")
    )  # fmt: skip
