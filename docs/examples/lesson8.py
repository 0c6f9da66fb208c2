"""From three loops to a neural network: matrix products, broadcasting, forward and backward passes.

Runs top to bottom: `python docs/examples/lesson8.py`. Every result is checked against another way
to get it, every gradient against autograd; the program stops at the first that differs. It uses
nothing but groundup and Python. It follows lesson 8 of "Deep Learning from the Foundations".
"""

import math
import time
from collections.abc import Callable
from typing import Any

import groundup as gu
from groundup import Tensor, nn

HIDDEN = 50


# ---- small tools ---------------------------------------------------------------------------------


def check_near(a: Tensor, b: Tensor, tolerance: float = 1e-3) -> None:
    """Stop unless two tensors have one shape and nearly the same values (rounding differs)."""
    assert a.shape == b.shape, f"shapes {a.shape} and {b.shape}"
    worst = (a - b).abs().max().item()
    scale = max(1.0, b.abs().max().item())
    assert worst <= tolerance * scale, f"values differ by {worst} (largest value {scale})"


def check_near_zero(a: Tensor, tolerance: float = 1e-3) -> None:
    """Stop unless a number is nearly 0."""
    assert abs(a.item()) < tolerance, f"near zero? {a.item()}"


def timed(label: str, compute: Callable[[], Any], again: bool = True) -> Any:
    """Run a computation, print how long it took, and return its result.

    again: run it twice and time the second run, so that what is timed is the work and not the
    compiler (each kernel is compiled once, and then kept on disk).
    """
    result = finished(compute()) if again else None
    start = time.perf_counter()
    result = finished(compute())
    print(f"  {label:<58} {(time.perf_counter() - start) * 1e3:10.2f} ms")
    return result


def finished(result: Any) -> Any:
    """Ask for the values: until then, a tensor is only a description of a computation."""
    return result.realize() if isinstance(result, Tensor) else result


# ---- 1. the data ---------------------------------------------------------------------------------


def load_mnist() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Training and validation images as rows of 784 numbers from 0 to 1, and their labels."""
    splits = gu.datasets.load("mnist")
    parts = []
    for part in (splits.train, splits.valid):
        images, labels = part.batch(range(len(part)))
        parts += [(images.view(len(part), 28 * 28).to(gu.float32) / 255).realize(), labels]
    return parts[0], parts[1], parts[2], parts[3]


# ---- 2. one matrix product, five ways ------------------------------------------------------------


def matmul_three_loops(a: Tensor, b: Tensor) -> Tensor:
    """The definition: Python walks over every row, every column, every product."""
    (rows, inner), (inner_b, columns) = a.shape, b.shape
    assert inner == inner_b, "a row of a and a column of b must be equally long"
    c = gu.zeros(rows, columns)
    for i in range(rows):
        for j in range(columns):
            for k in range(inner):
                c[i, j] += a[i, k] * b[k, j]
    return c


def matmul_row_by_column(a: Tensor, b: Tensor) -> Tensor:
    """The innermost loop becomes one elementwise product of a row and a column, summed."""
    rows, columns = a.shape[0], b.shape[1]
    c = gu.zeros(rows, columns)
    for i in range(rows):
        for j in range(columns):
            c[i, j] = (a[i, :] * b[:, j]).sum()
    return c


def matmul_broadcast(a: Tensor, b: Tensor) -> Tensor:
    """A row turned into a column is stretched over all columns of b: one loop is left."""
    c = gu.zeros(a.shape[0], b.shape[1])
    for i in range(a.shape[0]):
        c[i] = (a[i].unsqueeze(-1) * b).sum(dim=0)
    return c


def matmul_einsum(a: Tensor, b: Tensor) -> Tensor:
    """Einstein's summation: k stands twice on the left and not on the right, so it is summed."""
    return gu.einsum("ik,kj->ij", a, b)


def matmul_axes(a: Tensor, b: Tensor) -> Tensor:
    """The same line in Python proper: axes are values, the body may be any expression of them."""
    i, j, k = gu.axes("i j k")
    return (a[i, k] * b[k, j]).sum(k).order(i, j)


