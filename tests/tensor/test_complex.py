"""Complex tensors: what they are, made of what, seen as what; values, printing, derivatives."""

from __future__ import annotations

import numpy as np
import pytest

import groundup as gu

Z = [1 + 2j, 3 - 1j]


def test_it_is_a_tensor_of_its_dtype() -> None:
    z = gu.tensor(Z)
    assert isinstance(z, gu.Tensor)
    assert z.dtype is gu.complex64 and z.shape == (2,) and z.is_complex()
    assert not z.is_floating_point() and not gu.ones(2).is_complex()
    assert z.element_size() == 8 and gu.tensor(Z, dtype=gu.complex128).element_size() == 16
    assert z.nbytes == 16 and z.stride() == (1,) and z.is_contiguous()
    assert gu.cfloat is gu.complex64 and gu.cdouble is gu.complex128


@pytest.mark.parametrize("dtype", [gu.complex64, gu.complex128])
def test_data_in_and_out(dtype: gu.DType) -> None:
    a = (np.arange(6).reshape(2, 3) * (1 - 0.5j)).astype(dtype.name)
    for made in (gu.tensor(a), gu.from_numpy(a), gu.tensor(a.tolist(), dtype=dtype)):
        assert made.dtype is dtype
        np.testing.assert_array_equal(made.numpy(), a)
        assert made.tolist() == a.tolist() and made[1, 2].item() == a[1, 2]
    assert gu.tensor([1, 2.5, True, 3j]).tolist() == [1, 2.5, 1, 3j]
    assert gu.tensor([[1.0, 2.0]], dtype=dtype).tolist() == [[1, 2]]
    assert gu.tensor(np.ones(2), dtype=dtype).dtype is dtype
    assert gu.tensor([gu.tensor(1j), gu.tensor(2.0)]).tolist() == [1j, 2]
    with pytest.raises(TypeError, match="a complex number is none of float32"):
        gu.tensor(Z, dtype=gu.float32)
    for shape in [(), (0,), (2, 0), (1, 1)]:
        empty = np.zeros(shape, dtype.name)
        assert gu.tensor(empty).shape == shape
        np.testing.assert_array_equal(gu.tensor(empty).numpy(), empty)


def test_memory_is_shared_with_numpy() -> None:
    a = np.array(Z)
    z = gu.from_numpy(a, copy=False)
    a[0] = 7j
    assert z.tolist() == [7j, 3 - 1j]
    z.real.fill_(2.0)
    assert a.tolist() == [2 + 7j, 2 - 1j]
    w = gu.tensor(Z)
    w.numpy(copy=False)[1] = 5
    assert w.tolist() == [1 + 2j, 5]
    t = gu.tensor(np.arange(6).reshape(2, 3) + 0j).T.numpy(copy=False)
    assert t.shape == (3, 2) and t[2, 1] == 5
    with pytest.raises(ValueError, match="byte order"):
        gu.from_numpy(np.zeros(2, ">c8"), copy=False)


def test_parts_and_pairs_share_memory() -> None:
    z = gu.tensor(Z)
    z.real = gu.tensor([5.0, 6.0])
    z.imag[0] = -1.0
    assert z.tolist() == [5 - 1j, 6 - 1j]
    pairs = gu.view_as_real(z)
    pairs[1, 0] = 0.0
    assert z.tolist() == [5 - 1j, -1j]
    x = gu.zeros(2, 3, 2)
    w = gu.view_as_complex(x)
    w.T[2, 1].imag.fill_(4.0)
    assert x[1, 2].tolist() == [0, 4] and w.shape == (2, 3)
    assert gu.real(gu.ones(2)).tolist() == [1, 1]
    assert gu.complex(gu.ones(2, 1), gu.zeros(3)).shape == (2, 3)


@pytest.mark.parametrize("name", ["clamp", "fmax", "fmod", "maximum"])
def test_a_complex_operand_beside_a_real_one_is_refused_by_name(name: str) -> None:
    for a, b in ((gu.ones(2), gu.tensor(Z)), (gu.tensor(Z), gu.ones(2))):
        with pytest.raises(TypeError, match=rf"^{name} .*complex64") as caught:
            getattr(gu, name)(a, b)
        assert "\n  at " in str(caught.value)


def test_what_has_no_complex_counterpart_says_so() -> None:
    z = gu.tensor(Z)
    for f in (z.relu, z.floor, lambda: z.cummax(0), lambda: gu.sort(z), z.amax, z.erf):
        with pytest.raises(TypeError, match=r"real numbers|complex64"):
            f()
    with pytest.raises(TypeError, match="cummax is a function of real numbers .* complex64"):
        z.cummax(0)
    with pytest.raises(TypeError, match="no order"):
        z < z  # noqa: B015
    with pytest.raises(TypeError, match="no imaginary part"):
        gu.ones(2).imag  # noqa: B018
    with pytest.raises(TypeError, match="float32 or float64"):
        gu.view_as_complex(gu.ones(2, dtype=gu.float16))
    with pytest.raises(gu.ShapeError, match="its size is 2"):
        gu.view_as_complex(gu.ones(3))
    with pytest.raises(gu.ShapeError, match="beside each other"):
        gu.view_as_complex(gu.ones(2, 4)[:, ::2])
    with pytest.raises(TypeError, match="one type"):
        gu.complex(gu.ones(2), gu.ones(2, dtype=gu.float64))
    with pytest.raises(TypeError, match="view_as_real takes a complex tensor"):
        gu.view_as_real(gu.ones(2))


def test_derivatives_are_pytorchs() -> None:
    z = gu.tensor(Z, requires_grad=True)
    assert z.is_leaf and z.requires_grad and z.grad is None
    (z * z.conj()).real.sum().backward()
    assert z.grad is not None and z.grad.tolist() == [2 + 4j, 6 - 2j]
    z.grad = None
    abs(z).sum().backward()
    np.testing.assert_allclose(z.grad.numpy(), np.array(Z) / np.abs(Z), rtol=1e-6)
    with pytest.raises(gu.GradError, match="needs a gradient"):
        (z * 2).backward()
    z.grad = None
    (z * 2j).backward(gu.tensor([1 + 0j, 1j]))
    assert z.grad.tolist() == [-2j, 2]


def test_the_compiler_is_shown_pairs() -> None:
    z = gu.tensor(Z).realize()
    assert "float32 of shape (2, 2)" in str(z.storage_info())
    assert "float32" in str(gu.explain(z * 2))


def test_printing() -> None:
    assert repr(gu.tensor(Z)) == "tensor([1.+2.j, 3.-1.j])"
    assert repr(gu.tensor(Z, dtype=gu.complex128)[0]) == "tensor(1.+2.j, dtype=groundup.complex128)"
    shown = repr(gu.tensor([1 + 2j, 3.5 - 1e3j, complex("nan"), complex("inf")]))
    assert shown == "tensor([1.0000+2.j, 3.5000-1000.j,    nan+0.j,    inf+0.j])"
    assert "requires_grad=True" in repr(gu.tensor(Z, requires_grad=True))
    assert repr(gu.tensor(Z)[:0]) == "tensor([], dtype=groundup.complex64)"
