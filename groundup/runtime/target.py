"""The processor that code is generated for: its name, its features, its vector width.
It must not know what code. LLVM is loaded on first use only."""

from __future__ import annotations

import functools
import os
from typing import NamedTuple

from . import system


class Target(NamedTuple):
    """A processor: LLVM's name and feature string, the triple, and the widest vector in bits."""

    triple: str
    cpu: str
    features: str
    vector_bits: int
    fma: bool
    key: str
    """Text that tells apart whatever may change the machine code: part of a cache entry's name."""

    def has(self, feature: str) -> bool:
        """Whether the feature string enables a feature, by LLVM's name ("avx512bf16")."""
        return f"+{feature}" in self.features.split(",")

    @property
    def adds_pairs(self) -> bool:
        """Is there an instruction that adds two products of bfloat16 to each lane of a vector?"""
        return all(map(self.has, ("avx512bf16", "avx512vl", "avx512bw")))


@functools.cache
def host() -> Target:
    """The target in use: this machine's processor, or the one that `GROUNDUP_CPU` names.

    Raises ValueError if this machine could not run the code of the one named.
    """
    return system.uninterrupted(_find)


def _find() -> Target:
    import llvmlite
    import llvmlite.binding as llvm

    forced = os.environ.get("GROUNDUP_CPU", "")
    triple = llvm.get_process_triple()
    cpu = llvm.get_host_cpu_name()
    features = llvm.get_host_cpu_features()
    if features.get("avx512f"):
        bits = 512
    else:
        bits = 256 if features.get("avx2") else 128
    fma = bool(features.get("fma")) or triple.startswith(("aarch64", "arm64"))
    text = features.flatten()
    if forced:
        native, cpu = bits, forced
        bits, fma, text = _probe(triple, forced)
        if bits > native:
            raise ValueError(
                f"GROUNDUP_CPU={forced} has vectors of {bits} bits, this machine of {native}: "
                "its code would not run here"
            )
    version = f"llvmlite {llvmlite.__version__} LLVM {llvm.llvm_version_info}"
    key = f"{version}\n{triple}\n{cpu}\n{text}"
    return Target(triple, cpu, text, bits, fma, key)


_PROBE = """
define void @probe(ptr %p, float %x) nounwind {
  %a = load <16 x float>, ptr %p, align 64
  %b = fadd <16 x float> %a, %a
  store <16 x float> %b, ptr %p, align 64
  %y = call float @llvm.fma.f32(float %x, float %x, float %x)
  store float %y, ptr %p
  %h = load <8 x half>, ptr %p, align 16
  %w = fpext <8 x half> %h to <8 x float>
  store <8 x float> %w, ptr %p, align 32
  ret void
}
declare float @llvm.fma.f32(float, float, float)
"""


def _probe(triple: str, cpu: str) -> tuple[int, bool, str]:
    """Vector bits, fused multiply-add and features of a named CPU, as far as the code generator's
    own choices show them: it does not list what it knows of a processor that is not this one."""
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_triple(triple).create_target_machine(cpu=cpu, opt=1)
    text = machine.emit_assembly(llvm.parse_assembly(_PROBE))
    bits = 512 if "zmm" in text else 256 if "ymm" in text else 128
    shown = {"f16c": "vcvtph2ps", "avx512f": "zmm"}
    features = ",".join(f"+{name}" for name, sign in shown.items() if sign in text)
    return bits, "fmadd" in text, features