def matrix_products(x_valid: Tensor) -> None:
    """Five rows of images times a 784 × 10 matrix of weights, from slow to fast."""
    print("a (5, 784) · b (784, 10)")
    gu.manual_seed(1)
    a, b = x_valid[:5].clone().realize(), gu.randn(784, 10).realize()
    reference = timed("three Python loops", lambda: matmul_three_loops(a, b), again=False)
    for label, product in (
        ("row times column", matmul_row_by_column),
        ("broadcast", matmul_broadcast),
        ("einsum", matmul_einsum),
        ("axes", matmul_axes),
        ("a @ b", lambda a, b: a @ b),
    ):
        check_near(timed(label, lambda product=product: product(a, b)), reference)

    print(f"a {tuple(x_valid.shape)} · b (784, 10)")
    whole = timed("einsum", lambda: matmul_einsum(x_valid, b))
    check_near(timed("axes", lambda: matmul_axes(x_valid, b)), whole)
    check_near(timed("a @ b", lambda: x_valid @ b), whole)


# ---- 3. elementwise operations and broadcasting --------------------------------------------------


def elementwise() -> None:
    """Operations element by element, and a norm made of them."""
    a, b = gu.tensor([10.0, 6, -4]), gu.tensor([2.0, 8, 7])
    assert (a + b).tolist() == [12, 14, 3]
    check_near((a < b).float().mean(), gu.tensor(2 / 3))
    m = gu.tensor([[1.0, 2, 3], [4, 5, 6], [7, 8, 9]])
    # The Frobenius norm: ‖A‖ = √(Σ_i Σ_j a_ij²)
    check_near((m * m).sum().sqrt(), gu.tensor(math.sqrt(285.0)))


def broadcasting() -> None:
    """The rules: align the shapes at their ends; sizes agree, or one of them is 1 and stretches."""
    m = gu.tensor([[1.0, 2, 3], [4, 5, 6], [7, 8, 9]])
    c = gu.tensor([10.0, 20, 30])
    assert (c > 15).tolist() == [False, True, True]  # a number stretches over everything
    assert (m + c).tolist() == (c + m).tolist() == [[11, 22, 33], [14, 25, 36], [17, 28, 39]]

    # Stretching copies nothing: a step from row to row moves 0 elements through the same memory.
    rows = c.expand_as(m)
    assert rows.tolist() == [[10, 20, 30]] * 3
    print(f"  c.expand_as(m) has shape {tuple(rows.shape)} and stride {rows.stride()}")
    assert rows.stride() == (0, 1)

    # A new axis of size 1, in front or behind, says in which direction to stretch.
    assert c.unsqueeze(0).shape == c[None].shape == c[None, :].shape == (1, 3)
    assert c.unsqueeze(1).shape == c[:, None].shape == c[..., None].shape == (3, 1)
    columns = c[:, None].expand_as(m)
    assert columns.tolist() == [[10] * 3, [20] * 3, [30] * 3]
    assert columns.stride() == (1, 0)
    assert (m + c[:, None]).tolist() == [[11, 12, 13], [24, 25, 26], [37, 38, 39]]

    # (1, 3) against (3, 1): both stretch, and every pair meets.
    outer = c[None, :] * c[:, None]
    assert outer.tolist() == [[100, 200, 300], [200, 400, 600], [300, 600, 900]]
    assert (c[None] > c[:, None]).tolist() == [
        [False, True, True], [False, False, True], [False, False, False]
    ]  # fmt: skip

    # Missing axes count as 1 at the front: a mean for each channel meets an image (h, w, channel).
    image, mean = gu.ones(256, 256, 3), gu.tensor([0.1, 0.2, 0.3])
    check_near((image - mean)[0, 0], gu.tensor([0.9, 0.8, 0.7]))

    # Sizes that neither agree nor are 1 are an error that shows both shapes.
    try:
        gu.ones(2, 3) + gu.ones(2)
    except gu.ShapeError as error:
        print("  " + str(error).splitlines()[0])
    else:
        raise AssertionError("(2, 3) + (2,) must be an error")


# ---- 4. normalisation and initial weights --------------------------------------------------------


def normalise(x: Tensor, mean: float, std: float) -> Tensor:
    """Mean 0 and deviation 1, if mean and std are x's own."""
    return (x - mean) / std


