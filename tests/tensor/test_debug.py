"""gu.debug(): every kernel is a Python function in a file, that pdb and a traceback can enter."""

import os
import re
import subprocess
import sys
import traceback
from pathlib import Path

import pytest

import groundup as gu
from groundup.emit import python_files
from groundup.emit.python import source
from groundup.ir.names import derive, names_of

ROOT = Path(gu.__file__).parents[1]


def files(folder: str) -> list[str]:
    return [f.read_text() for f in sorted(Path(folder).iterdir())]


def test_each_kernel_has_a_file_with_the_users_axes_and_line(tmp_path: Path) -> None:
    row, col, k = gu.axes("row col k")
    a, b = gu.arange(12).float().reshape(4, 3), gu.ones(3, 2)
    for _ in range(2):  # the second is filled into the form of the first
        with gu.debug(tmp_path) as folder:
            c = (a[row, k] * b[k, col]).sum(k).order(row, col)  # here
            assert c.tolist() == [[3.0, 3.0], [12.0, 12.0], [21.0, 21.0], [30.0, 30.0]]
    text = next(t for t in files(folder) if "for row" in t)
    for part in ("for row in range(4):", "for col in range(2):", "for k in range(3):", "# here"):
        assert part in text
    assert f"of {__file__}" in text


def test_names_that_python_cannot_take_are_replaced() -> None:
    a = gu.ones(2, 3)
    x, y = gu.axis("lambda"), gu.axis("t1")
    text = source((a[x, y] + 1).order(y, x).node)
    assert "for lambda_ in range(2)" in text and "for t1 " not in text
    same = gu.axis("A")
    other = gu.axis("range")
    text = source((a[same, other] + 1.5).order(same, other).node)
    assert "for A_2 in range(2)" in text and "for range_2 in range(3)" in text


def test_an_axis_that_is_reduced_inside_its_own_loop_has_two_names() -> None:
    i, j = gu.axes("i j")
    a = gu.tensor([[1.0, 5.0], [7.0, 2.0]])
    y = (a[i, j] - a[i, j].max(j)).order(i, j)
    assert "for j_2 in range(2)" in source(y.node)
    with gu.debug():
        assert y.tolist() == [[-4.0, 0.0], [0.0, -5.0]]


def test_sums_over_different_axes_beside_each_other_keep_no_wrong_name() -> None:
    i, k, m = gu.axes("i k m")
    a, b = gu.ones(2, 3), gu.ones(2, 5)
    y = (a[i, k].sum(k) * b[i, m].sum(m)).order(i)
    assert "for m in range(3)" not in source(y.node)
    with gu.debug():
        assert y.tolist() == [15.0, 15.0]


def loops_of(text: str) -> list[str]:
    """The loops of a generated function, outer ones first: "for row in range(5)"."""
    return [x.strip().rstrip(":") for x in text.splitlines() if x.strip().startswith("for ")]


def test_the_sums_of_derivatives_have_the_names_of_the_forward_axes() -> None:
    row, col, term = gu.axes("row col term")
    a, b = gu.randn(5, 4).realize(), gu.randn(4, 3).realize()

    def product(a: gu.Tensor, b: gu.Tensor) -> gu.Tensor:
        return (a[row, term] * b[term, col]).sum(term).order(row, col)

    # Of the sum of all elements no derivative reads the product: its names are known all the same.
    by_a = gu.grad(lambda x: product(x, b).sum())(a)
    by_b = gu.grad(lambda x: (product(a, x) ** 2).sum())(b)
    for found, outs, inner in (
        (by_a, ("row in range(5)", "term in range(4)"), "col in range(3)"),
        (by_b, ("term in range(4)", "col in range(3)"), "row in range(5)"),
    ):
        assert loops_of(source(found.node))[-3:] == [f"for {x}" for x in (*outs, inner)]
    with gu.debug():  # the names change nothing
        assert gu.allclose(by_a, gu.ones(5, 3) @ b.mT)


def test_a_derivative_of_a_derivative_has_them_too() -> None:
    i, j, k = gu.axes("point other feature")

    def energy(x: gu.Tensor) -> gu.Tensor:
        return ((x[i, k] * x[j, k]).sum(k).order(i, j) ** 3).sum()

    x = gu.randn(5, 2).realize()
    twice = gu.grad(lambda x: (gu.grad(energy)(x) ** 2).sum())(x)
    with gu.debug() as folder:
        twice.realize()
        summed = [f for f in files(folder) if "for feature" in f and "for other" in f]
    assert len(summed) >= 3 and not any(re.search(r"for r\d", f) for f in summed)


def test_loops_that_are_derivatives_of_each_other_have_names_without_end() -> None:
    """Equal loops are one node, so this can be: each would wait for the names of the other."""
    x, z = gu.randn(3, 2).realize(), gu.randn(3, 2).realize()
    y, g = (-x).node, (-z).node
    derive(g, y, x.node, x.node)
    derive(y, g, x.node, x.node)
    assert not any(names_of(y)[0]) and not any(names_of(g)[0])
    assert "for i in range(3)" in source(y)


def test_a_traceback_shows_the_line_of_the_loop() -> None:
    x, v = gu.zeros(3, 2), gu.ones(2, 2)
    with gu.debug() as folder, pytest.raises(IndexError) as error:
        x.index_add(0, gu.tensor([0, 2]) + 1, v).realize()
    frames = traceback.extract_tb(error.value.__traceback__)
    (inside,) = [f for f in frames if f.filename.startswith(folder)]
    assert inside.line is not None and "at(" in inside.line and inside.name == "compute_D"


