"""Machine code: LLVM IR text in, addresses of loaded functions out, through the kernel cache.
It must not know what the functions compute. No IR optimisation pipeline runs: the emitter writes
the code it wants, and LLVM only selects instructions and registers (half the compile time)."""

from __future__ import annotations

import contextlib
import functools
import itertools
import re
import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from . import cache, system, target, workers

OPT_LEVEL = 2

lock = threading.RLock()  # of the memo
llvm_lock = threading.RLock()  # of all that LLVM does; taken second
_memo: dict[Any, tuple[int, ...]] = {}  # of `function` and `functions`, which stay loaded
# Of all other code: whatever somebody holds the address of, and what was loaded last. A function
# takes some 50 KB, and a program that meets new shapes for ever needs new ones for ever.
_alive: weakref.WeakValueDictionary[Any, Address] = weakref.WeakValueDictionary()
_latest: dict[Any, Address] = {}
LATEST = 1024
# A library is unloaded when its tracker dies, which may only be while LLVM does nothing else. When
# the process ends, LLVM's objects are not disposed of at all (llvmlite sees to that): a worker may
# still be in their code.
_kept: list[object] = []
_unused: list[object] = []
_serial = itertools.count()  # LLVM takes a library's name only once, also when linking fails
_stats: dict[str, float] = {
    "compiled": 0, "loaded_from_cache": 0, "compile_seconds": 0.0, "linked": 0,
}  # fmt: skip


class Library:
    """Loaded code; unloaded some time after nobody holds an address in it."""

    def __init__(self, tracker: object) -> None:
        self.tracker = tracker

    def __del__(self, note: Callable[[object], None] = _unused.append) -> None:
        # A collection may run this anywhere: no lock is taken. Nor is a global looked up, which may
        # be gone when the process ends.
        note(self.tracker)


class Address:
    """Where a function lies (`int`), whose code is loaded for as long as this object lives."""

    __slots__ = ("__weakref__", "_address", "_library")

    def __init__(self, library: Library, address: int) -> None:
        self._library, self._address = library, address

    def __int__(self) -> int:
        return self._address


class CompileError(RuntimeError):
    """LLVM refused a piece of IR; the message holds LLVM's words and the line they speak of."""


class Source(NamedTuple):
    """A function that may have to be compiled: text that determines its IR, how to write that IR,
    and the symbol it defines."""

    identity: str
    write: Callable[[], str]
    symbol: str


def function(
    ir_text: str,
    symbol: str,
    *,
    imports: Mapping[str, int] | None = None,
    opt: int = OPT_LEVEL,
) -> int:
    """The address of `symbol`, defined in `ir_text`; compiled once, and cached on disk.

    `imports` gives addresses of functions that the text declares and the process does not export,
    `opt` is the effort of LLVM's code generator, 0 to 3. The code stays loaded until the process
    ends. Raises CompileError.

    >>> import ctypes
    >>> address = function("define i64 @two() {\\n  ret i64 2\\n}", "two")
    >>> ctypes.CFUNCTYPE(ctypes.c_int64)(address)()
    2
    """
    return functions(ir_text, (symbol,), imports=imports, opt=opt)[0]


def functions(
    ir_text: str,
    symbols: Sequence[str],
    *,
    imports: Mapping[str, int] | None = None,
    opt: int = OPT_LEVEL,
) -> tuple[int, ...]:
    """The addresses of several symbols of one text; see `function`."""
    name = (ir_text, *symbols)
    found = _memo.get(name)
    if found is not None:
        return found
    with lock:
        found = _memo.get(name)
        if found is None:
            found = _memo[name] = _load(ir_text, opt, symbols, imports or {})
        return found


def all_functions(sources: Sequence[Source], opt: int = OPT_LEVEL) -> list[Address]:
    """The addresses of many functions, compiled once each; what is not in the cache is compiled by
    several processes at once, if that pays. Raises CompileError."""
    keys = [(e, s.symbol) for e, s in zip(entries(sources, opt), sources)]
    with lock:
        found = {key: _alive.get(key) for key in keys}
        missing = {k: s for k, s in zip(keys, sources) if found[k] is None}
        for key, code in _objects(missing, opt).items():
            found[key] = _remembered(key, _loaded(code, missing[key].write, (key[1],), {})[0])
    return [address for key in keys if (address := found[key]) is not None]


def _remembered(key: Any, address: Address) -> Address:
    """A new address among the latest."""
    _alive[key] = _latest[key] = address
    while len(_latest) > LATEST:
        del _latest[next(iter(_latest))]
    return address


