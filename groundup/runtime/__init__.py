"""Floor 1: bytes, memory, threads, machine code, the kernel cache. It must not know shapes or
operations. LLVM is loaded when the first function is compiled, not on import."""

from .code import (
    Address,
    CompileError,
    Source,
    all_functions,
    assembly,
    compile_object,
    entries,
    function,
    functions,
    loaded,
)
from .memory import Buffer, allocate
from .pool import get_num_threads, set_num_threads
from .program import Program

__all__ = [
    "Buffer",
    "CompileError",
    "Program",
    "Source",
    "Address",
    "all_functions",
    "allocate",
    "assembly",
    "compile_object",
    "entries",
    "function",
    "functions",
    "get_num_threads",
    "loaded",
    "set_num_threads",
]
