"""`groundup nb export` and `sync`: cells become a package and come back; nothing is lost."""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from groundup.notebook import NotebookError, export, sync

from .conftest import Make, sources


@pytest.fixture(autouse=True)
def fresh(tmp_path: Path) -> Iterator[None]:
    """The package `exp` of this test alone can be imported."""
    sys.path.insert(0, str(tmp_path))
    yield
    sys.path.remove(str(tmp_path))
    for name in [n for n in sys.modules if n.partition(".")[0] == "exp"]:
        del sys.modules[name]


CORE = ("MD # Core", "#export\nfrom __future__ import annotations\nTWO = 2\ndef f(x: int) -> int:\n"
        "    return x + TWO\n", "assert f(1) == 3", "#| export\n#| slow\nclass A:\n    pass",
        "# EXPORT\n_hidden = 1", "# exported\nnot_this = 1")  # fmt: skip
NEXT = ("# export\nfrom exp.core import f, A\nfrom exp import core\nimport exp.core as c\n\n"
        "def g(x):\n    from exp.core import TWO\n    return f(f(x)) + TWO + core.TWO + c.TWO\n",)


@pytest.mark.parametrize("as_list", [True, False])
def test_cells_become_a_package(make: Make, as_list: bool) -> None:
    make("00_core.ipynb", *CORE, as_list=as_list)
    make("01_next.ipynb", *NEXT, as_list=as_list)
    make("02_text.ipynb", "MD nothing to export", "x = 1")
    made = export()
    assert [(m.module, m.changed) for m in made] == [
        (Path("exp/core.py"), True), (Path("exp/next.py"), True),
    ]  # fmt: skip
    module = importlib.import_module("exp.next")
    assert module.g(1) == 11
    assert module.__all__ == ["g"]
    core = importlib.import_module("exp.core")
    assert core.__all__ == ["A", "TWO", "f"] and not hasattr(core, "not_this")
    assert importlib.import_module("exp").__all__ == ["core", "next"]
    text = Path("exp/next.py").read_text()
    assert "from .core import f, A\nfrom . import core\nfrom . import core as c\n" in text
    assert "exp" not in text.partition("# %%")[2]
    core_text = Path("exp/core.py").read_text()
    assert "# %% 00_core.ipynb, cell 4 [c4] " in core_text and "#| slow" not in core_text


def test_the_same_notebooks_give_the_same_bytes(make: Make) -> None:
    make("00_core.ipynb", *CORE)
    make("01_next.ipynb", *NEXT)
    export()
    before = {p: p.read_bytes() for p in Path("exp").glob("*.py")}
    times = {p: p.stat().st_mtime_ns for p in before}
    assert not any(m.changed for m in export())
    assert times == {p: p.stat().st_mtime_ns for p in before}  # not even written
    for path in before:
        path.unlink()
    make("00_core.ipynb", *CORE, as_list=False)
    export(["01_next.ipynb", "00_core.ipynb"])
    assert before == {p: p.read_bytes() for p in Path("exp").glob("*.py")}


def test_the_module_is_named_by_the_notebook_or_by_a_directive(make: Make) -> None:
    make("02a why √5?.ipynb", "#export\nx = 1")
    make("10_bn_2d.ipynb", "#| default_exp batchnorm", "#export\nx = 1")
    assert {m.module.name for m in export()} == {"why_5.py", "batchnorm.py"}
    make("01_class.ipynb", "#export\nx = 1")
    with pytest.raises(NotebookError, match="'class' cannot be the name of a module"):
        export(["01_class.ipynb"])
    make("11_batchnorm.ipynb", "#export\nx = 2")
    with pytest.raises(NotebookError, match=r"10_bn_2d.* and 11_batchnorm.* both become"):
        export(["1*.ipynb"])
    with pytest.raises(NotebookError, match=r"is the module of 10_bn_2d\.ipynb"):
        export(["11_batchnorm.ipynb"])


REFUSED = [
    (["#export\ndef f(): pass", "MD", "#export\nx = 1\nf = 2"],
     r"two cells export the name 'f': 05_bad\.ipynb, cell 1 and 05_bad\.ipynb, cell 3 \(line 3\)"),
    (["#export\n\nx = = 1"], r"cell 1, line 3 is exported, and is not Python .*: x = = 1"),
    (["#export\n%matplotlib inline"], r"line 2 .*commands of the notebook belong"),
    (["#export\nfrom exp.cor import f"], r"cell 1, line 2 imports exp\.cor, which no notebook exp"),
    (["#export\n# %% a.ipynb, cell 1 [c1] 0123456789ab"], r"line 2: this is how a module marks"),
]  # fmt: skip