def test_a_derivative_is_written_where_its_operation_was(tmp_path: Path) -> None:
    x = gu.tensor([1.0, 2.0], requires_grad=True)
    with gu.debug(tmp_path) as folder:
        y = x.exp()  # the exponential
        y.sum().backward()
        assert x.grad is not None and len(x.grad.tolist()) == 2
    texts = [t for t in files(folder) if "the exponential" in t]
    assert any("*" in t for t in texts) and any("exp_float32" in t for t in texts)


def test_pdb_enters_a_kernel(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import groundup as gu\n"
        "row, k = gu.axes('row k')\n"
        "a = gu.tensor([[1.0, 2.0], [3.0, 4.0]])\n"
        "with gu.debug(stop=True):\n"
        "    (a[row, k] * 2).sum(k).order(row).tolist()\n"
    )
    done = subprocess.run(
        [sys.executable, str(program)],
        input="next\nnext\nnext\np 'row is', row\nwhere\nlist\nquit\n",
        capture_output=True, text=True, check=False, cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert "('row is', 0)" in done.stdout
    assert "for k in range(2)" in done.stdout and "compute_B" in done.stdout


def test_our_own_folder_keeps_the_newest_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(python_files, "MOST", 3)
    for n in range(6):
        with gu.debug() as folder:
            assert (gu.tensor([1.0, 2.0]) + n + 0.5).tolist() == [n + 1.5, n + 2.5]
    assert 1 <= len(files(folder)) <= 3


def test_the_folder_is_gone_when_the_process_ends(tmp_path: Path) -> None:
    code = "import groundup as gu\nwith gu.debug() as f:\n  (gu.ones(2) + 1).tolist(); print(f)"
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)},
    )  # fmt: skip
    assert done.stdout.startswith(str(tmp_path)) and not list(tmp_path.iterdir())


def test_a_breakpoint_in_a_kernels_file_stops_there_in_a_step_and_its_derivative(
    tmp_path: Path,
) -> None:
    (tmp_path / "program.py").write_text(
        "import groundup as gu\n"
        "row, col, k = gu.axes('row col k')\n"
        "w = gu.ones(3, 2).requires_grad_(True)\n"
        "x = gu.ones(4, 3).realize()\n"
        "@gu.jit\n"
        "def step(x):\n"
        "    y = (x[row, k] * w[k, col]).sum(k).order(row, col)\n"
        "    y.tanh().sum().backward()\n"
        "    return y\n"
        "with gu.debug('kernels'):\n"
        "    step(x).tolist()\n"
        "    w.grad.tolist()\n"
    )
    program = [sys.executable, str(tmp_path / "program.py")]
    own = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run(program, check=True, cwd=tmp_path, env=own)
    kernels = {f: f.read_text() for f in sorted((tmp_path / "kernels").iterdir())}
    stops = []
    for shape in ("(4, 2)", "(3, 2)"):  # the product, and its derivative by w
        name, text = next(
            (f, t) for f, t in kernels.items() if f"of shape {shape}" in t and " += " in t
        )
        line = next(i for i, x in enumerate(text.split("\n"), 1) if " += " in x)
        stops.append((name, line))
    commands = "".join(f"b {name}:{line}\n" for name, line in stops)
    done = subprocess.run(
        [sys.executable, "-m", "pdb", *program[1:]],
        input=f"{commands}c\np 'row is', row\nw\nclear 1\nc\nw\nclear 2\nc\nq\n",
        capture_output=True, text=True, check=False, cwd=tmp_path, env=own,
    )  # fmt: skip
    assert "('row is', 0)" in done.stdout, done.stdout
    for name, line in stops:
        assert f"{name}({line})" in done.stdout.replace(str(name.resolve()), str(name))
    assert "program.py(11)" in done.stdout


@pytest.mark.parametrize("how", ["plain", "captured", "backward"])
def test_an_index_out_of_range_ends_in_the_line_of_the_loop(how: str) -> None:
    i, j = gu.axes("i j")
    place = gu.tensor([0, 6, 1]).realize()
    table = gu.ones(3, 2).realize().requires_grad_(True)

    def rows(t: gu.Tensor) -> gu.Tensor:
        return table[(t + 1)[i], j].order(i, j) * 2

    def run() -> None:
        if how == "backward":
            (rows(place) ** 2).sum().backward()
            assert table.grad is not None
            table.grad.tolist()
        else:
            (gu.jit(rows) if how == "captured" else rows)(place).tolist()

    with gu.debug() as folder, pytest.raises(IndexError, match="index 7 is out") as error:
        run()
    frames = traceback.extract_tb(error.value.__traceback__)
    (inside,) = [f for f in frames if f.filename.startswith(folder)]
    assert inside.line is not None and "A[at((3, 2)," in inside.line


def test_a_sort_is_a_file_too(tmp_path: Path) -> None:
    a = gu.tensor([[3.0, 1.0, float("nan")], [1.0, 1.0, 0.0]])
    with gu.debug(tmp_path) as folder:
        assert a.argsort(1).tolist() == [[1, 0, 2], [2, 0, 1]]
        assert a.argsort(0, descending=True).tolist() == [[0, 0, 0], [1, 1, 1]]
        assert a.topk(2, 1).indices.tolist() == [[2, 0], [0, 1]]
    (first, *_) = [t for t in files(folder) if "sorted(" in t]
    assert "row = [" in first and "positions in order" in first
