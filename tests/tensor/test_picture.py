"""Tensors in a notebook: pictures, read back by another library, and text that is escaped."""

import base64
import io
import math
import re
from typing import Any

import pytest

import groundup as gu

PIL = pytest.importorskip("PIL.Image")


def picture(x: gu.Tensor) -> Any:
    """The picture in what a notebook is given."""
    found = re.search(r'src="data:image/png;base64,([^"]*)"', x._repr_html_())
    assert found is not None, x._repr_html_()[:500]
    return PIL.open(io.BytesIO(base64.b64decode(found[1])))


def test_bytes_are_shown_as_they_are() -> None:
    x = gu.arange(3 * 8 * 9).reshape(3, 8, 9).to(gu.uint8)
    image = picture(x)
    assert image.size == (9, 8) and image.mode == "RGB"
    assert [image.getpixel((4, 2))] == [tuple(x[c, 2, 4].item() for c in range(3))]
    last = picture(x.permute(1, 2, 0))
    assert last.tobytes() == image.tobytes()
    grey = picture(x[:1])
    assert grey.mode == "L" and grey.getpixel((4, 2)) == x[0, 2, 4].item()
    assert picture(x[0]).tobytes() == grey.tobytes()


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
def test_floats_are_scaled(dtype: str) -> None:
    x = gu.arange(64).reshape(8, 8).to(getattr(gu, dtype))
    assert picture(x / 64).getpixel((7, 7)) == math.floor(63 / 64 * 255 + 0.5)  # from 0 to 1
    image = picture(x - 32)
    assert image.getpixel((0, 0)) == 0 and image.getpixel((7, 7)) == 255
    assert "black is -32, white 31" in (x - 32)._repr_html_()
    assert picture(x * 0 + 5).getpixel((3, 3)) == 128


def test_what_is_not_finite_stands_out() -> None:
    x = gu.zeros(8, 8)
    x[1, 2], x[3, 4] = math.nan, -math.inf
    image = picture(x)
    magenta = image.tobytes().count(bytes([255, 0, 255]))
    assert image.getpixel((2, 1)) == image.getpixel((4, 3)) == (255, 0, 255) and magenta == 2
    y = gu.zeros(3, 8, 8)
    y[1, 1, 2] = math.nan
    assert picture(y).getpixel((2, 1)) == (255, 0, 255)
    picture(gu.full((8, 8), math.nan))


def test_batches_are_tiled_and_large_ones_thinned() -> None:
    x = gu.stack([gu.full((1, 8, 8), float(i)) for i in range(70)])
    image = picture(x)
    assert "the first 64 of 70" in x._repr_html_()
    rows = -(-64 // (720 // 10))
    assert image.size == (-(-64 // rows) * 10 - 2, rows * 10 - 2)
    assert image.getpixel((0, 0)) == 0 and image.getpixel((8, 0)) == 0  # a gap
    assert image.getpixel((10, 0)) == math.floor(1 / 69 * 255 + 0.5)
    wide = gu.zeros(8, 1100)
    assert picture(wide).size == (-(-1100 // 3), 3)
    assert "one row and column in 3" in wide._repr_html_()


@pytest.mark.parametrize(
    "x",
    [gu.zeros(7, 9), gu.arange(64).reshape(8, 8), gu.ones(9, 9) > 0, gu.zeros(0, 9), gu.ones(3),
     gu.ones(2, 9, 9), gu.tensor(1.0), gu.ones(8, 8, 3), gu.tensor([1 + 2j] * 12)],
)  # fmt: skip
def test_all_else_is_text(x: gu.Tensor) -> None:
    text = x._repr_html_()
    assert "<img" not in text and repr(x) in text.replace("&gt;", ">").replace("&lt;", "<")
    assert (x.numel() > 10) == (str(x.describe()) in text)


def test_history_is_escaped_and_views_and_captures_show() -> None:
    w = gu.ones(3, requires_grad=True) * 2
    assert "&lt;…&gt;" in w._repr_html_() and "<…>" not in w._repr_html_()
    x = gu.arange(256).reshape(16, 16).to(gu.uint8)
    assert picture(x[::2, ::2]).tobytes() == bytes(v for row in x[::2, ::2].tolist() for v in row)
    seen: list[str] = []

    @gu.jit
    def f(a: gu.Tensor) -> gu.Tensor:
        seen.append((a * 2)._repr_html_())
        return a * 2

    f(gu.ones(9, 9))
    from groundup.tensor.engine import debugging

    assert debugging() or "being captured" in seen[0]
