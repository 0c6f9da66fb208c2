"""A program of one step on one thread runs without a driver, and as it would with one."""

import ctypes

import pytest

from groundup.runtime import Program, allocate, driver, functions

KERNELS = """
; words: status block, where the code comes from
define void @fail(ptr %a, i64 %t, i64 %n) nounwind {
  %code.at = getelementptr i64, ptr %a, i64 1
  %from = load ptr, ptr %code.at
  %code = load i64, ptr %from
  %status = load ptr, ptr %a
  store i64 %code, ptr %status
  %last = getelementptr i64, ptr %status, i64 7
  store i64 %n, ptr %last
  ret void
}
; words: two doubles and where their product goes
define void @times(ptr %a, i64 %t, i64 %n) nounwind {
  %b = getelementptr i64, ptr %a, i64 1
  %c = getelementptr i64, ptr %a, i64 2
  %to = load ptr, ptr %c
  %x = load double, ptr %a
  %y = load double, ptr %b
  %z = fmul double %x, %y
  store double %z, ptr %to
  ret void
}
declare void @llvm.x86.sse.ldmxcsr(ptr)
declare void @llvm.x86.sse.stmxcsr(ptr)
define void @put(ptr %p) {
  call void @llvm.x86.sse.ldmxcsr(ptr %p)
  ret void
}
define void @get(ptr %p) {
  call void @llvm.x86.sse.stmxcsr(ptr %p)
  ret void
}
"""


def bits(x: float) -> int:
    return ctypes.c_int64.from_buffer(ctypes.c_double(x)).value


@pytest.fixture(autouse=True)
def no_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a fresh process: no driver has been compiled, and none may be unless it must."""

    def refuse() -> int:
        raise AssertionError("the driver was asked for")

    monkeypatch.setattr(driver, "serial_is_there", lambda: False)
    monkeypatch.setattr(driver, "serial_entry", refuse)


@pytest.fixture(scope="module")
def kernels() -> dict[str, int]:
    if not driver.target.host().triple.startswith("x86_64"):
        pytest.skip("reads and sets the control register of x86")
    names = ("fail", "times", "put", "get")
    return dict(zip(names, functions(KERNELS, names), strict=True))


def test_the_status_is_returned_and_cleared_before_the_next_run(kernels: dict[str, int]) -> None:
    code = allocate(8)
    program = Program([(kernels["fail"], [0, code.address], 1)])
    program.words(0)[0] = program.status_address
    code.write("<q", 0, 7)
    assert program.run() == 7
    assert program.status == (7, 0, 0, 0, 0, 0, 0, 1)
    code.write("<q", 0, 0)
    program.words(0)[0] = program.status_address + 8  # word 0 is no longer written
    assert program.run() == 0


def test_a_step_for_all_threads_runs_once_on_one(kernels: dict[str, int]) -> None:
    out = allocate(8)
    program = Program([(kernels["times"], [bits(3.0), bits(0.5), out.address], 0)])
    assert program.run(1) == 0
    assert out.read("<d") == (1.5,)


@pytest.mark.parametrize(
    ("mode", "x", "y"),
    [
        (0x8000, 2.0**-1022, 0.3),  # flushes denormal results
        (0x0040, 2.0**-1074, 2.0**600),  # takes denormal operands for zero
        (0x2000, 1.0 + 2.0**-52, 1.5),  # rounds down
        (0x4000, 1.0 + 2.0**-52, 1.0 + 2.0**-52),  # rounds up
        (0x6000, 1.0 + 2.0**-52, 1.5),  # rounds towards zero
    ],
)
def test_a_thread_in_another_float_mode_gets_the_driver(
    kernels: dict[str, int], mode: int, x: float, y: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(driver, "serial_is_there", lambda: False)
    expected = x * y
    put, get = (ctypes.CFUNCTYPE(None, ctypes.c_void_p)(kernels[n]) for n in ("put", "get"))
    out = allocate(8)
    program = Program([(kernels["times"], [bits(x), bits(y), out.address], 1)])
    driver.serial_entry()
    old, odd = ctypes.c_uint32(), ctypes.c_uint32()
    get(ctypes.addressof(old))
    odd.value = old.value | mode
    put(ctypes.addressof(odd))
    try:
        program.run()
    finally:
        put(ctypes.addressof(old))
    assert out.read("<d") == (expected,)


def test_a_step_that_runs_often_gets_the_driver(
    kernels: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = allocate(8)
    program = Program([(kernels["times"], [bits(3.0), bits(0.5), out.address], 1)])
    for _ in range(50):
        program.run(None)
    with pytest.raises(AssertionError, match="the driver was asked for"):
        program.run(None)
    monkeypatch.undo()
    for _ in range(3):
        out.write("<d", 0, 0.0)
        program.run(None)
        assert out.read("<d") == (1.5,)