@pytest.mark.parametrize("cells, said", REFUSED, ids=[r[1][:12] for r in REFUSED])
def test_what_is_refused_writes_nothing(make: Make, cells: list[str], said: str) -> None:
    make("00_core.ipynb", *CORE)
    make("05_bad.ipynb", *cells)
    with pytest.raises(NotebookError, match=said):
        export()
    assert not Path("exp").exists()


def test_one_cell_may_define_a_name_twice_and_underscores_may_repeat(make: Make) -> None:
    make("00_a.ipynb", "#export\ntry:\n    import json\n    fast = True\nexcept ImportError:\n"
         "    fast = False\n_ = 1\nfor a, (b, *c) in []: pass\nd, e = 1, 2", "#export\n_ = 2")
    export()
    assert '__all__ = ["d", "e", "fast"]' in Path("exp/a.py").read_text()


def test_a_circle_of_imports_is_shown(make: Make) -> None:
    make("00_a.ipynb", "#export\nfrom exp.b import y\nx = 1")
    make("01_b.ipynb", "#export\nimport exp.c\ny = 1")
    make("02_c.ipynb", "MD", "#export\nif True:\n    from exp import a\nz = 1")
    with pytest.raises(NotebookError) as caught:
        export()
    assert str(caught.value) == (
        "imports go in a circle: a → b → c → a\n  a imports b: 00_a.ipynb, cell 1, line 2\n"
        "  b imports c: 01_b.ipynb, cell 1, line 2\n  c imports a: 02_c.ipynb, cell 2, line 3"
    )
    assert not Path("exp").exists()
    make("02_c.ipynb", "#export\ndef later():\n    from exp import a\n    return a")
    export()  # when it is called, all are there


BROKEN = [
    (b'{"cells": [', "is broken: Expecting value at line 1"),
    (b"<<<<<<< HEAD\n{}", "a merge has left its marks"),
    (b"\xff\xfe", "byte 0 is not UTF-8"),
    (b"[]", "it has no `nbformat`"),
    (b'{"nbformat": 3, "worksheets": []}', "is of nbformat 3"),
    (b'{"nbformat": 4}', "it has no list of cells"),
    (b'{"nbformat": 4, "cells": [{"cell_type": "code"}]}', "cell 1 is broken: its source"),
    (b'{"nbformat": 4, "cells": [{"cell_type": "cod", "source": ""}]}', "no cell_type code"),
    (b'{"nbformat": 4, "cells": [{"cell_type": "code", "source": [1]}]}', "its source is neither"),
    (b"[" * 100000, "nested too deeply"),
]  # fmt: skip


@pytest.mark.parametrize("raw, said", BROKEN, ids=[b[1][:12] for b in BROKEN])
def test_a_broken_notebook_is_named(make: Make, raw: bytes, said: str) -> None:
    make("00_core.ipynb", *CORE)
    Path("01_broken.ipynb").write_bytes(raw)
    with pytest.raises(NotebookError, match="01_broken.ipynb") as caught:
        export()
    assert said in str(caught.value)
    assert not Path("exp").exists()
    assert Path("01_broken.ipynb").read_bytes() == raw


# ---- edits of modules -------------------------------------------------------------------------


def edit(old: str, new: str, path: str = "exp/core.py") -> None:
    text = Path(path).read_text()
    assert old in text
    Path(path).write_text(text.replace(old, new))


@pytest.mark.parametrize("ids", [True, False])
def test_edits_of_a_module_go_back_into_their_cells(make: Make, ids: bool) -> None:
    core, after = make("00_core.ipynb", *CORE, ids=ids), make("01_next.ipynb", *NEXT, ids=ids)
    export()
    edit("return x + TWO", "return x * TWO  # changed")
    edit("    pass", "    size = 3\n\n\nB = A")
    edit("from . import core as c", "from . import core as cc", "exp/next.py")
    edit("c.TWO", "cc.TWO", "exp/next.py")
    with pytest.raises(NotebookError, match=r"edited since it was written \(cell 2, cell 4\)"):
        export()
    edited = Path("exp/core.py").read_text()
    carried = sync()
    assert [str(c.cell) for c in carried] == [
        "00_core.ipynb, cell 2", "00_core.ipynb, cell 4", "01_next.ipynb, cell 1",
    ]  # fmt: skip
    assert sources(core)[1] == CORE[1].strip().replace("x + TWO", "x * TWO  # changed")
    assert sources(core)[3] == "#| export\n#| slow\nclass A:\n    size = 3\n\n\nB = A"
    assert sources(core)[0] == CORE[0] and sources(core)[2] == CORE[2]
    assert "from exp import core\nfrom exp import core as cc\n" in sources(after)[0]
    assert '["A", "B", "TWO", "f"]' in Path("exp/core.py").read_text()
    assert not any(m.changed for m in export()) and not sync()
    assert edited.splitlines()[8:12] == Path("exp/core.py").read_text().splitlines()[8:12]


