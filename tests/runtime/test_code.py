"""Machine code: compiled once, loaded from the cache, and clear errors for wrong IR."""

from __future__ import annotations

import ctypes
import gc
import weakref

import pytest

from groundup.runtime import CompileError, Program, allocate, cache, code, target


def answer(value: int) -> str:
    return f"define i64 @answer() nounwind {{\n  ret i64 {value}\n}}\n"


def call(address: int | code.Address) -> int:
    return int(ctypes.CFUNCTYPE(ctypes.c_int64)(int(address))())


def test_compiled_once_in_a_process_and_then_from_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    text = answer(1001)
    before = code.stats()
    first = code.function(text, "answer")
    assert call(first) == 1001
    assert code.function(str(text), "answer") == first
    assert code.stats()["compiled"] == before["compiled"] + 1
    assert code.stats()["compile_seconds"] > before["compile_seconds"]

    monkeypatch.setattr(code, "_memo", {})  # as in the next process
    assert call(code.function(text, "answer")) == 1001
    assert code.stats()["compiled"] == before["compiled"] + 1
    assert code.stats()["loaded_from_cache"] == before["loaded_from_cache"] + 1


def test_equal_symbols_of_different_texts_are_different_functions() -> None:
    addresses = [code.function(answer(value), "answer") for value in (5, 6)]
    assert [call(address) for address in addresses] == [5, 6]


def test_many_functions_are_named_by_what_determines_them(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[int] = []

    def source(n: int) -> code.Source:
        return code.Source(f"answer {n}", lambda: written.append(n) or answer(n), "answer")  # type: ignore[func-returns-value]

    assert code.all_functions([]) == []
    numbers = [7, 8, 7, 9]
    found = code.all_functions([source(n) for n in numbers])
    assert [call(a) for a in found] == numbers and found[0] == found[2]
    assert sorted(written) == [7, 8, 9]  # each once
    assert code.all_functions([source(9), source(7)]) == [found[3], found[0]]
    monkeypatch.setattr(code, "_alive", weakref.WeakValueDictionary())
    assert [call(a) for a in code.all_functions([source(n) for n in numbers])] == numbers
    assert sorted(written) == [7, 8, 9]  # what is on the disk is not written


def test_imports_reach_python() -> None:
    seen: list[int] = []
    callback = ctypes.CFUNCTYPE(None, ctypes.c_int64)(seen.append)
    text = (
        "declare void @tell(i64)\n"
        "define i64 @answer() {\n  call void @tell(i64 3)\n  ret i64 0\n}\n"
    )
    address = ctypes.cast(callback, ctypes.c_void_p).value
    assert address is not None
    call(code.function(text, "answer", imports={"tell": address}))
    assert seen == [3]


def test_several_functions_of_one_text() -> None:
    text = answer(8) + answer(9).replace("@answer", "@other")
    first, second = code.functions(text, ("answer", "other"))
    assert (call(first), call(second)) == (8, 9)


def test_the_process_math_library_is_in_reach() -> None:
    text = (
        "declare double @exp(double)\n"
        "define double @e(double %x) {\n"
        "  %y = call double @exp(double %x)\n  ret double %y\n}\n"
    )
    exp = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double)(code.function(text, "e"))
    assert exp(1.0) == pytest.approx(2.718281828459045, rel=1e-15)


def test_a_syntax_error_shows_its_line() -> None:
    with pytest.raises(CompileError, match=r"(?s)error.*->     2    %x = frobnicate i64 1"):
        code.function("define i64 @f() {\n  %x = frobnicate i64 1\n  ret i64 %x\n}\n", "f")


def test_a_verifier_error_shows_its_line() -> None:
    text = (
        "define i64 @f(i1 %c) {\nentry:\n  br i1 %c, label %a, label %b\n"
        "a:\n  %x = add i64 1, 2\n  br label %b\nb:\n  %y = add i64 %x, 3\n  ret i64 %y\n}\n"
    )
    with pytest.raises(CompileError, match=r"(?s)dominate.*-> +\d+    %[xy] = add"):
        code.function(text, "f")


