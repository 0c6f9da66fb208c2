"""gu.save and gu.load: the safetensors format, byte for byte as its own library writes it."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import groundup as gu
from groundup import nn
from groundup.tensor.saving import SaveError, from_bytes, to_bytes

DTYPES = (
    "bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float16",
    "float32", "float64", "complex64",
)  # fmt: skip


def arrays() -> dict[str, np.ndarray[Any, Any]]:
    made: dict[str, np.ndarray[Any, Any]] = {}
    for i, dtype in enumerate(DTYPES):
        for shape in [(2, 3), (), (0, 2), (5,)]:
            size = int(np.prod(shape))
            values = (np.arange(size) % 2 + i).reshape(shape).astype(dtype)
            made[f"{dtype}.{len(made) * 7 % 5}.Ü{shape}"] = np.asarray(values)
    return made


def test_the_bytes_are_those_of_the_formats_own_library() -> None:
    from safetensors.numpy import load, save

    made = arrays()
    ours = to_bytes({name: gu.from_numpy(a) for name, a in made.items()})
    assert ours == save(made)
    back = load(ours)
    for name, x in from_bytes(save(made)).items():
        assert x.dtype.name == made[name].dtype.name and tuple(x.shape) == made[name].shape
        np.testing.assert_array_equal(x.numpy(), made[name])
        np.testing.assert_array_equal(back[name], made[name])
    assert to_bytes({}) == save({}) and from_bytes(save({})) == {}
    assert from_bytes(save(made, metadata={"format": "np"})).keys() == made.keys()


@pytest.mark.peers
def test_bfloat16_with_torch() -> None:
    import torch
    from safetensors.torch import load, save

    values = [1.0, -0.0, 3.0e38, float("inf"), 1e-40]
    theirs = {"b": torch.tensor(values, dtype=torch.bfloat16), "a": torch.ones(2, 2)}
    ours = {"b": gu.tensor(values, dtype=gu.bfloat16), "a": gu.ones(2, 2)}
    assert to_bytes(ours) == save(theirs)
    assert torch.equal(load(to_bytes(ours))["b"], theirs["b"])
    assert from_bytes(save(theirs))["b"].tolist() == ours["b"].tolist()
    state = dict(torch.nn.Linear(3, 2).state_dict())
    model = nn.Linear(3, 2)
    model.load_state_dict(from_bytes(save(state)))
    assert model.weight.tolist() == state["weight"].tolist()


def test_views_pending_values_and_parameters_are_saved(tmp_path: Path) -> None:
    x = gu.arange(12.0).reshape(3, 4)
    w = nn.Parameter(gu.ones(2))
    named = {"t": x.t(), "row": x[1], "sum": x + 1, "e": gu.ones(1).expand(3), "w": w, "n": x.sum()}
    path = tmp_path / "some.safetensors"
    gu.save(named, path)
    again = gu.load(str(path))
    assert list(again) == sorted(named)
    for name, t in named.items():
        assert again[name].tolist() == t.tolist() and not again[name].requires_grad
    again["row"].zero_()
    assert again["t"].tolist() == x.t().tolist()  # each has memory of its own


def test_a_file_is_whole_or_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "w.safetensors"
    gu.save({"x": gu.ones(2)}, path)
    before = path.read_bytes()

    def fails(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(SaveError, match="disk is full"):
        gu.save({"x": gu.zeros(1000)}, path)
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["w.safetensors"]
    with pytest.raises(TypeError, match="'y' is a list"):
        gu.save({"x": gu.ones(2), "y": [1]}, path)  # type: ignore[dict-item]
    with pytest.raises(TypeError, match="save takes a dict of tensors by name, not list"):
        gu.save([gu.ones(2)], path)  # type: ignore[arg-type]
    with pytest.raises(FileNotFoundError):
        gu.load(tmp_path / "none")


def with_header(header: Any, body: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + body


def entry(dtype: Any = "F32", shape: Any = (1,), ends: Any = (0, 4)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(ends)}


BAD = {
    "nothing": (b"", "header of 0 bytes"),
    "a huge header": (b"\xff" * 8 + b"{}", "does not fit into 10 bytes"),
    "cut in the header": (to_bytes({"x": gu.ones(2)})[:40], "does not fit"),
    "cut in the numbers": (to_bytes({"x": gu.ones(2)})[:-1], "7 bytes of elements"),
    "too long": (to_bytes({"x": gu.ones(2)}) + b"0", "9 bytes of elements"),
    "no JSON": (with_header(b"{"), "not JSON"),
    "no text": (with_header(b"\xff\xfe"), "not JSON"),
    "deep": (with_header(b"[" * 100_000), "not JSON"),
    "a list": (with_header([1]), "no JSON object, but list"),
    "a pickle": (b"\x80\x04\x95\x10\0\0\0\0\0\0\0", "does not fit"),
    "no dtype": (with_header({"x": {"shape": []}}), "'x' has no dtype"),
    "an alien type": (with_header({"x": entry("F8_E4M3")}, b"0000"), "'x' is of type 'F8_E4M3'"),
    "a type that is a list": (with_header({"x": entry(["F32"])}, b"0000"), "is of type"),
    "negative sizes": (with_header({"x": entry(shape=(-1, -1))}, b"0000"), "has shape"),
    "sizes that are no integers": (with_header({"x": entry(shape=(1.0,))}, b"0000"), "has shape"),
    "one end": (with_header({"x": entry(ends=(0,))}, b"0000"), "at bytes"),
    "another size": (with_header({"x": entry(shape=(2,))}, b"0000"), "has 8 bytes, but 0 to 4"),
    "a gap": (with_header({"x": entry(ends=(4, 8))}, b"00000000"), "begin at 4, not at 0"),
    "an overlap": (with_header({"x": entry(), "y": entry()}, b"0000"), "begin at 0, not at 4"),
    "words that are none": (with_header({"__metadata__": {"a": 5}}), "no strings by name"),
    "a name twice": (with_header(b'{"x":1,"x":1}'), "a name twice"),
}


@pytest.mark.parametrize("what", BAD)
def test_a_bad_file_is_a_clear_error(what: str, tmp_path: Path) -> None:
    content, match = BAD[what]
    path = tmp_path / "bad.safetensors"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="is no whole safetensors file: ") as caught:
        gu.load(path)
    assert match in str(caught.value)


@settings(max_examples=300, deadline=None)
@given(at=st.integers(0, 150), value=st.integers(0, 255), cut=st.integers(0, 40))
def test_a_damaged_file_loads_or_is_a_value_error(at: int, value: int, cut: int) -> None:
    content = bytearray(WHOLE)
    content[at % len(content)] = value
    try:
        found = from_bytes(bytes(content[: len(content) - cut]))
    except ValueError:
        return
    for x in found.values():
        x.tolist()


WHOLE = to_bytes({"weight": gu.ones(3, 2), "bias": gu.arange(3), "n": gu.tensor(True)})


def test_what_the_format_lacks_is_said() -> None:
    with pytest.raises(TypeError, match="complex128, which the safetensors format lacks"):
        to_bytes({"x": gu.zeros(2, dtype=gu.complex128)})
    with pytest.raises(ValueError, match="the format's own words about a file"):
        to_bytes({"__metadata__": gu.zeros(2)})
    f = gu.jit(lambda t: to_bytes({"t": t}))
    with pytest.raises(RuntimeError, match="while jit captures"):
        f(gu.ones(1))
