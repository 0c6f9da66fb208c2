"""A process that is copied after threads have started: the child computes, compiles and captures,
and never waits for a thread that it does not have."""

from __future__ import annotations

import os

import pytest

from .support import run

if not hasattr(os, "fork"):
    pytest.skip("this system cannot copy a process", allow_module_level=True)

PREAMBLE = """
import os, signal, threading, time
import groundup as gu

gu.set_num_threads(2)
model = gu.nn.Linear(64, 64)
optimizer = gu.optim.SGD(model.parameters(), lr=0.1)


def step(x):
    optimizer.zero_grad()
    loss = (model(x) ** 2).mean()
    loss.backward()
    optimizer.step()
    return loss


fast = gu.jit(step)
x = gu.randn(512, 64)
for _ in range(3):
    fast(x).item()


def child(work):
    pid = os.fork()
    if pid == 0:
        try:
            signal.alarm(40)
            work()
            os._exit(7)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7


def everything():
    fast(x).item()
    step(x).item()
    y = gu.randn(30, 31)
    (y @ y.T).sum().item()  # to be compiled
    f = gu.jit(lambda a: (a * 3 + 1).sum())
    assert f(gu.ones(2)).item() == f(gu.ones(2)).item() == 8
    (gu.randn(500, 500) * 2).sum().item()


"""


def test_the_child_computes_compiles_and_captures() -> None:
    run(PREAMBLE + "child(everything)\nchild(everything)\neverything()")


def test_while_other_threads_compute_capture_and_derive() -> None:
    run(PREAMBLE + """
stop = False


def computing():
    while not stop:
        y = gu.randn(100, 101)
        (y @ y.T).sum().item()


def capturing():
    while not stop:
        n = [time.time()]
        f = gu.jit(lambda a: (a * n[0]).sum())
        f(x), f(x)


def deriving():
    w = gu.randn(10, requires_grad=True)
    while not stop:
        (w * 2).sum().backward()


threads = [threading.Thread(target=t) for t in (computing, capturing, deriving)]
for t in threads:
    t.start()
try:
    for i in range(6):
        time.sleep(0.013 * i)
        child(everything)
finally:
    stop = True
for t in threads:
    t.join()
""")


def test_a_pool_of_processes_and_a_fork_inside_a_captured_function() -> None:
    run(PREAMBLE + """
import multiprocessing


def work(i):
    y = gu.ones(50, 50)
    return (y @ y).sum().item() + i


with multiprocessing.get_context("fork").Pool(2) as pool:
    assert pool.map(work, range(4)) == [125000.0 + i for i in range(4)]


@gu.jit
def f(a):
    child(lambda: None)
    return a * 2


assert f(x).shape == x.shape
""")