def test_a_missing_function_is_named() -> None:
    text = (
        "declare i64 @nowhere()\ndefine i64 @f() {\n  %x = call i64 @nowhere()\n  ret i64 %x\n}\n"
    )
    with pytest.raises(CompileError, match="nowhere"):
        code.function(text, "f")
    with pytest.raises(CompileError, match="absent"):
        code.function(answer(10), "absent")


def test_assembly_and_object() -> None:
    assert "answer:" in code.assembly(answer(11))
    assert code.compile_object(answer(11))[:4] == b"\x7fELF"


def test_the_host_is_described() -> None:
    host = target.host()
    assert host.vector_bits in (128, 256, 512)
    assert host.cpu and host.triple and host.cpu in host.key
    assert host.has("avx512f") == (host.vector_bits == 512)


@pytest.mark.parametrize(
    ("cpu", "bits", "fma", "features"),
    [("x86-64", 128, False, ""), ("ivybridge", 256, False, "+f16c"),
     ("haswell", 256, True, "+f16c")],
)  # fmt: skip
def test_a_forced_cpu(
    monkeypatch: pytest.MonkeyPatch, cpu: str, bits: int, fma: bool, features: str
) -> None:
    if not target.host().has("avx2"):
        pytest.skip("this machine cannot run haswell's code")
    monkeypatch.setenv("GROUNDUP_CPU", cpu)
    forced = target.host.__wrapped__()
    assert forced[1:5] == (cpu, features, bits, fma)
    assert forced.has("f16c") == bool(features)
    assert forced.key != target.host().key


def test_a_forced_cpu_beyond_this_machine_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROUNDUP_CPU", "haswell")
    small = target.host.__wrapped__()._replace(vector_bits=128)
    monkeypatch.setattr(target, "_probe", lambda triple, cpu: (1024, True, ""))
    assert small.vector_bits == 128
    with pytest.raises(ValueError, match="would not run here"):
        target.host.__wrapped__()


def test_importing_the_runtime_does_not_load_llvm(python) -> None:  # type: ignore[no-untyped-def]
    done = python(
        "import sys, groundup.runtime as r\n"
        "r.allocate(100); r.get_num_threads()\n"
        "print('llvmlite.binding' in sys.modules, 'numpy' in sys.modules)"
    )
    assert done.stdout.split() == ["False", "False"]


def test_uncached_code_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROUNDUP_CACHE", "off")
    assert cache.directory() is None
    assert call(code.function(answer(12), "answer")) == 12


def test_code_is_unloaded_that_nobody_can_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of all that was ever loaded, what is held and the latest stay; the rest is found on disk."""
    monkeypatch.setattr(code, "LATEST", 3)
    monkeypatch.setattr(code, "_latest", {})

    def one(n: int) -> code.Address:
        (address,) = code.all_functions([code.Source(answer(n), lambda: answer(n), "answer")])
        return address

    held = one(3000)
    libraries = [weakref.ref(one(3000 + n)._library) for n in range(1, 10)]
    gc.collect()
    assert [ref() is not None for ref in libraries] == [False] * 6 + [True] * 3
    assert call(held) == 3000
    compiled = code.stats()["compiled"]
    assert [call(one(3000 + n)) for n in range(10)] == list(range(3000, 3010))
    assert code.stats()["compiled"] == compiled
    assert len(code._unused) <= 1  # LLVM is told when it loads the next


def test_a_program_keeps_its_code() -> None:
    text = """define void @store(ptr %args, i64 %chunk, i64 %chunks) {
  %target = load ptr, ptr %args
  store i64 77, ptr %target
  ret void
}"""
    (address,) = code.all_functions([code.Source(text, lambda: text, "store")])
    library = weakref.ref(address._library)
    buffer = allocate(8)
    program = Program([(address, [buffer.address], 1)])
    del address
    code._latest.clear()
    gc.collect()
    assert library() is not None
    program.run()
    assert buffer.read("<q") == (77,)
    del program
    gc.collect()
    assert library() is None
