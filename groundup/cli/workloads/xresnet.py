"""What xresnet18 and xresnet50 share: ResNets in the manner of fast.ai's xresnet.

He, Zhang, Zhang, Zhang, Xie & Li, "Bag of tricks for image classification with convolutional
neural networks", 2018: a stem of three 3×3 convolutions (their ResNet-C), the stride of a
bottleneck in its 3×3 convolution (-B), average pooling in front of the shortcut's 1×1 (-D). The
weights of the last norm of a block start at 1 here, so that every convolution has a gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from groundup.cli.workloads import Loss
from groundup.cli.workloads.jax_layers import Layers

STEM = (32, 32, 64)
WIDTHS = (64, 128, 256, 512)


def model(
    nn: Any,
    blocks: Sequence[int],
    bottleneck: bool,
    stem: Sequence[int] = STEM,
    widths: Sequence[int] = WIDTHS,
) -> Any:
    """The model, in groundup's nn or torch's.

    blocks: how many in each stage; bottleneck: blocks of 1×1, 3×3 and a 1×1 convolution four times
    as wide, in place of two 3×3.
    """
    relu = nn.functional.relu

    class ConvNorm(nn.Module):  # type: ignore[misc]
        """A convolution that keeps the image's size (but for its stride), and its norm."""

        def __init__(self, before: int, width: int, size: int = 3, stride: int = 1) -> None:
            super().__init__()
            self.conv = nn.Conv2d(before, width, size, stride, size // 2, bias=False)
            self.norm = nn.BatchNorm2d(width)

        def forward(self, x: Any) -> Any:
            return self.norm(self.conv(x))

    class Block(nn.Module):  # type: ignore[misc]
        """relu(f(x) + shortcut(x)), f the convolutions, with a relu after each but the last."""

        def __init__(self, before: int, width: int, stride: int) -> None:
            super().__init__()
            after = width * 4 if bottleneck else width
            if bottleneck:
                parts = [ConvNorm(before, width, 1), ConvNorm(width, width, 3, stride)]
                parts.append(ConvNorm(width, after, 1))
            else:
                parts = [ConvNorm(before, width, 3, stride), ConvNorm(width, after)]
            self.parts = nn.ModuleList(parts)
            self.pool = nn.AvgPool2d(2) if stride == 2 else nn.Identity()
            self.shortcut = ConvNorm(before, after, 1) if before != after else nn.Identity()

        def forward(self, x: Any) -> Any:
            y = x
            for i, part in enumerate(self.parts):
                y = part(relu(y) if i else y)
            return relu(y + self.shortcut(self.pool(x)))

    class XResNet(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            sizes = (3, *stem)
            pairs = enumerate(zip(sizes, stem))
            self.stem = nn.ModuleList([ConvNorm(a, b, 3, 1 if i else 2) for i, (a, b) in pairs])
            self.pool = nn.MaxPool2d(3, stride=2, padding=1)
            layers = []
            before = stem[-1]
            for stage, (width, count) in enumerate(zip(widths, blocks)):
                for i in range(count):
                    layers.append(Block(before, width, 2 if stage and not i else 1))
                    before = width * 4 if bottleneck else width
            self.blocks = nn.Sequential(*layers)
            self.mean = nn.AdaptiveAvgPool2d(1)
            self.head = nn.Linear(before, 10)

        def forward(self, x: Any) -> Any:
            for part in self.stem:
                x = relu(part(x))
            return self.head(self.mean(self.blocks(self.pool(x))).flatten(1))

    return XResNet()


def loss_in_jax(blocks: Sequence[int]) -> Callable[[Any], Loss]:
    """The loss as a function of the parameters in JAX, for networks of these stages."""

    def theirs_jax(jax: Any) -> Loss:
        f = Layers(jax)

        def part(p: Any, path: str, x: Any, stride: int = 1) -> Any:
            padding = p[f"{path}.conv.weight"].shape[2] // 2
            return f.batch_norm(p, f"{path}.norm", f.conv(p, f"{path}.conv", x, stride, padding))

        def block(p: Any, path: str, x: Any, stride: int) -> Any:
            count = f.count(p, f"{path}.parts")
            y = x
            for i in range(count):  # the stride is in the last but one: the 3×3 of a bottleneck
                y = f.relu(y) if i else y
                y = part(p, f"{path}.parts.{i}", y, stride if i == count - 2 else 1)
            x = f.avg_pool(x, 2) if stride == 2 else x
            if f"{path}.shortcut.conv.weight" in p:
                x = part(p, f"{path}.shortcut", x)
            return f.relu(y + x)

        def loss(p: Any, x: Any, y: Any) -> Any:
            x = f.images(x)
            for i in range(3):
                x = f.relu(part(p, f"stem.{i}", x, 1 if i else 2))
            x = f.max_pool(x, 3, 2, 1)
            strides = [2 if s and not i else 1 for s, n in enumerate(blocks) for i in range(n)]
            for i, stride in enumerate(strides):
                x = block(p, f"blocks.{i}", x, stride)
            return f.cross_entropy(f.linear(p, "head", x.mean((1, 2))), y)

        return loss

    return theirs_jax
