"""The driver, in LLVM IR: it walks a program's table of steps, alone or with the pool's threads. It
must not know what the steps compute.

A step for several threads is cut into chunks, some for each thread. A thread takes its own chunks
first, since what they touch is in its cache, then those that others have not come to: a thread that
is late, or loses its processor to another process, holds up nobody but for the chunk it is in.
Whoever finishes a step's last chunk opens the next step. A step calls `kernel(arguments,
chunk, chunks)`.

Layout of the pool's block, in bytes; what different threads write lies on lines of its own (two
cache lines apart, since processors fetch lines in pairs):

      0  current     2 s + 1 while step s is open (counted over all runs), 2 s when none is;
         at 8 steps 0, 2, 4, …: function, arguments, threads << 32 | chunks a thread; at 32 the
         others. Whoever sees that a step is open so has what there is to know of it
    128  of the run: its next step, the end of its table
    256  done        chunks of the open step that are finished
    384  sleepers    at least as many as there are flags that say asleep
    512  of the run: threads
    640  spins, yields, idle yields: how long to pause, then to yield, before sleeping
    768 + 128 t      thread t: asleep flag (i32), sleep handle, pool, t; at 64 its claims:
                     s << 16 | chunks taken of its share of step s

Layout of a program's header: steps, table, status block, pool, threads. A step in the table:
function, arguments, threads (0: all), chunks a thread."""

from __future__ import annotations

import functools

from . import code, system, target


@functools.cache
def serial_entry() -> int:
    """The address of `i64 run(ptr header)` for one thread."""
    return code.function(_float_mode_ir() + _STATUS + _SERIAL, "run_serial", opt=0)


def serial_is_there() -> bool:
    """Has this process the driver for one thread already?"""
    return serial_entry.cache_info().currsize > 0


@functools.cache
def entry_points() -> tuple[int, int]:
    """The addresses of `i64 run(ptr header)` for several threads, and of the worker's loop."""
    host = system.current()
    text = _float_mode_ir() + _pause_ir() + host.wait_ir + _WAIT + _STATUS + _PARALLEL
    # It calls, waits and counts: code generated at level 0 runs as fast, and is there in a third
    # of the time when a process with an empty cache asks for its first result.
    run, worker = code.functions(
        text, ("run_parallel", "worker"), imports=host.wait_imports(), opt=0
    )
    return run, worker


def _pause_ir() -> str:
    """IR of `pause`, the processor's hint that a loop waits for another processor."""
    triple = target.host().triple
    if triple.startswith("x86_64"):
        name, call = "llvm.x86.sse2.pause", "call void @llvm.x86.sse2.pause()"
        declare = f"declare void @{name}()"
    elif triple.startswith(("aarch64", "arm64")):
        declare = "declare void @llvm.aarch64.hint(i32)"
        call = "call void @llvm.aarch64.hint(i32 1)"
    else:
        declare = call = ""
    return f"{declare}\ndefine internal void @pause() nounwind {{\n  {call}\n  ret void\n}}"


def _float_mode_ir() -> str:
    """IR of `enter_float_mode` and `leave_float_mode`: round to nearest, keep denormals.

    Libraries built with -ffast-math make the thread that loads them flush denormals to zero; the
    bits of a result must not depend on that, nor on which thread computed it.
    """
    triple = target.host().triple
    if triple.startswith("x86_64"):
        return """
declare void @llvm.x86.sse.stmxcsr(ptr)
declare void @llvm.x86.sse.ldmxcsr(ptr)
define internal i64 @enter_float_mode() nounwind {
  %old = alloca i64
  %new = alloca i32
  store i64 0, ptr %old
  call void @llvm.x86.sse.stmxcsr(ptr %old)
  store i32 8064, ptr %new           ; 0x1f80: all exceptions masked, nothing flushed
  call void @llvm.x86.sse.ldmxcsr(ptr %new)
  %r = load i64, ptr %old
  ret i64 %r
}
define internal void @leave_float_mode(i64 %mode) nounwind {
  %old = alloca i64
  store i64 %mode, ptr %old
  call void @llvm.x86.sse.ldmxcsr(ptr %old)
  ret void
}
"""
    if triple.startswith(("aarch64", "arm64")):
        return """
declare i64 @llvm.aarch64.get.fpcr()
declare void @llvm.aarch64.set.fpcr(i64)
define internal i64 @enter_float_mode() nounwind {
  %r = call i64 @llvm.aarch64.get.fpcr()
  call void @llvm.aarch64.set.fpcr(i64 0)
  ret i64 %r
}
define internal void @leave_float_mode(i64 %mode) nounwind {
  call void @llvm.aarch64.set.fpcr(i64 %mode)
  ret void
}
"""
    return """
define internal i64 @enter_float_mode() nounwind {
  ret i64 0
}
define internal void @leave_float_mode(i64 %mode) nounwind {
  ret void
}
"""


