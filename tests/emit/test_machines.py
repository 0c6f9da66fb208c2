"""Kernels for processors that this machine is not: every kind is written, verified, and becomes
their machine code, with the instructions that it should have."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from groundup.autodiff import gradient
from groundup.emit import llvm
from groundup.emit.kernel import Contraction, Several
from groundup.ir import dtype as dt
from groundup.ir.node import Node
from groundup.runtime import target as target_room
from groundup.schedule import Plan, Signature
from groundup.schedule import plan as planning
from groundup.schedule.machine import Machine

from .. import build as B

RNG = np.random.default_rng(0)


def _f32(*shape: int) -> Node:
    return B.tensor(RNG.normal(size=shape).astype("float32"))


def _gradients() -> list[Node]:
    """Of a convolution, a matmul and a softmax's logarithm, by all their parameters."""
    w, v = (B.param(RNG.normal(size=s).astype("float32")) for s in ((5, 3, 3, 3), (5, 7)))
    h = B.conv2d(_f32(16, 3, 8, 8), w, 2, 1)
    loss = B.over("sum", B.logsumexp(B.matmul(B.over("sum", B.op("tanh", h), [2, 3]), v)), [0])
    made = gradient(loss, B.tensor(np.ones((), "float32")), [w, v])
    return [g for g in made if g is not None]


GRAPHS: dict[str, Callable[[], list[Node]]] = {
    "matmul": lambda: [B.matmul(_f32(70, 65), _f32(65, 90))],
    "matmul, second operand transposed": lambda: [
        B.matmul(_f32(70, 65), B.view(_f32(90, 65), (65, 90), lambda i, j: (j, i)))
    ],
    "matmul of bfloat16": lambda: [
        B.matmul(B.to(_f32(70, 65), dt.bfloat16), B.to(_f32(65, 90), dt.bfloat16))
    ],
    "matmul of doubles": lambda: [B.matmul(*(B.tensor(RNG.normal(size=(33, 33))) for _ in "ab"))],
    "matrix times vector": lambda: [B.matmul(_f32(70, 65), _f32(65, 1))],
    "convolution": lambda: [B.conv2d(_f32(16, 16, 9, 9), _f32(32, 16, 3, 3))],
    "padded convolution": lambda: [B.conv2d(_f32(16, 3, 9, 9), _f32(8, 3, 3, 3), 1, 1)],
    "strided convolution": lambda: [B.conv2d(_f32(16, 16, 9, 9), _f32(32, 16, 3, 3), 2)],
    "gradients": _gradients,
    "pooling": lambda: [B.pool2d("max", _f32(4, 3, 8, 8), 2)],
    "softmax": lambda: [B.softmax(_f32(9, 33))],
    "sums": lambda: [B.over("sum", _f32(9, 33), axes) for axes in ([0], [1], [0, 1])],
    "argmax": lambda: [B.over("argmax", _f32(9, 33), [1])],
    "embedding": lambda: [B.embedding(_f32(9, 33), B.tensor(np.arange(5)))],
    "transcendental": lambda: [
        B.op(f, _f32(37)) for f in ("exp", "log", "tanh", "sin", "erf", "sqrt")
    ],
    "types": lambda: [
        B.to(_f32(37), dt.BY_NAME[d])
        for d in ("float64", "float16", "bfloat16", "int32", "uint8", "bool")
    ],
    "integers": lambda: [B.op("add", *(B.tensor(np.arange(37, dtype="int32")) for _ in "ab"))],
}
# (triple, processor, features, vector lanes, registers, what a sum of products becomes, ELF number)
MACHINES = {
    "aarch64": ("aarch64-linux-gnu", "generic", "", 4, 32, ("fmla",), 183),
    "haswell": ("x86_64-linux-gnu", "haswell", "", 8, 16, ("vfmadd",), 62),
    "skylake-avx512": (
        "x86_64-linux-gnu", "skylake-avx512", "+avx512f,+avx512vl", 16, 32, ("vfmadd", "zmm"), 62
    ),
    "sapphirerapids": (
        "x86_64-linux-gnu", "sapphirerapids",
        "+avx512f,+avx512vl,+avx512bw,+avx512bf16", 16, 32, ("vfmadd", "zmm"), 62,
    ),
}  # fmt: skip
PRODUCTS = {"matmul", "matmul, second operand transposed", "convolution", "strided convolution"}


@pytest.mark.parametrize("name", GRAPHS)
@pytest.mark.parametrize("machine", MACHINES)
def test_kernels_for_other_machines(
    monkeypatch: pytest.MonkeyPatch, machine: str, name: str
) -> None:
    import llvmlite.binding as binding

    triple, cpu, features, width, registers, wanted, number = MACHINES[machine]
    other = target_room.Target(triple, cpu, features, 32 * width, True, machine)
    monkeypatch.setattr(planning, "machine", lambda: Machine(width, registers, other.adds_pairs))
    monkeypatch.setattr(target_room, "host", lambda: other)
    monkeypatch.setattr(planning, "compiled", lambda kernels: [1] * len(kernels))
    roots = GRAPHS[name]()
    kernels = [s.kernel for s in Plan(Signature(roots), roots, [None] * len(roots)).steps]
    assert kernels
    assert any(isinstance(k, Contraction | Several) for k in kernels) or name not in PRODUCTS

    binding.initialize_all_targets()
    binding.initialize_all_asmprinters()
    target = binding.Target.from_triple(triple).create_target_machine(
        cpu=cpu, features=features, opt=2, reloc="pic"
    )
    assembly = []
    for kernel in kernels:
        module = binding.parse_assembly(llvm.emit(kernel))
        module.triple = triple
        module.verify()
        assembly.append(target.emit_assembly(module))
        code = target.emit_object(module)
        assert code[:4] == b"\x7fELF" and int.from_bytes(code[18:20], "little") == number
        assert "kernel:" in assembly[-1]
    if name in PRODUCTS:
        assert all(word in "".join(assembly) for word in wanted)
    if name == "matmul of bfloat16":
        pairs = machine == "sapphirerapids"
        assert ("vdpbf16ps" in "".join(assembly)) == pairs == other.adds_pairs
