"""Many short programs on more threads than there are processors, for a few seconds: each chunk
once, in order, and no run that never ends. It runs in a process of its own, which may be ended."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import pytest

SOURCE = """
import random, sys, time
from groundup.runtime import Program, allocate, functions, program as programs

KERNELS = '''
; words: in, out, number of elements, turns: out[i] = in[i + 1] + 1 for a share of the elements
define void @rotate(ptr %a, i64 %chunk, i64 %chunks) nounwind {
entry:
  %out.at = getelementptr i64, ptr %a, i64 1
  %n.at = getelementptr i64, ptr %a, i64 2
  %turns.at = getelementptr i64, ptr %a, i64 3
  %in = load ptr, ptr %a
  %out = load ptr, ptr %out.at
  %n = load i64, ptr %n.at
  %turns = load i64, ptr %turns.at
  %lo.n = mul i64 %n, %chunk
  %lo = udiv i64 %lo.n, %chunks
  %chunk1 = add i64 %chunk, 1
  %hi.n = mul i64 %n, %chunk1
  %hi = udiv i64 %hi.n, %chunks
  br label %dawdle
dawdle:
  %k = phi i64 [0, %entry], [%k.next, %dawdle]
  %seen = load volatile i64, ptr %a
  %k.next = add i64 %k, 1
  %wait = icmp slt i64 %k.next, %turns
  br i1 %wait, label %dawdle, label %look
look:
  %i = phi i64 [%lo, %dawdle], [%i.next, %body]
  %more = icmp slt i64 %i, %hi
  br i1 %more, label %body, label %done
body:
  %i.next = add i64 %i, 1
  %there = urem i64 %i.next, %n
  %from = getelementptr i64, ptr %in, i64 %there
  %x = load i64, ptr %from
  %y = add i64 %x, 1
  %to = getelementptr i64, ptr %out, i64 %i
  store i64 %y, ptr %to
  br label %look
done:
  ret void
}
'''
rotate, = functions(KERNELS, ("rotate",))
seconds, seed = float(sys.argv[1]), int(sys.argv[2])
rng = random.Random(seed)
N = 97
first, second = allocate(8 * N), allocate(8 * N)
end = time.monotonic() + seconds
runs = 0
while time.monotonic() < end:
    programs.CHUNKS = rng.choice((1, 2, 4, 7))
    count = 2 * rng.randrange(1, 40)
    steps = []
    for i in range(count):
        to = (first, second) if i % 2 == 0 else (second, first)
        turns = rng.choice((0, 0, 0, 0, 100, 3000))
        limit = rng.choice((0, 0, 0, 1, 2, 3, 1024))
        steps.append((rotate, [to[0].address, to[1].address, N, turns], limit))
    program = Program(steps)
    for threads in rng.sample((1, 2, 3, 8, 16), 3):
        first.write(f"<{N}q", 0, *range(N))
        program.run(threads)
        want = tuple((i + count) % N + count for i in range(N))
        assert first.read(f"<{N}q") == want, (threads, runs)
        runs += 1
        if rng.random() < 0.05:
            time.sleep(0.02)  # they go to sleep
print(runs)
"""


@pytest.mark.parametrize("system", ["linux", "portable"])
def test_many_programs(
    python: Callable[..., subprocess.CompletedProcess[str]], system: str
) -> None:
    done = python(f"import sys; sys.argv[1:] = ['2', '1']\n{SOURCE}", GROUNDUP_SYSTEM=system)
    assert int(done.stdout) >= 3