def test_an_export_over_edits_is_refused_and_can_be_forced(make: Make) -> None:
    make("00_core.ipynb", *CORE)
    export()
    written = Path("exp/core.py").read_text()
    edit("TWO = 2", "TWO = 3")
    edited = Path("exp/core.py").read_text()
    with pytest.raises(NotebookError, match="groundup nb sync carries it back"):
        export()
    assert Path("exp/core.py").read_text() == edited
    export(force=True)
    assert Path("exp/core.py").read_text() == written


def test_changes_on_both_sides_are_a_conflict(make: Make) -> None:
    path = make("00_core.ipynb", *CORE)
    export()
    edit("TWO = 2", "TWO = 3")
    cells = [c.replace("TWO = 2", "TWO = 4") for c in CORE]
    make("00_core.ipynb", *cells)
    before = path.read_bytes(), Path("exp/core.py").read_bytes()
    with pytest.raises(NotebookError, match="both have been changed since the export"):
        sync()
    assert before == (path.read_bytes(), Path("exp/core.py").read_bytes())
    make("00_core.ipynb", *[c.replace("TWO = 2", "TWO = 3") for c in CORE])
    assert not sync()  # the same on both sides: nothing to carry
    export()
    assert "TWO = 3" in Path("exp/core.py").read_text()


def test_an_edit_that_no_cell_can_take_is_refused(make: Make) -> None:
    make("00_core.ipynb", *CORE)
    export()
    edit("__all__", "import os\n__all__")
    for command in (export, sync):
        with pytest.raises(NotebookError, match="outside of the .*parts.*import os"):
            command()
    export(force=True)
    edit("TWO = 2", "TWO = = 2")
    with pytest.raises(NotebookError, match="is not Python"):
        sync()
    export(force=True)
    edit("class A", "TWO = 5\nclass A")
    with pytest.raises(NotebookError, match="two cells export the name 'TWO'"):
        sync()
    assert sources(Path("00_core.ipynb")) == list(CORE)


def test_a_module_of_somebody_else_is_never_overwritten(make: Make) -> None:
    make("00_core.ipynb", *CORE)
    Path("exp").mkdir()
    Path("exp/core.py").write_text("precious = 1\n")
    Path("exp/__init__.py").write_text("# mine\n")
    for force in (False, True):
        with pytest.raises(NotebookError, match="was not written by an export"):
            export(force=force)
    assert Path("exp/core.py").read_text() == "precious = 1\n"
    Path("exp/core.py").unlink()
    export()
    assert Path("exp/__init__.py").read_text() == "# mine\n"


def test_a_write_that_fails_leaves_what_was_there(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    make("00_core.ipynb", *CORE)
    export()
    before = Path("exp/core.py").read_text()
    make("00_core.ipynb", *[c.replace("TWO = 2", "TWO = 4") for c in CORE])

    def full(file: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(NotebookError, match="the disk is full"):
        export()
    assert Path("exp/core.py").read_text() == before
    assert sorted(p.name for p in Path("exp").iterdir()) == ["__init__.py", "core.py"]


def test_names_that_stand_for_nothing(make: Make) -> None:
    with pytest.raises(NotebookError, match="there are no notebooks in"):
        export()
    with pytest.raises(NotebookError, match="there is no file x.ipynb"):
        export(["x.ipynb"])
    with pytest.raises(NotebookError, match=r"no notebook fits the pattern x\*"):
        export(["x*"])
    with pytest.raises(NotebookError, match="'a-b' cannot be the name of a package"):
        export(package="a-b")


def test_the_folder_notebooks_is_found(make: Make) -> None:
    Path("notebooks").mkdir()
    path = make("00_core.ipynb", *CORE, folder=Path("notebooks"))
    export()
    assert (path.parent / "exp" / "core.py").exists()
    data = json.loads(path.read_text())
    assert data["cells"][1]["source"][0] == "#export\n"  # the notebook was not touched
