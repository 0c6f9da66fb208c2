"""Instructions that move vectors between registers and memory: loads, stores, gathers, scatters.

Each is written into a region of a function; a mask (None: every lane exists) says which lanes are
read or written. Must not know expressions, loops or what an element means.
"""

from __future__ import annotations

from .builder import Function, Operand, Region
from .operations import suffix

ASK = 1 << 16  # bytes from what is read to what is asked for: nearer, and it comes too late
LINE = 64  # bytes that come together
EVERY = "splat (i1 true)"


def element(fn: Function, base: Operand, index: Operand, ty: str, region: Region) -> Operand:
    """The address of an element of an array."""
    if index == "0":
        return base
    return fn.put(f"getelementptr {ty}, ptr {base}, i64 {index}", region)


def load(
    fn: Function, ty: str, lanes: int, address: Operand, mask: Operand | None, align: int,
    region: Region,
) -> Operand:  # fmt: skip
    """Elements that lie one after another; 0 in the lanes that the mask leaves out."""
    vt = f"<{lanes} x {ty}>"
    if mask is None:
        return fn.put(f"load {vt}, ptr {address}, align {align}", region)
    name = f"@llvm.masked.load.v{lanes}{suffix(ty)}.p0"
    fn.declare(f"{vt} {name}(ptr, i32, <{lanes} x i1>, {vt})")
    return fn.put(
        f"call {vt} {name}(ptr {address}, i32 {align}, <{lanes} x i1> {mask}, "
        f"{vt} zeroinitializer)",
        region,
    )


def store(
    fn: Function, ty: str, lanes: int, value: Operand, address: Operand, mask: Operand | None,
    align: int, region: Region | None = None,
) -> None:  # fmt: skip
    """Elements that lie one after another."""
    vt = f"<{lanes} x {ty}>"
    if mask is None:
        fn.do(f"store {vt} {value}, ptr {address}, align {align}", region)
        return
    if mask.count("true") == 1:
        # LLVM 22 stores more than one element of a truncated vector under such a mask.
        lane = mask.strip("<>").split(", ").index("i1 true")
        one = fn.put(f"extractelement {vt} {value}, i64 {lane}", region)
        at = fn.put(f"getelementptr {ty}, ptr {address}, i64 {lane}", region)
        fn.do(f"store {ty} {one}, ptr {at}, align {align}", region)
        return
    name = f"@llvm.masked.store.v{lanes}{suffix(ty)}.p0"
    fn.declare(f"void {name}({vt}, ptr, i32, <{lanes} x i1>)")
    fn.do(
        f"call void {name}({vt} {value}, ptr {address}, i32 {align}, <{lanes} x i1> {mask})",
        region,
    )


def stream(
    fn: Function, ty: str, lanes: int, value: Operand, address: Operand, align: int, region: Region
) -> None:
    """Elements that lie one after another, past the caches, to an aligned place."""
    fn.declared["!0 = !{i32 1}"] = None
    align = min(LINE, lanes * align)
    fn.do(
        f"store <{lanes} x {ty}> {value}, ptr {address}, align {align}, !nontemporal !0", region
    )


def gather(
    fn: Function, base: Operand, indices: Operand, ty: str, lanes: int, mask: Operand | None,
    align: int, region: Region,
) -> Operand:  # fmt: skip
    """Elements at any indices of an array; 0 in the lanes that the mask leaves out."""
    vt = f"<{lanes} x {ty}>"
    pointers = fn.put(f"getelementptr {ty}, ptr {base}, <{lanes} x i64> {indices}", region)
    name = f"@llvm.masked.gather.v{lanes}{suffix(ty)}.v{lanes}p0"
    pt, mt = f"<{lanes} x ptr>", f"<{lanes} x i1>"
    fn.declare(f"{vt} {name}({pt}, i32, {mt}, {vt})")
    return fn.put(
        f"call {vt} {name}({pt} {pointers}, i32 {align}, {mt} {mask or EVERY}, "
        f"{vt} zeroinitializer)",
        region,
    )


def scatter(
    fn: Function, base: Operand, indices: Operand, ty: str, lanes: int, value: Operand,
    mask: Operand | None, align: int, region: Region,
) -> None:  # fmt: skip
    """Elements to any indices of an array; where two meet, that of the later lane stays."""
    vt = f"<{lanes} x {ty}>"
    pointers = fn.put(f"getelementptr {ty}, ptr {base}, <{lanes} x i64> {indices}", region)
    name = f"@llvm.masked.scatter.v{lanes}{suffix(ty)}.v{lanes}p0"
    pt, mt = f"<{lanes} x ptr>", f"<{lanes} x i1>"
    fn.declare(f"void {name}({vt}, {pt}, i32, {mt})")
    fn.do(
        f"call void {name}({vt} {value}, {pt} {pointers}, i32 {align}, {mt} {mask or EVERY})",
        region,
    )


def twice(fn: Function, mask: Operand, lanes: int, region: Region) -> Operand:
    """A mask of pairs as one of elements: each lane two times."""
    index = ", ".join(f"i32 {i // 2}" for i in range(2 * lanes))
    mt = f"<{lanes} x i1>"
    return fn.put(
        f"shufflevector {mt} {mask}, {mt} poison, <{2 * lanes} x i32> <{index}>", region
    )


def every_other(
    fn: Function, ty: str, both: Operand, lanes: int, first: int, region: Region
) -> Operand:
    """Every second of 2·lanes elements, from the first (0) or the second (1) on."""
    index = ", ".join(f"i32 {2 * i + first}" for i in range(lanes))
    vt = f"<{2 * lanes} x {ty}>"
    return fn.put(f"shufflevector {vt} {both}, {vt} poison, <{lanes} x i32> <{index}>", region)


def alternately(
    fn: Function, ty: str, a: Operand, b: Operand, lanes: int, region: Region
) -> Operand:
    """a₀, b₀, a₁, b₁, …"""
    index = ", ".join(f"i32 {i // 2 + lanes * (i % 2)}" for i in range(2 * lanes))
    vt = f"<{lanes} x {ty}>"
    return fn.put(f"shufflevector {vt} {a}, {vt} {b}, <{2 * lanes} x i32> <{index}>", region)


def ask(fn: Function, address: Operand, nbytes: int, region: Region) -> None:
    """Ask for what lies further on. Each pass over a row does: one that only adds is over before
    memory can answer, and most of what it asks for is forgotten."""
    fn.declare("void @llvm.prefetch.p0(ptr, i32, i32, i32)")
    for line in range(ASK, ASK + nbytes, LINE):
        at = fn.put(f"getelementptr i8, ptr {address}, i64 {line}", region)
        fn.do(f"call void @llvm.prefetch.p0(ptr {at}, i32 0, i32 2, i32 1)", region)
