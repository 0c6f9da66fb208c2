"""Both sides held to the instructions of an older processor than this machine has.

Knows the variables by which each library is told; must not know what is measured.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

from groundup.cli.bench.record import BenchError

# GROUNDUP_CPU is LLVM's name of the processor. torch's own kernels, oneDNN, MKL and XLA each read
# a variable of their own when they are first used.
PROCESSORS: Mapping[str, Mapping[str, str]] = {
    "haswell": {
        "ATEN_CPU_CAPABILITY": "avx2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
        "XLA_FLAGS": "--xla_cpu_max_isa=AVX2",
    },
    "x86-64": {
        "ATEN_CPU_CAPABILITY": "default",
        "ONEDNN_MAX_CPU_ISA": "SSE41",
        "MKL_ENABLE_INSTRUCTIONS": "SSE4_2",
        "XLA_FLAGS": "--xla_cpu_max_isa=SSE4_2",
    },
}


def hold_to(cpu: str) -> None:
    """Set the variables for this process and those it starts, before any library reads them.

    Raises BenchError for a processor not listed, and where a library has been loaded already.
    """
    if cpu not in PROCESSORS:
        raise BenchError(f"--cpu is one of {', '.join(PROCESSORS)}, not {cpu!r}")
    loaded = [name for name in ("torch", "jax") if name in sys.modules]
    if loaded:
        raise BenchError(f"--cpu needs a fresh process: {loaded[0]} is loaded, and has chosen")
    for name, value in PROCESSORS[cpu].items():
        if name == "XLA_FLAGS":
            value = f"{os.environ.get(name, '')} {value}".strip()
        os.environ[name] = value
    os.environ["GROUNDUP_CPU"] = cpu
