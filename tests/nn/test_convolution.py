"""conv1d to conv3d, the transposed ones and their modules against torch: values and gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import groundup as gu
from groundup import nn
from groundup.nn import functional as F

from .support import compare, near, numbers, same_module, torch

pytestmark = pytest.mark.peers

CONVOLUTIONS: list[tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = [
    # (x, weight, options); the number of axes of the weight says which convolution
    ((2, 3, 7), (4, 3, 3), {}),
    ((1, 1, 1), (1, 1, 1), {}),
    ((2, 3, 7), (4, 3, 3), {"stride": 2, "padding": 1}),
    ((1, 2, 9), (3, 2, 2), {"stride": 4}),  # elements that no window reads
    ((2, 4, 5), (6, 2, 2), {"groups": 2, "dilation": 3, "padding": (2,)}),
    ((3, 7), (4, 3, 3), {"padding": 1}),  # no batch
    ((2, 2, 7), (3, 2, 3), {"padding": "same", "dilation": 2}),
    ((2, 4, 6), (2, 2, 4), {"padding": "same", "groups": 2}),  # uneven
    ((2, 2, 7), (3, 2, 3), {"padding": "valid", "stride": 2}),
    ((0, 2, 5), (3, 2, 3), {}),
    ((2, 2, 5, 4), (3, 2, 3, 2), {"padding": "same"}),
    ((2, 5, 4), (3, 2, 3, 2), {"stride": (3, 1)}),
    ((2, 2, 4, 5, 3), (3, 2, 2, 3, 1), {"stride": (1, 2, 3), "padding": (1, 0, 2)}),
    ((1, 1, 1, 1, 1), (1, 1, 1, 1, 1), {}),
    ((1, 4, 3, 3, 2), (4, 2, 3, 2, 2), {"groups": 2, "dilation": (1, 2, 1)}),
    ((2, 3, 2, 4), (3, 2, 2, 2, 2), {"padding": 1, "stride": 3}),
]


def _named(kind: str, weight: tuple[int, ...], options: dict[str, Any]) -> tuple[Any, Any]:
    name = f"{kind}{len(weight) - 2}d"
    theirs = getattr(torch().nn.functional, name)
    ours = getattr(F, name)
    return lambda *a: ours(*a, **options), lambda *a: theirs(*a, **options)


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize(("x", "w", "options"), CONVOLUTIONS)
def test_convolution(x: Any, w: Any, options: dict[str, Any]) -> None:
    ours, theirs = _named("conv", w, options)
    compare(ours, theirs, [numbers(*x), numbers(*w, seed=1), numbers(w[0], seed=2)], 2e-5)


TRANSPOSED: list[tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = [
    ((2, 3, 4), (3, 2, 3), {}),
    ((1, 1, 1), (1, 1, 1), {"stride": 3}),
    ((2, 3, 4), (3, 2, 3), {"stride": 3}),
    ((2, 3, 4), (3, 2, 2), {"stride": 5}),  # outputs that no input reaches
    ((2, 3, 4), (3, 2, 4), {"stride": 2, "padding": 1, "output_padding": 1}),
    ((2, 3, 4), (3, 2, 3), {"stride": 2, "dilation": 3, "padding": 2, "output_padding": 2}),
    ((2, 4, 4), (4, 3, 2), {"stride": 5, "groups": 2, "output_padding": 4}),
    ((3, 4), (3, 2, 3), {"stride": 2}),  # no batch
    ((0, 3, 4), (3, 2, 3), {"stride": 2}),
    ((2, 3, 4, 5), (3, 2, 3, 2), {"stride": (2, 3), "padding": (1, 0), "output_padding": (1, 2)}),
    ((1, 2, 1, 1), (2, 1, 3, 3), {"padding": 1}),  # all but one cut away
    ((2, 4, 3, 2), (4, 1, 2, 3), {"groups": 4, "dilation": 2, "stride": 2}),
    ((1, 2, 2, 3, 1), (2, 2, 2, 1, 3), {"stride": 2, "padding": (0, 0, 1)}),
]


@pytest.mark.parametrize(("x", "w", "options"), TRANSPOSED)
def test_transposed_convolution(x: Any, w: Any, options: dict[str, Any]) -> None:
    ours, theirs = _named("conv_transpose", w, options)
    outputs = w[1] * options.get("groups", 1)
    arrays = [numbers(*x), numbers(*w, seed=1), numbers(outputs, seed=2)]
    compare(ours, theirs, arrays, 2e-5)
    wanted = theirs(*[torch().from_numpy(a) for a in arrays])
    tensors = [gu.from_numpy(a) for a in arrays]
    with gu.no_grad():
        result = ours(*tensors)
    near(result, wanted, 2e-5)
    assert not result.requires_grad
    captured = gu.jit(ours)
    for _ in range(3):
        near(captured(*tensors), wanted, 2e-5)


def test_a_transposed_convolution_is_the_gradient_of_the_convolution() -> None:
    image = gu.from_numpy(numbers(2, 3, 8, 9)).requires_grad_(True)
    weight, seed = gu.from_numpy(numbers(4, 3, 3, 2)), gu.from_numpy(numbers(2, 4, 4, 3, seed=1))
    F.conv2d(image, weight, stride=(2, 3), padding=(1, 0)).backward(seed)
    assert image.grad is not None
    args = ((2, 3), (1, 0), (1, 1))  # sizes 8 and 9, of those that give 4 and 3
    assert F.conv_transpose2d(seed, weight, None, *args).tolist() == image.grad.tolist()


def test_second_derivatives_of_a_transposed_convolution() -> None:
    t = torch()
    x, w = numbers(1, 2, 3), numbers(2, 3, 3, seed=1)

    def penalty(lib: Any, conv: Any, grad: Any, x: Any, w: Any) -> Any:
        y = conv(x, w, stride=2, padding=1)
        (g,) = grad((y * y * y).sum(), x, create_graph=True)
        (g * g).sum().backward()
        return w.grad

    ours = [gu.from_numpy(a).requires_grad_(True) for a in (x, w)]
    theirs = [t.from_numpy(a.copy()).requires_grad_(True) for a in (x, w)]
    mine = penalty(gu, F.conv_transpose1d, gu.derivatives, *ours)
    near(mine, penalty(t, t.nn.functional.conv_transpose1d, t.autograd.grad, *theirs), 1e-4)


@pytest.mark.parametrize(("channels", "stride", "dilation"), [
    (64, 1, 1), (130, 1, 1), (64, 2, 1), (72, 1, 2), (128, 1, 1),
])  # fmt: skip
def test_depthwise_windows_over_whole_pixels(channels: int, stride: int, dilation: int) -> None:
    """Images whose channels lie together, large enough that sums wait between blocks of terms: the
    reference's values, and one set of bits for any number of threads."""
    image = gu.from_numpy(numbers(3, 9, 19, channels))
    w = gu.from_numpy(numbers(channels, 1, 3, 3, seed=1))

    def f(image: gu.Tensor, w: gu.Tensor) -> tuple[gu.Tensor, ...]:
        x, w = image.permute(0, 3, 1, 2).detach().requires_grad_(), w.detach().requires_grad_()
        y = F.conv2d(x, w, None, stride, dilation, dilation, channels)
        y.backward(y.detach())
        assert x.grad is not None and w.grad is not None
        return y, x.grad, w.grad

    def apart(x: np.ndarray[Any, Any], w: np.ndarray[Any, Any]) -> tuple[np.ndarray[Any, Any], ...]:
        """The same, a tap at a time, in float64."""
        n, h, v, c = x.shape
        wide = np.zeros((n, h + 2 * dilation, v + 2 * dilation, c))
        wide[:, dilation:-dilation, dilation:-dilation] = x
        rows, columns = -(-h // stride), -(-v // stride)
        taps = [(i, j) for i in range(3) for j in range(3)]

        def part(i: int, j: int) -> Any:
            return np.s_[:, i * dilation : i * dilation + rows * stride : stride,
                         j * dilation : j * dilation + columns * stride : stride]  # fmt: skip

        y = sum(wide[part(i, j)] * w[:, 0, i, j] for i, j in taps)
        dx, dw = np.zeros_like(wide), np.zeros_like(w, float)
        for i, j in taps:
            dx[part(i, j)] += y * w[:, 0, i, j]
            dw[:, 0, i, j] = (y * wide[part(i, j)]).sum((0, 1, 2))
        return y, dx[:, dilation:-dilation, dilation:-dilation], dw

    bits = set()
    for threads in (1, 2, 3, 8):
        gu.set_num_threads(threads)
        found = [t.numpy() for t in gu.jit(f)(image, w)]
        bits.add(b"".join(np.ascontiguousarray(t).tobytes() for t in found))
    assert len(bits) == 1
    for got, want in zip(found, apart(image.numpy().astype(float), w.numpy()), strict=True):
        want = want.transpose(0, 3, 1, 2) if got.shape != want.shape else want
        # A sum of hundreds of terms is off by their size, whatever is left of it.
        np.testing.assert_allclose(got, want, rtol=2e-6, atol=2e-6 * np.abs(want).max())


def test_float64_stays_float64() -> None:
    x, w = numbers(2, 3, 4, dtype=np.float64), numbers(3, 2, 3, seed=1, dtype=np.float64)
    compare(
        lambda x, w: F.conv_transpose1d(x, w, stride=2),
        lambda x, w: torch().nn.functional.conv_transpose1d(x, w, stride=2),
        [x, w],
        1e-12,
    )


MODULES: list[tuple[str, tuple[Any, ...], dict[str, Any], tuple[int, ...]]] = [
    ("Conv1d", (4, 6, 3), {"stride": 2, "padding": 1, "groups": 2}, (2, 4, 7)),
    ("Conv2d", (2, 3, (3, 2)), {"padding": "same", "bias": False}, (2, 2, 5, 4)),
    ("Conv3d", (2, 3, 2), {"dilation": (1, 2, 1)}, (1, 2, 3, 4, 2)),
    ("Conv1d", (2, 3, 3), {"padding": 2, "padding_mode": "reflect"}, (2, 2, 5)),
    ("Conv2d", (2, 3, 3), {"padding": (2, 1), "padding_mode": "circular"}, (2, 2, 5, 4)),
    ("Conv2d", (2, 3, 4), {"padding": "same", "padding_mode": "replicate"}, (2, 2, 5, 4)),
    ("ConvTranspose1d", (4, 6, 3), {"stride": 2, "padding": 1, "groups": 2}, (2, 4, 7)),
    ("ConvTranspose2d", (3, 2, (3, 2)), {"stride": 2, "output_padding": (1, 0)}, (2, 3, 4, 5)),
    ("ConvTranspose3d", (2, 2, 2), {"stride": 3, "bias": False, "dilation": 2}, (1, 2, 2, 1, 3)),
]


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize(("name", "args", "options", "shape"), MODULES)
def test_modules(name: str, args: Any, options: dict[str, Any], shape: tuple[int, ...]) -> None:
    ours = getattr(nn, name)(*args, **options)
    theirs = getattr(torch().nn, name)(*args, **options)
    same_module(ours, theirs, [numbers(*shape)], 2e-5)
    assert repr(ours).replace("'", "") == repr(theirs)


@pytest.mark.parametrize("size", [(9, 8), (10, 7), (2, 3, 10, 8)])
def test_output_size(size: tuple[int, ...]) -> None:
    ours, theirs = (lib.ConvTranspose2d(3, 2, 3, stride=2, padding=1) for lib in (nn, torch().nn))
    x = numbers(2, 3, 5, 4)
    same_module(ours, theirs, [x], 2e-5)
    wanted = theirs(torch().from_numpy(x), output_size=list(size[-2:]))
    near(ours(gu.from_numpy(x), output_size=size[-2:]), wanted, 2e-5)


def test_initial_weights_have_torchs_range() -> None:
    gu.manual_seed(0)
    layer = nn.ConvTranspose2d(8, 16, 3, groups=2)
    bound = 1 / (16 // 2 * 9) ** 0.5
    for p in layer.parameters():
        assert 0.8 * bound < np.abs(p.detach().numpy()).max() <= bound


def test_errors() -> None:
    x = gu.zeros(2, 3, 8)
    with pytest.raises(gu.ShapeError, match=r"\(n, c, l\) or \(c, l\), and a weight \(o, c / gr"):
        F.conv1d(gu.zeros(8), gu.zeros(4, 3, 3))
    with pytest.raises(gu.ShapeError, match=r"\(n, c, d, h, w\) or \(c, d, h, w\)"):
        F.conv3d(x, gu.zeros(4, 3, 3))
    with pytest.raises(gu.ShapeError, match=r"expects 4 channels, the input has 3"):
        F.conv_transpose1d(x, gu.zeros(4, 3, 3))
    with pytest.raises(gu.ShapeError, match="2 groups must divide"):
        F.conv_transpose1d(x, gu.zeros(3, 3, 3), groups=2)
    with pytest.raises(gu.ShapeError, match=r"5 output channels\n +weight .*\n +bias +\(3,\)"):
        F.conv_transpose1d(x, gu.zeros(3, 5, 3), gu.zeros(3))
    with pytest.raises(gu.ShapeError, match="larger than the image"):
        F.conv1d(x, gu.zeros(4, 3, 9))
    with pytest.raises(gu.ShapeError, match="has no element"):
        F.conv1d(x, gu.zeros(4, 3, 0))
    with pytest.raises(gu.ShapeError, match=r"a padding of \(5,\) leaves an output of \(0,\)"):
        F.conv_transpose1d(gu.zeros(1, 3, 8), gu.zeros(3, 2, 3), padding=5)
    with pytest.raises(ValueError, match=r"less than the stride \(2,\) or the dilation \(1,\)"):
        F.conv_transpose1d(x, gu.zeros(3, 2, 3), stride=2, output_padding=2)
    with pytest.raises(ValueError, match="padding='same' keeps the image's size"):
        F.conv1d(x, gu.zeros(4, 3, 3), padding="same", stride=2)
    with pytest.raises(ValueError, match="'valid' or 'same', not 'full'"):
        F.conv1d(x, gu.zeros(4, 3, 3), padding="full")
    with pytest.raises(ValueError, match="stride is an int or a triple of ints, each at least 1"):
        F.conv3d(gu.zeros(1, 3, 4, 4, 4), gu.zeros(4, 3, 3, 3, 3), stride=(1, 1))  # type: ignore
    with pytest.raises(ValueError, match="each at least 0, not -1"):
        F.conv_transpose1d(x, gu.zeros(3, 2, 3), padding=-1)
    with pytest.raises(TypeError, match="input float32, weight float64"):
        F.conv_transpose1d(x, gu.zeros(3, 2, 3, dtype=gu.float64))
    with pytest.raises(TypeError, match="input float32, bias float64"):
        F.conv1d(x, gu.zeros(2, 3, 3), gu.zeros(2, dtype=gu.float64))


def test_errors_of_modules() -> None:
    with pytest.raises(gu.ShapeError, match=r"Conv1d\(3, 4, .*expects sequences \(n, 3, l\)"):
        nn.Conv1d(3, 4, 3)(gu.zeros(2, 4, 8))
    with pytest.raises(gu.ShapeError, match=r"expects volumes \(n, 3, d, h, w\)"):
        nn.ConvTranspose3d(3, 4, 3)(gu.zeros(2, 3, 8))
    with pytest.raises(ValueError, match=r"between \(9, 7\) and \(10, 8\) for this input"):
        layer = nn.ConvTranspose2d(3, 2, 3, stride=2, padding=1)
        layer(gu.zeros(1, 3, 5, 4), output_size=(11, 8))
    with pytest.raises(ValueError, match="padding_mode is one of 'zeros'"):
        nn.Conv2d(3, 4, 3, padding_mode="mirror")
    with pytest.raises(ValueError, match="ConvTranspose2d: 3 groups must divide"):
        nn.ConvTranspose2d(3, 4, 3, groups=3)
