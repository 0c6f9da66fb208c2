"""Write the public names of `groundup.tensor` into the TYPE_CHECKING block of
`groundup/__init__.py`.

Usage: python tools/declare_names.py. To be run when `groundup.tensor.__all__` has changed; a test
says so.
"""

from pathlib import Path

from groundup.tensor import __all__ as names

TARGET = Path(__file__).parent.parent / "groundup" / "__init__.py"
ROOMS = [
    "array_api", "autodiff", "data", "datasets", "distributions", "emit", "glass", "ir", "nn",
    "notebook", "optim", "runtime", "schedule", "testing", "train", "vision",
]  # fmt: skip
INNER = {
    "autograd": "tensor", "fft": "tensor", "func": "nn", "linalg": "tensor", "masked": "tensor",
    "special": "tensor.rooms",
}  # fmt: skip
# A function named as a room beside it: type checkers need to be told where it is made.
MADE_IN = {
    "autocast": "autocast",
    "checkpoint": "checkpoint",
    "complex": "complex.parts",
    "tensor": "create",
    "jit": "jit",
    "mode": "statistics",
    "realize": "realize",
    "vmap": "vmap",
}

GLASS = ("explain", "profile")
# The functions of layers that are found in the library itself, too.
LAYERS = (
    "adaptive_avg_pool1d", "alpha_dropout", "avg_pool1d", "bilinear", "celu", "channel_shuffle",
    "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d",
    "cosine_similarity", "dropout", "feature_alpha_dropout", "group_norm", "hardshrink",
    "layer_norm", "max_pool1d", "max_pool2d", "max_pool3d", "pairwise_distance", "pixel_shuffle",
    "pixel_unshuffle", "prelu", "rms_norm", "rrelu", "selu", "threshold",
)  # fmt: skip


def main() -> None:
    head, mark, _ = TARGET.read_text().partition("if TYPE_CHECKING:\n")
    lines = [f"    from groundup import {room} as {room}" for room in ROOMS]
    inner = sorted(INNER.items(), key=lambda item: item[1])
    lines += [f"    from groundup.{floor} import {room} as {room}" for room, floor in inner]
    lines += ["", "    # isort: off", "    from groundup.tensor import ("]
    lines += [f"        {name} as {name}," for name in sorted({*names} - {*MADE_IN})]
    lines += ["    )"]
    lines += [
        f"    from groundup.tensor.{room} import {name} as {name}" for name, room in MADE_IN.items()
    ]
    lines += [f"    from groundup.nn.functional import {name} as {name}" for name in LAYERS]
    lines += [f"    from groundup.glass import {name} as {name}" for name in GLASS]
    lines += ["    from groundup.notebook.game import game as game"]
    TARGET.write_text(head + mark + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