_STATUS = """
define internal void @clear_status(ptr %program) nounwind {
entry:
  %status.at = getelementptr i64, ptr %program, i64 2
  %status = load ptr, ptr %status.at
  %word = load i64, ptr %status
  %dirty = icmp ne i64 %word, 0
  br i1 %dirty, label %clear, label %done
clear:
  store <8 x i64> zeroinitializer, ptr %status, align 8
  br label %done
done:
  ret void
}
define internal i64 @first_status(ptr %program) nounwind {
  %status.at = getelementptr i64, ptr %program, i64 2
  %status = load ptr, ptr %status.at
  %word = load i64, ptr %status
  ret i64 %word
}
"""

_SERIAL = """
define i64 @run_serial(ptr %program) nounwind {
entry:
  %mode = call i64 @enter_float_mode()
  call void @clear_status(ptr %program)
  %steps = load i64, ptr %program
  %table.at = getelementptr i64, ptr %program, i64 1
  %table = load ptr, ptr %table.at
  %end = getelementptr [4 x i64], ptr %table, i64 %steps
  br label %next
next:
  %step = phi ptr [%table, %entry], [%step.next, %call]
  %over = icmp eq ptr %step, %end
  br i1 %over, label %done, label %call
call:
  %arguments.at = getelementptr i64, ptr %step, i64 1
  %function = load ptr, ptr %step
  %arguments = load ptr, ptr %arguments.at
  call void %function(ptr %arguments, i64 0, i64 1)
  %step.next = getelementptr [4 x i64], ptr %step, i64 1
  br label %next
done:
  call void @leave_float_mode(i64 %mode)
  %code = call i64 @first_status(ptr %program)
  ret i64 %code
}
"""

