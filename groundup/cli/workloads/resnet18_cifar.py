"""resnet18-cifar: ResNet-18 on 32 images of 3×32×32 (106.5 GFLOP).

He et al., "Deep residual learning for image recognition", 2015: the body of their ResNet-18
(table 1) behind their CIFAR stem (section 4.2), one 3×3 convolution without pooling.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from groundup.cli.workloads import Loss, Workload
from groundup.cli.workloads.jax_layers import Layers

WIDTHS = (64, 128, 256, 512)  # channels of the four stages
BLOCKS = 2  # in each stage


def model(nn: Any, widths: Sequence[int] = WIDTHS, blocks: int = BLOCKS) -> Any:
    """The model, in groundup's nn or torch's; each stage but the first halves the image."""
    relu = nn.functional.relu

    class Block(nn.Module):  # type: ignore[misc]
        """relu(f(x) + shortcut(x)), f two 3×3 convolutions; the shortcut fits the shape."""

        def __init__(self, before: int, width: int, stride: int) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(before, width, 3, stride=stride, padding=1, bias=False)
            self.norm1 = nn.BatchNorm2d(width)
            self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
            self.norm2 = nn.BatchNorm2d(width)
            self.shortcut = nn.Identity()
            if stride != 1 or before != width:
                self.shortcut = nn.Sequential(
                    nn.Conv2d(before, width, 1, stride=stride, bias=False), nn.BatchNorm2d(width)
                )

        def forward(self, x: Any) -> Any:
            y = relu(self.norm1(self.conv1(x)))
            return relu(self.norm2(self.conv2(y)) + self.shortcut(x))

    class ResNet(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, widths[0], 3, padding=1, bias=False)
            self.norm = nn.BatchNorm2d(widths[0])
            layers = []
            before = widths[0]
            for stage, width in enumerate(widths):
                for i in range(blocks):
                    layers.append(Block(before, width, 2 if stage and not i else 1))
                    before = width
            self.blocks = nn.Sequential(*layers)
            self.pool = nn.AdaptiveAvgPool2d(1)
            self.head = nn.Linear(before, 10)

        def forward(self, x: Any) -> Any:
            x = self.blocks(relu(self.norm(self.conv(x))))
            return self.head(self.pool(x).flatten(1))

    return ResNet()


def ours() -> Any:
    """The model in groundup."""
    from groundup import nn

    return model(nn)


def theirs(torch: Any) -> Any:
    """The model in torch."""
    return model(torch.nn)


def theirs_jax(jax: Any) -> Loss:
    """The loss as a function of the parameters in JAX."""
    f = Layers(jax)

    def block(p: Any, path: str, x: Any, stride: int) -> Any:
        y = f.conv(p, f"{path}.conv1", x, stride, 1)
        y = f.relu(f.batch_norm(p, f"{path}.norm1", y))
        y = f.batch_norm(p, f"{path}.norm2", f.conv(p, f"{path}.conv2", y, 1, 1))
        if f"{path}.shortcut.0.weight" in p:
            x = f.batch_norm(p, f"{path}.shortcut.1", f.conv(p, f"{path}.shortcut.0", x, stride))
        return f.relu(y + x)

    def loss(p: Any, x: Any, y: Any) -> Any:
        x = f.relu(f.batch_norm(p, "norm", f.conv(p, "conv", f.images(x), 1, 1)))
        width = x.shape[-1]
        for i in range(f.count(p, "blocks")):
            wider = p[f"blocks.{i}.conv1.weight"].shape[0]
            x, width = block(p, f"blocks.{i}", x, 1 if wider == width else 2), wider
        return f.cross_entropy(f.linear(p, "head", x.mean((1, 2))), y)

    return loss


WORKLOAD = Workload(
    "resnet18-cifar", (32, 3, 32, 32), 10, 11_173_962, 0.05, ours, theirs, theirs_jax
)