def normalised(x_train: Tensor, x_valid: Tensor) -> tuple[Tensor, Tensor]:
    """Both parts by the *training* statistics: one ruler for both, or they would not compare."""
    # 43 million terms: added up in float32, the small ones would drown in the running sum.
    mean, std = x_train.double().mean().item(), x_train.double().std().item()
    print(f"  pixels: mean {mean:.4f}, deviation {std:.4f}")
    x_train = normalise(x_train, mean, std).realize()
    x_valid = normalise(x_valid, mean, std).realize()
    check_near_zero(x_train.double().mean())
    check_near_zero(1 - x_train.double().std())
    return x_train, x_valid


def linear(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
    """x·w + b, one row for each image."""
    return x @ w + b


def relu(x: Tensor) -> Tensor:
    """Negative numbers become 0."""
    return x.clamp_min(0.0)


def shifted_relu(x: Tensor) -> Tensor:
    """relu moves the mean of its output up to about 0.4; half of one step brings it back."""
    return x.clamp_min(0.0) - 0.5


def show(label: str, t: Tensor) -> tuple[float, float]:
    """Print and return mean and deviation."""
    mean, std = t.mean().item(), t.std().item()
    print(f"  {label:<58} mean {mean:6.2f}  deviation {std:6.2f}")
    return mean, std


def initial_weights(x_valid: Tensor) -> None:
    """What a layer does to the scale of its input, by the scale of its weights."""
    gu.manual_seed(2)
    m = x_valid.shape[1]
    b = gu.zeros(HIDDEN)
    _, plain = show("weights of deviation 1", linear(x_valid, gu.randn(m, HIDDEN), b))
    assert plain > 10, "products of 784 numbers add up"

    # The variance of a sum of m products is m times that of one: divide the weights by √m.
    w = gu.randn(m, HIDDEN) / math.sqrt(m)
    _, scaled = show("divided by √m (LeCun 1998; Glorot & Bengio 2010)", linear(x_valid, w, b))
    assert 0.7 < scaled < 1.4

    # relu throws half of it away, so layer after layer would fade: put a 2 under the root.
    show("… and after relu", relu(linear(x_valid, w, b)))
    w = gu.randn(m, HIDDEN) * math.sqrt(2 / m)
    mean, std = show("relu, with √(2/m) (He et al. 2015)", relu(linear(x_valid, w, b)))
    assert 0.6 < std < 1.2 and 0.3 < mean < 0.8

    # nn.init does the same. Our w is (in, out), a layer's weight is (out, in): so 'fan_out' here.
    nn.init.kaiming_normal_(w, mode="fan_out")
    show("relu, nn.init.kaiming_normal_", relu(linear(x_valid, w, b)))
    mean, std = show("the same with the shifted relu", shifted_relu(linear(x_valid, w, b)))
    assert abs(mean) < 0.3 and std > 0.6


# ---- 5. forward and backward, layers as functions ------------------------------------------------
# The chain rule, from the loss back to the first layer. Each function puts the gradient of the loss
# with respect to its input into `inp.g`, where the function before it will look for it.


def mse(output: Tensor, target: Tensor) -> Tensor:
    """The mean of the squared differences; output is (n, 1), target (n,).

    squeeze(-1) takes away that one axis: without it (n, 1) − (n,) would stretch to (n, n), and
    squeeze() of everything would take the batch away too if n were 1.
    """
    return (output.squeeze(-1) - target).pow(2).mean()


def mse_grad(inp: Tensor, target: Tensor) -> None:
    """d/dx (x − t)²/n = 2(x − t)/n"""
    inp.g = 2.0 * (inp.squeeze(-1) - target).unsqueeze(-1) / inp.shape[0]


def relu_grad(inp: Tensor, out: Tensor) -> None:
    """1 where the input was above 0, else 0, times what comes from behind."""
    inp.g = (inp > 0).float() * out.g


def linear_grad(inp: Tensor, out: Tensor, w: Tensor, b: Tensor) -> None:
    """A product's gradient is a product with the transposed."""
    inp.g = out.g @ w.t()
    w.g = (inp.unsqueeze(-1) * out.g.unsqueeze(1)).sum(0)
    b.g = out.g.sum(0)


def forward_and_backward(
    x: Tensor, y: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor
) -> Tensor:
    """Forward, keeping what each layer saw; then the gradients in reverse order."""
    l1 = linear(x, w1, b1)
    l2 = relu(l1)
    out = linear(l2, w2, b2)
    loss = mse(out, y)  # nothing below needs its value: only its derivative

    mse_grad(out, y)
    linear_grad(l2, out, w2, b2)
    relu_grad(l1, l2)
    linear_grad(x, l1, w1, b1)
    return loss


# ---- 6. layers as classes ------------------------------------------------------------------------


class Module:
    """What all layers share: remember the input and the output, so that backward can use them."""

    def __call__(self, *args: Tensor) -> Tensor:
        self.args = args
        self.out = self.forward(*args)
        return self.out

    def forward(self, *args: Tensor) -> Tensor:
        raise NotImplementedError(f"{type(self).__name__} needs a forward")

    def bwd(self, out: Tensor, *args: Tensor) -> None:
        raise NotImplementedError(f"{type(self).__name__} needs a bwd")

    def backward(self) -> None:
        self.bwd(self.out, *self.args)


class Relu(Module):
    """max(x, 0) − ½"""

    def forward(self, inp: Tensor) -> Tensor:
        return relu(inp) - 0.5

    def bwd(self, out: Tensor, inp: Tensor) -> None:
        inp.g = (inp > 0).float() * out.g


class Lin(Module):
    """x·w + b; a subclass says how the gradient of w is written."""

    def __init__(self, w: Tensor, b: Tensor) -> None:
        self.w, self.b = w, b

    def forward(self, inp: Tensor) -> Tensor:
        return linear(inp, self.w, self.b)

    def weight_grad(self, inp: Tensor, g: Tensor) -> Tensor:
        raise NotImplementedError

    def bwd(self, out: Tensor, inp: Tensor) -> None:
        inp.g = out.g @ self.w.t()
        self.w.g = self.weight_grad(inp, out.g)
        self.b.g = out.g.sum(0)


class LinOuter(Lin):
    """An outer product for each image, added up; the (n, in, out) table is never written down."""

    def weight_grad(self, inp: Tensor, g: Tensor) -> Tensor:
        return (inp.unsqueeze(-1) * g.unsqueeze(1)).sum(0)


class LinEinsum(Lin):
    """The same sum over the images b, said in one line."""

    def weight_grad(self, inp: Tensor, g: Tensor) -> Tensor:
        return gu.einsum("bi,bj->ij", inp, g)


class LinMatmul(Lin):
    """… which is a matrix product with the transposed input."""

    def weight_grad(self, inp: Tensor, g: Tensor) -> Tensor:
        return inp.t() @ g


class Mse(Module):
    """The mean squared error."""

    def forward(self, inp: Tensor, target: Tensor) -> Tensor:
        return mse(inp, target)

    def bwd(self, out: Tensor, inp: Tensor, target: Tensor) -> None:
        mse_grad(inp, target)


class Model:
    """Layers one after another and a loss; backward walks them in reverse."""

    def __init__(self, lin: type[Lin], w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor) -> None:
        self.layers: list[Module] = [lin(w1, b1), Relu(), lin(w2, b2)]
        self.loss = Mse()

    def __call__(self, x: Tensor, target: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)
        return self.loss(x, target)

    def backward(self) -> None:
        self.loss.backward()
        for layer in reversed(self.layers):
            layer.backward()


class Net(nn.Module):
    """The library's version of the same network, written last: now we know what it does."""

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(inputs, hidden), nn.GeneralReLU(sub=0.5), nn.Linear(hidden, 1)
        )

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        return nn.functional.mse_loss(self.layers(x).squeeze(-1), target)


