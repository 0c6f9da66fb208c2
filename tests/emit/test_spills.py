"""Running values of a tile stay in registers: no loop of multiply-adds goes to the stack for them,
on any kind of processor. LLVM may still keep a vector or two of a full tile there; tiles of one row
more went there with every value. (Processors without a fused multiply-add call a function.)"""

from __future__ import annotations

import re

import llvmlite.binding as binding
import numpy as np
import pytest

import groundup as gu
from groundup.cli.bench.suites import conv
from groundup.emit import llvm
from groundup.emit.kernel import Contraction, Several
from groundup.ir.node import Node
from groundup.nn import functional as F
from groundup.runtime import target as target_room
from groundup.schedule import Plan, Signature
from groundup.schedule import plan as planning

PROCESSORS = {
    "skylake-avx512": ("x86_64-linux-gnu", 512), "icelake-server": ("x86_64-linux-gnu", 512),
    "sapphirerapids": ("x86_64-linux-gnu", 512), "x86-64-v4": ("x86_64-linux-gnu", 512),
    "znver4": ("x86_64-linux-gnu", 512), "znver5": ("x86_64-linux-gnu", 512),
    "haswell": ("x86_64-linux-gnu", 256), "znver3": ("x86_64-linux-gnu", 256),
    "x86-64-v3": ("x86_64-linux-gnu", 256), "generic": ("aarch64-linux-gnu", 128),
}  # fmt: skip
PRODUCTS = [(5, 784, 10), (64, 784, 50), (70, 65, 91), (512, 512, 512), (2048, 2048, 2048)]
MULTIPLY = re.compile(r"^(vfn?m(add|sub)|fml[as])")


def tensor(*shape: int) -> gu.Tensor:
    return gu.from_numpy(np.zeros(shape, "float32"))


def products() -> list[Node]:
    found = []
    for m, k, n in PRODUCTS:
        a, b = tensor(m, k), tensor(k, n)
        found += [a @ b, a @ tensor(n, k).T, tensor(k, m).T @ b]
    found += [tensor(999, 999) @ tensor(999), a.double() @ b.double()]
    return [t.node for t in found]


def convolutions() -> list[Node]:
    found = []
    for s in conv.SHAPES:
        x = tensor(s.n, s.c, s.h, s.h).requires_grad_()
        w = tensor(s.out, s.c // s.groups, s.k, s.k).requires_grad_()
        y = F.conv2d(x, w, stride=s.stride, padding=s.padding, groups=s.groups)
        y.backward(gu.from_numpy(np.ones(tuple(y.shape), "float32")))
        assert x.grad is not None and w.grad is not None
        found += [y, x.grad, w.grad]
    return [t.node for t in found]


def innermost(assembly: str) -> list[list[str]]:
    """The loops that have no other inside, as lines."""
    lines = [s for line in assembly.splitlines() if (s := line.strip()) and s[0] not in "#/"]
    labels = {m[1]: i for i, s in enumerate(lines) if (m := re.match(r"([.\w$]+):", s))}
    loops = []
    for i, s in enumerate(lines):
        jump = re.match(r"(?:j\w+|b\.?\w*|cbn?z|tbn?z)\s+(?:.*,\s*)?([.\w$]+)$", s)
        if jump and labels.get(jump[1], i) < i:
            loops.append((labels[jump[1]], i))
    return [
        lines[a : b + 1]
        for a, b in loops if not any((c, d) != (a, b) and a <= c and d <= b for c, d in loops)
    ]  # fmt: skip


def on_stack(line: str, framed: bool) -> bool:
    """Does it move a vector to or from the stack? framed: %rbp or x29 points there, too."""
    if re.search(r"%[xyz]mm", line):
        return "(%rsp" in line or (framed and "(%rbp" in line)
    stack = r"\[(sp|x29)\b" if framed else r"\[sp\b"
    return bool(re.search(stack, line) and re.search(r"\b[qdv]\d", line))


@pytest.mark.parametrize("what", [products, convolutions])
@pytest.mark.parametrize("cpu", PROCESSORS)
def test_no_tile_spills(monkeypatch: pytest.MonkeyPatch, cpu: str, what: object) -> None:
    triple, bits = PROCESSORS[cpu]
    host = target_room.Target(triple, cpu, "", bits, True, cpu)
    monkeypatch.setattr(target_room, "host", lambda: host)
    monkeypatch.setattr(planning, "compiled", lambda kernels: [1] * len(kernels))
    binding.initialize_all_targets()
    binding.initialize_all_asmprinters()
    machine = binding.Target.from_triple(triple).create_target_machine(
        cpu=cpu, opt=2, reloc="pic"
    )
    roots = what()  # type: ignore[operator]
    kernels = {s.kernel for s in Plan(Signature(roots), roots, [None] * len(roots)).steps}
    loops = 0
    for kernel in kernels:
        if not isinstance(kernel, Contraction | Several):
            continue
        parts = kernel.parts if isinstance(kernel, Several) else (kernel,)
        module = binding.parse_assembly(llvm.emit(kernel))
        module.triple = triple
        assembly = machine.emit_assembly(module)
        framed = re.search(r"movq\s+%rsp, %rbp|(mov|add)\s+x29, sp", assembly) is not None
        for loop in innermost(assembly):
            products = sum(bool(MULTIPLY.match(line)) for line in loop)
            spills = sum(on_stack(line, framed) for line in loop)
            loops += products > 0
            if products:  # a tenth of the multiply-adds does not show
                assert spills <= products // 10, (
                    spills, products,
                    [(p.rows, p.vectors, p.paired, p.lanes) for p in parts
                     if isinstance(p, Contraction)],
                )  # fmt: skip
    assert loops > 10