def entries(sources: Sequence[Source], opt: int = OPT_LEVEL) -> list[bytes]:
    """The names under which the cache keeps the code of functions."""
    host = target.host().key
    return [cache.digest(host, str(opt), source.identity) for source in sources]


def loaded(names: Sequence[bytes], symbol: str) -> list[Address] | None:
    """The addresses of functions that the cache keeps under these names, all with one symbol; None
    if one of them is not there."""
    with lock:
        known: dict[Any, Address] = {}
        found: dict[Any, bytes] = {}
        for key in ((name, symbol) for name in names):
            address = _alive.get(key)
            if address is not None:
                known[key] = address
                continue
            code = cache.load(key[0])
            if code is None:
                return None
            found[key] = code
        for key, addresses in _all_loaded(found, lambda key: "").items():
            known[key] = _remembered(key, addresses[0])
        _stats["loaded_from_cache"] += len(found)
        return [known[n, symbol] for n in names]


def compile_object(ir_text: str, opt: int = OPT_LEVEL) -> bytes:
    """IR text to a relocatable object file, past all caches. Raises CompileError."""
    return system.uninterrupted(_object, ir_text, opt)


def assembly(ir_text: str, opt: int = OPT_LEVEL, comments: bool = False) -> str:
    """IR text to assembly text, to be read by people and by tests; `comments` name blocks and
    loops. Raises CompileError."""
    return system.uninterrupted(_assembly, ir_text, opt, comments)


def stats() -> dict[str, float]:
    """`compiled` and `loaded_from_cache` objects so far, `compile_seconds` spent on both, and
    functions `linked` into this process."""
    return dict(_stats)


def _object(ir_text: str, opt: int) -> bytes:
    with llvm_lock:
        return bytes(_machine(opt).emit_object(_parse(ir_text)))


def _assembly(ir_text: str, opt: int, comments: bool) -> str:
    with llvm_lock:
        machine, module = _machine(opt), _parse(ir_text)
        if comments:
            machine.set_asm_verbosity(True)
        return str(machine.emit_assembly(module))


def _objects(sources: Mapping[Any, Source], opt: int) -> dict[Any, bytes]:
    """The object code of each source, from the disk if it is there."""
    start = time.perf_counter()
    host = target.host().key
    entries = {k: cache.digest(host, str(opt), s.identity) for k, s in sources.items()}
    found: dict[Any, bytes] = {}
    absent: list[Any] = []
    for name, entry in entries.items():
        code = cache.load(entry)
        if code is None:
            absent.append(name)
        else:
            found[name] = code

    def done(name: Any, code: bytes) -> None:
        cache.store(entries[name], code)
        found[name] = code

    _stats["loaded_from_cache"] += len(found)
    if len(absent) == 1:
        done(absent[0], compile_object(sources[absent[0]].write(), opt))
    elif absent:
        try:
            with workers.Batch(compile_object, opt) as batch:
                for name in absent:
                    job = workers.Job(sources[name].write(), functools.partial(done, name))
                    batch.add(job)
        except workers.Crash as crash:
            raise CompileError(str(crash)) from None
    _stats["compiled"] += len(absent)
    _stats["compile_seconds"] += time.perf_counter() - start
    return {name: found[name] for name in sources}


def _load(
    ir_text: str, opt: int, symbols: Sequence[str], imports: Mapping[str, int]
) -> tuple[int, ...]:
    """Compile a text, and link it into this process for good."""
    source = Source(ir_text, lambda: ir_text, symbols[0])
    found = _loaded(_objects({0: source}, opt)[0], source.write, symbols, imports)
    _kept.append(found)
    return tuple(map(int, found))


def _loaded(
    code: bytes, write: Callable[[], str], symbols: Sequence[str], imports: Mapping[str, int]
) -> tuple[Address, ...]:
    """Link object code into this process."""
    start = time.perf_counter()
    try:
        found = system.uninterrupted(_link, code, symbols, imports)
    except RuntimeError as error:
        raise CompileError(_missing(str(error), write(), symbols, imports)) from None
    _stats["compile_seconds"] += time.perf_counter() - start
    return found