# ---- 7. all of it, checked against autograd ------------------------------------------------------


def network(inputs: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """w1, b1, w2, b2 for one hidden layer and one output."""
    gu.manual_seed(3)
    w1 = gu.randn(inputs, HIDDEN) * math.sqrt(2 / inputs)
    w2 = gu.randn(HIDDEN, 1) / math.sqrt(HIDDEN)
    return w1.realize(), gu.zeros(HIDDEN).realize(), w2.realize(), gu.zeros(1).realize()


def by_autograd(
    loss: Callable[..., Tensor], x: Tensor, weights: tuple[Tensor, ...]
) -> list[Tensor]:
    """The gradients of loss(x, *weights) with respect to x and every weight, by the library."""
    leaves = [t.clone().requires_grad_(True) for t in (x, *weights)]
    loss(*leaves).backward()
    gu.realize(*(leaf.grad for leaf in leaves))
    return [leaf.grad for leaf in leaves]


def gradients(*tensors: Tensor) -> list[Tensor]:
    """Their `.g`, computed."""
    gu.realize(*(t.g for t in tensors))
    return [t.g for t in tensors]


def backward_passes(x: Tensor, y: Tensor) -> None:
    """The gradients of a network, by hand as functions, by hand as classes, and by autograd."""
    weights = w1, b1, w2, b2 = network(x.shape[1])

    print(f"forward and backward on {x.shape[0]} images, layers as functions")
    gu.realize(linear(relu(linear(x, w1, b1)), w2, b2), forward_and_backward(x, y, *weights))

    def by_hand() -> list[Tensor]:
        forward_and_backward(x, y, *weights)
        return gradients(x, *weights)

    mine = timed("gradients by hand", by_hand)

    def plain(x: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor) -> Tensor:
        return mse(linear(relu(linear(x, w1, b1)), w2, b2), y)

    theirs = timed("gradients by autograd", lambda: by_autograd(plain, x, weights))
    for a, b in zip(mine, theirs, strict=True):
        check_near(a, b)

    print("layers as classes, with the shifted relu; the weights' gradient written three ways")

    def shifted(x: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor) -> Tensor:
        return mse(linear(shifted_relu(linear(x, w1, b1)), w2, b2), y)

    theirs = by_autograd(shifted, x, weights)
    for lin in (LinOuter, LinEinsum, LinMatmul):
        for t in (x, *weights):
            t.g = None  # no left-over can pass for a result
        model = Model(lin, *weights)

        def forward_backward(model: Model = model) -> list[Tensor]:
            model(x, y)
            model.backward()
            return gradients(x, *weights)

        mine = timed(lin.__name__, forward_backward)
        for a, b in zip(mine, theirs, strict=True):
            check_near(a, b)

    print("nn.Module and nn.Linear")
    net = Net(x.shape[1], HIDDEN)
    with gu.no_grad():  # nn.Linear keeps its weight as (out, in)
        first, _, last = net.layers
        first.weight.copy_(w1.t())
        first.bias.copy_(b1)
        last.weight.copy_(w2.t())
        last.bias.copy_(b2)

    def library() -> list[Tensor]:
        net.zero_grad()
        net(x, y).backward()
        grads = [p.grad for p in net.parameters()]
        gu.realize(*grads)
        return grads

    grads = timed("nn.Module, gradients of the weights only", library)
    grads = [grads[0].t(), grads[1], grads[2].t(), grads[3]]
    for a, b in zip(grads, theirs[1:], strict=True):
        check_near(a, b)


def main(images: int | None = None) -> None:
    """The whole lesson; `images`: how many training images the backward passes take (None: all)."""
    start = time.perf_counter()
    print("the data")
    x_train, y_train, x_valid, _ = load_mnist()
    assert x_train.shape[0] == y_train.shape[0] and x_train.shape[1] == 28 * 28
    assert (y_train.min().item(), y_train.max().item()) == (0, 9)
    print(f"  {tuple(x_train.shape)} to train on, {tuple(x_valid.shape)} to validate")

    matrix_products(x_valid)
    print("elementwise operations and broadcasting")
    elementwise()
    broadcasting()

    print("normalisation and initial weights")
    x_train, x_valid = normalised(x_train, x_valid)
    initial_weights(x_valid)

    x, y = x_train[:images].clone().realize(), y_train[:images].to(gu.float32).realize()
    backward_passes(x, y)
    print(f"all checks passed in {time.perf_counter() - start:.1f} s")


if __name__ == "__main__":
    main()