_WAIT = """
declare i64 @llvm.smin.i64(i64, i64)
define internal ptr @line_of(ptr %pool, i64 %t) nounwind {
  %offset = mul i64 %t, 128
  %start = add i64 %offset, 768
  %line = getelementptr i8, ptr %pool, i64 %start
  ret ptr %line
}
; Let thread %t wait until the pool's current word is no longer %now.
define internal void @wait(ptr %pool, i64 %t, i64 %now, ptr %patience) nounwind {
entry:
  %spins.at = getelementptr i8, ptr %pool, i64 640
  %spins = load i64, ptr %spins.at
  %yields = load i64, ptr %patience
  %limit = add i64 %spins, %yields
  br label %look
look:
  %k = phi i64 [0, %entry], [%k.next, %spin], [%k.next, %yield]
  %k.next = add i64 %k, 1
  %is = load atomic i64, ptr %pool acquire, align 8
  %news = icmp ne i64 %is, %now
  br i1 %news, label %done, label %busy
busy:
  %patient = icmp slt i64 %k, %spins
  br i1 %patient, label %spin, label %late
spin:
  call void @pause()
  br label %look
late:
  %awake = icmp slt i64 %k, %limit
  br i1 %awake, label %yield, label %tired
yield:
  %r = call i32 @yield_processor()
  br label %look
; A thread first says that it sleeps and then looks again; who changes the word does the opposite:
; whatever the order, one of the two sees the other. It is counted before its flag is up, and no
; longer only once it is down: whoever finds a flag up has found a count above 0.
tired:
  %line = call ptr @line_of(ptr %pool, i64 %t)
  %handle.at = getelementptr i8, ptr %line, i64 8
  %handle = load ptr, ptr %handle.at
  %sleepers = getelementptr i8, ptr %pool, i64 384
  %x = atomicrmw add ptr %sleepers, i64 1 seq_cst
  %y = atomicrmw xchg ptr %line, i32 1 seq_cst
  %again = load atomic i64, ptr %pool seq_cst, align 8
  %quiet = icmp eq i64 %again, %now
  br i1 %quiet, label %rest, label %recheck
recheck:                             ; take the flag back, unless a waker has: then it wakes us
  %pair = cmpxchg ptr %line, i32 1, i32 0 seq_cst seq_cst
  %back = extractvalue {i32, i1} %pair, 1
  br i1 %back, label %stay, label %rest
stay:
  %z = atomicrmw sub ptr %sleepers, i64 1 seq_cst
  ret void
rest:
  call void @sleep(ptr %line, ptr %handle)
  ret void
done:
  ret void
}
; Wake those of the first %threads threads who sleep.
define internal void @rouse(ptr %pool, i64 %threads) nounwind {
entry:
  %sleepers.at = getelementptr i8, ptr %pool, i64 384
  %sleepers = load atomic i64, ptr %sleepers.at seq_cst, align 8
  %none = icmp eq i64 %sleepers, 0
  br i1 %none, label %done, label %next
next:
  %t = phi i64 [0, %entry], [%t.next, %look], [%t.next, %take], [%t.next, %wake]
  %t.next = add i64 %t, 1
  %over = icmp sge i64 %t, %threads
  br i1 %over, label %done, label %look
look:
  %line = call ptr @line_of(ptr %pool, i64 %t)
  %asleep = load atomic i32, ptr %line seq_cst, align 4
  %sleeps = icmp eq i32 %asleep, 1
  br i1 %sleeps, label %take, label %next
take:
  %pair = cmpxchg ptr %line, i32 1, i32 0 seq_cst seq_cst
  %taken = extractvalue {i32, i1} %pair, 1
  br i1 %taken, label %wake, label %next
wake:
  %fewer = atomicrmw sub ptr %sleepers.at, i64 1 seq_cst
  %handle.at = getelementptr i8, ptr %line, i64 8
  %handle = load ptr, ptr %handle.at
  call void @wake(ptr %line, ptr %handle)
  br label %next
done:
  ret void
}
"""