def _all_loaded(
    codes: Mapping[Any, bytes], write: Callable[[Any], str]
) -> dict[Any, tuple[Address, ...]]:
    """Link objects, each of which defines the symbol that its key ends with. As one library where
    each can be given a name of its own: that takes a third of the time."""
    found: dict[Any, tuple[Address, ...]] = {}
    if len(codes) > 1:
        start = time.perf_counter()
        named = {key: _named(code, key[1], k) for k, (key, code) in enumerate(codes.items())}
        with contextlib.suppress(RuntimeError):  # linked singly, it is known which is to blame
            found = system.uninterrupted(_link_all, named)
        _stats["compile_seconds"] += time.perf_counter() - start
    for key, code in codes.items():
        if key not in found:
            found[key] = _loaded(code, functools.partial(write, key), (key[1],), {})
    return found


def _named(code: bytes, symbol: str, number: int) -> tuple[str, bytes] | None:
    """An object with another name, as long, for its symbol; None if that stands not in one place
    (where names are kept) alone."""
    name = f"{number:0{len(symbol)}d}".replace("0", "o")
    old = symbol.encode()
    if code.count(old) != 1 or len(name) != len(symbol):
        return None
    return name, code.replace(old, name.encode())


def _link_all(named: Mapping[Any, tuple[str, bytes] | None]) -> dict[Any, tuple[Address, ...]]:
    import llvmlite.binding as llvm

    with llvm_lock:
        _unused.clear()
        builder = llvm.JITLibraryBuilder().add_current_process()
        for name, code in filter(None, named.values()):
            builder.add_object_img(code).export_symbol(name)
        tracker = builder.link(_jit(), f"code{next(_serial)}")
        library = Library(tracker)
        _stats["linked"] += len(named)
        return {
            key: (Address(library, int(tracker[n[0]])),)
            for key, n in named.items() if n is not None
        }  # fmt: skip


def _link(code: bytes, symbols: Sequence[str], imports: Mapping[str, int]) -> tuple[Address, ...]:
    import llvmlite.binding as llvm

    with llvm_lock:
        _unused.clear()
        builder = llvm.JITLibraryBuilder().add_object_img(code).add_current_process()
        for symbol in symbols:
            builder.export_symbol(symbol)
        for symbol, address in imports.items():
            builder.import_symbol(symbol, address)
        tracker = builder.link(_jit(), f"code{next(_serial)}")
        library = Library(tracker)
        _stats["linked"] += len(symbols)
        return tuple(Address(library, int(tracker[symbol])) for symbol in symbols)


@functools.cache
def _machine(opt: int) -> Any:
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    host = target.host()
    return llvm.Target.from_triple(host.triple).create_target_machine(
        cpu=host.cpu, features=host.features, opt=opt, reloc="pic", codemodel="jitdefault"
    )


@functools.cache
def _jit() -> Any:
    import llvmlite.binding as llvm

    return llvm.create_lljit_compiler(_machine(OPT_LEVEL))


def _parse(ir_text: str) -> Any:
    import llvmlite.binding as llvm

    try:
        module = llvm.parse_assembly(ir_text)
        module.verify()
    except RuntimeError as error:
        raise CompileError(_explain(str(error), ir_text)) from None
    return module


def _explain(message: str, ir_text: str) -> str:
    """LLVM's message, with the line it speaks of and the lines around it."""
    lines = ir_text.splitlines()
    place = re.search(r"<string>:(\d+):", message)
    number = int(place.group(1)) if place else _line_of_instruction(message, lines)
    if number is None:
        return message.strip()
    shown = [
        f"{'->' if n == number else '  '} {n:5d}  {lines[n - 1]}"
        for n in range(max(1, number - 2), min(len(lines), number + 2) + 1)
    ]
    return "\n".join([message.strip(), *shown])


def _missing(message: str, ir_text: str, symbols: Sequence[str], imports: Mapping[str, int]) -> str:
    """LLVM's message, and the functions that the text declares but nobody defines."""
    import llvmlite.binding as llvm

    declared = re.findall(r"^declare\b[^@]*@([\w.$]+)", ir_text, re.MULTILINE)
    absent = [
        name
        for name in declared
        if not name.startswith("llvm.") and name not in imports and not llvm.address_of_symbol(name)
    ]
    reason = f"nothing defines {', '.join(absent)}; " if absent else ""
    return f"cannot link {', '.join(symbols)}: {reason}LLVM says: {message.strip()}"


def _line_of_instruction(message: str, lines: Sequence[str]) -> int | None:
    """The verifier quotes an instruction, not a line number: look for it in the text."""
    for quoted in message.splitlines():
        words = " ".join(quoted.split())
        for number, line in enumerate(lines, 1):
            if words and words.split(",")[0] in " ".join(line.split()):
                return number
    return None