_PARALLEL = """
; Where the step of the current word %now is written.
define internal ptr @place_of(ptr %pool, i64 %now) nounwind {
  %half = lshr i64 %now, 1
  %odd = and i64 %half, 1
  %offset = mul i64 %odd, 24
  %start = add i64 %offset, 8
  %place = getelementptr i8, ptr %pool, i64 %start
  ret ptr %place
}
; No step is open, and only the caller may open one: run the steps for one thread that come next,
; then open the first for several, or end the run.
define internal void @advance(ptr %pool) nounwind {
entry:
  %step.at = getelementptr i8, ptr %pool, i64 128
  %end.at = getelementptr i8, ptr %pool, i64 136
  %end = load ptr, ptr %end.at
  %first = load ptr, ptr %step.at
  %now = load atomic i64, ptr %pool monotonic, align 8
  br label %next
next:
  %step = phi ptr [%first, %entry], [%step.next, %alone]
  %over = icmp eq ptr %step, %end
  br i1 %over, label %finish, label %look
look:
  %step.next = getelementptr [4 x i64], ptr %step, i64 1
  %function = load ptr, ptr %step
  %arguments.at = getelementptr i64, ptr %step, i64 1
  %arguments = load ptr, ptr %arguments.at
  %wanted.at = getelementptr i64, ptr %step, i64 2
  %wanted = load i64, ptr %wanted.at
  %one = icmp eq i64 %wanted, 1
  br i1 %one, label %alone, label %open
alone:
  call void %function(ptr %arguments, i64 0, i64 1)
  br label %next
open:
  store ptr %step.next, ptr %step.at
  %chunks.at = getelementptr i64, ptr %step, i64 3
  %chunks = load i64, ptr %chunks.at
  %threads.at = getelementptr i8, ptr %pool, i64 512
  %threads = load atomic i64, ptr %threads.at monotonic, align 8
  %all = icmp eq i64 %wanted, 0
  %least = call i64 @llvm.smin.i64(i64 %wanted, i64 %threads)
  %team = select i1 %all, i64 %threads, i64 %least
  %odd = or i64 %now, 1
  %later = add i64 %odd, 2
  %a = call ptr @place_of(ptr %pool, i64 %later)
  %b = getelementptr i64, ptr %a, i64 1
  %c = getelementptr i64, ptr %a, i64 2
  %done.at = getelementptr i8, ptr %pool, i64 256
  %team.high = shl i64 %team, 32
  %shares = or i64 %team.high, %chunks
  store atomic ptr %function, ptr %a release, align 8
  store atomic ptr %arguments, ptr %b release, align 8
  store atomic i64 %shares, ptr %c release, align 8
  store atomic i64 0, ptr %done.at release, align 8
  %x = atomicrmw xchg ptr %pool, i64 %later seq_cst
  call void @rouse(ptr %pool, i64 %team)
  ret void
finish:
  %closed = add i64 %now, 1
  %even = and i64 %closed, -2
  %y = atomicrmw xchg ptr %pool, i64 %even seq_cst
  call void @rouse(ptr %pool, i64 1)
  ret void
}

; Let thread %t do what there is for it to do in the open step %now. A step is written over another
; than the one before it, so not while that is open: what was read is of step %now if it is open
; still. Later it may be over: then all its chunks are claimed, and a claim of them finds none.
define internal void @take_part(ptr %pool, i64 %t, i64 %now) nounwind {
entry:
  %a = call ptr @place_of(ptr %pool, i64 %now)
  %b = getelementptr i64, ptr %a, i64 1
  %c = getelementptr i64, ptr %a, i64 2
  %function = load atomic ptr, ptr %a acquire, align 8
  %arguments = load atomic ptr, ptr %b acquire, align 8
  %shares = load atomic i64, ptr %c acquire, align 8
  %still = load atomic i64, ptr %pool acquire, align 8
  %team = lshr i64 %shares, 32
  %chunks = and i64 %shares, 4294967295
  %same = icmp eq i64 %still, %now
  %member = icmp slt i64 %t, %team
  %go = and i1 %same, %member
  br i1 %go, label %begin, label %done
begin:
  %step = lshr i64 %now, 1
  %mark = shl i64 %step, 16
  %total = mul i64 %team, %chunks
  %done.at = getelementptr i8, ptr %pool, i64 256
  %spins.at = getelementptr i8, ptr %pool, i64 640
  %spins = load i64, ptr %spins.at
  br label %visit
visit:                               ; %v: whose chunks; %k: how many threads have been visited
  %v = phi i64 [%t, %begin], [%v.next, %other]
  %k = phi i64 [0, %begin], [%k.next, %other]
  %line = call ptr @line_of(ptr %pool, i64 %v)
  %claims = getelementptr i8, ptr %line, i64 64
  %base = mul i64 %v, %chunks
  br label %claim
claim:
  %count = phi i64 [0, %visit], [%count, %try], [%count.next, %run]
  %word = load atomic i64, ptr %claims acquire, align 8
  %newer = icmp ult i64 %word, %mark
  %taken.now = sub i64 %word, %mark
  %taken = select i1 %newer, i64 0, i64 %taken.now
  %some = icmp ult i64 %taken, %chunks
  br i1 %some, label %try, label %report
try:
  %taken.next = add i64 %taken, 1
  %word.next = or i64 %mark, %taken.next
  %pair = cmpxchg ptr %claims, i64 %word, i64 %word.next acq_rel acquire
  %mine = extractvalue {i64, i1} %pair, 1
  br i1 %mine, label %run, label %claim
run:
  %chunk = add i64 %base, %taken
  call void %function(ptr %arguments, i64 %chunk, i64 %total)
  %count.next = add i64 %count, 1
  br label %claim
report:
  %idle = icmp eq i64 %count, 0
  br i1 %idle, label %other, label %add
add:
  %before = atomicrmw add ptr %done.at, i64 %count acq_rel
  %finished = add i64 %before, %count
  %last = icmp eq i64 %finished, %total
  br i1 %last, label %further, label %linger
linger:                              ; others are about to finish: to look at their claims would
  %n = phi i64 [0, %add], [%n.next, %pause] ; take these out of their caches
  %is = load atomic i64, ptr %pool acquire, align 8
  %over = icmp ne i64 %is, %now
  br i1 %over, label %done, label %patient
patient:
  %soon = icmp slt i64 %n, %spins
  br i1 %soon, label %pause, label %other
pause:
  call void @pause()
  %n.next = add i64 %n, 1
  br label %linger
other:
  %v.up = add i64 %v, 1
  %wrap = icmp eq i64 %v.up, %team
  %v.next = select i1 %wrap, i64 0, i64 %v.up
  %k.next = add i64 %k, 1
  %all = icmp eq i64 %k.next, %team
  br i1 %all, label %done, label %visit
further:
  call void @advance(ptr %pool)
  br label %done
done:
  ret void
}

define i64 @run_parallel(ptr %program) nounwind {
entry:
  %mode = call i64 @enter_float_mode()
  call void @clear_status(ptr %program)
  %steps = load i64, ptr %program
  %table.at = getelementptr i64, ptr %program, i64 1
  %table = load ptr, ptr %table.at
  %end = getelementptr [4 x i64], ptr %table, i64 %steps
  %pool.at = getelementptr i64, ptr %program, i64 3
  %pool = load ptr, ptr %pool.at
  %wanted.at = getelementptr i64, ptr %program, i64 4
  %wanted = load i64, ptr %wanted.at
  %threads.at = getelementptr i8, ptr %pool, i64 512
  %step.at = getelementptr i8, ptr %pool, i64 128
  %end.at = getelementptr i8, ptr %pool, i64 136
  %patience = getelementptr i8, ptr %pool, i64 648
  store atomic i64 %wanted, ptr %threads.at monotonic, align 8
  store ptr %table, ptr %step.at
  store ptr %end, ptr %end.at
  call void @advance(ptr %pool)
  br label %look
look:
  %now = load atomic i64, ptr %pool acquire, align 8
  %odd = and i64 %now, 1
  %over = icmp eq i64 %odd, 0
  br i1 %over, label %done, label %work
work:
  call void @take_part(ptr %pool, i64 0, i64 %now)
  call void @wait(ptr %pool, i64 0, i64 %now, ptr %patience)
  br label %look
done:
  call void @leave_float_mode(i64 %mode)
  %code = call i64 @first_status(ptr %program)
  ret i64 %code
}

define ptr @worker(ptr %line) nounwind {
entry:
  %mode = call i64 @enter_float_mode()
  %pool.at = getelementptr i8, ptr %line, i64 16
  %tid.at = getelementptr i8, ptr %line, i64 24
  %pool = load ptr, ptr %pool.at
  %tid = load i64, ptr %tid.at
  %threads.at = getelementptr i8, ptr %pool, i64 512
  %idle.patience = getelementptr i8, ptr %pool, i64 656
  %none = alloca i64
  store i64 0, ptr %none
  br label %look
look:
  %now = load atomic i64, ptr %pool acquire, align 8
  %threads = load atomic i64, ptr %threads.at monotonic, align 8
  %mine = icmp slt i64 %tid, %threads
  %patience = select i1 %mine, ptr %idle.patience, ptr %none
  %odd = trunc i64 %now to i1
  br i1 %odd, label %work, label %rest
work:
  call void @take_part(ptr %pool, i64 %tid, i64 %now)
  br label %rest
rest:
  call void @wait(ptr %pool, i64 %tid, i64 %now, ptr %patience)
  br label %look
}
"""
