"""The rules of the game: what is allowed from the start, what each notebook builds and opens.

The pieces stand in the order of the course. Every public name has its place here, by itself or by
the room that it lies in. Must not know how rules are enforced or pieces checked.
"""

from __future__ import annotations

from typing import NamedTuple

NOTEBOOKS = {
    "01": "01 matmul",
    "02": "02 forward and backward",
    "02a": "02a why √5",
    "03": "03 autograd in 100 lines",
    "04": "04 a training loop from nothing",
    "05": "05 callbacks and annealing",
    "06": "06 convolutions and hooks",
    "07": "07 normalisation",
    "08": "08 data blocks",
    "09": "09 optimizers",
    "12": "12 text",
    "later": "the later course",
}


class Piece(NamedTuple):
    """What is built at one go: its key, the notebook that builds it, the names that it opens."""

    key: str
    notebook: str
    opens: tuple[str, ...]
    meanwhile: str
    needs: tuple[str, ...] = ()

    @property
    def built_in(self) -> str:
        """The notebook's number and title."""
        return NOTEBOOKS[self.notebook]


def _piece(key: str, notebook: str, opens: str, meanwhile: str, needs: str = "") -> Piece:
    return Piece(key, notebook, tuple(opens.split()), meanwhile, tuple(needs.split()))


# ---- allowed from the start: creation, random numbers, indexing, shapes, operators ---------------


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


ALLOWED = _names(
    # creation, types and values
    """tensor as_tensor zeros ones full empty zeros_like ones_like full_like empty_like arange
    linspace logspace eye from_numpy from_dlpack meshgrid clone new_zeros new_ones new_full
    to type type_as float double half bfloat16 long int bool cpu cfloat cdouble Tensor Size DType
    bool_ float16 float32 float64 short int8 int16 int32 int64 uint8 uint16 uint32 uint64
    complex64 complex128 item tolist numpy data realize result_type promote_types dtype
    zero fill copy frombuffer save load hann_window hamming_window blackman_window
    bartlett_window kaiser_window asarray astype can_cast finfo iinfo isdtype to_device
    scalar_tensor is_tensor is_nonzero is_signed is_same_size broadcast_shapes"""
    # random numbers
    """ rand randn randint randperm rand_like randn_like randint_like bernoulli multinomial normal
    manual_seed seed initial_seed get_rng_state set_rng_state Generator default_generator uniform
    exponential binomial cauchy geometric log_normal poisson random"""
    # indexing
    """ select narrow narrow_copy unbind split chunk index_select masked_select gather
    take_along_dim"""
    # shapes: views of the same memory
    """ view reshape view_as reshape_as flatten ravel unflatten permute transpose swapaxes t T mT
    unsqueeze squeeze expand expand_as broadcast_to broadcast_tensors movedim diagonal flip
    moveaxis swapdims split_with_sizes unsafe_split unsafe_chunk adjoint
    as_strided unfold contiguous atleast_1d atleast_2d atleast_3d shape size dim ndim numel
    nelement stride storage_offset is_contiguous layout itemsize nbytes element_size device
    is_floating_point is_complex permute_dims matrix_transpose broadcast_arrays expand_dims"""
    # Python's operators, and their names
    """ operator add sub rsub mul div true_divide floor_divide remainder pow neg positive abs eq ne
    lt le gt ge logical_not logical_and logical_or logical_xor bitwise_and bitwise_or bitwise_xor
    bitwise_not bitwise_left_shift bitwise_right_shift equal"""
    # flags of derivatives (taking one is built in 03), modes, and ways to look
    """ Tensor.grad requires_grad is_leaf grad_fn detach no_grad enable_grad set_grad_enabled
    is_grad_enabled jit debug explain_broadcast storage_info first_nonfinite detect_anomaly
    is_anomaly_enabled describe printoptions get_printoptions set_printoptions register_einops
    __array_namespace_info__ NoValue set_num_threads get_num_threads"""
    # the parts of complex numbers
    """ conj conj_physical H mH complex real imag view_as_real view_as_complex resolve_conj
    resolve_neg is_conj is_neg"""
)
# Whole rooms: looking, testing, data sets; and what computes nothing by itself: errors, files,
# interfaces, callbacks (which need a Learner), fills.
ALLOWED_ROOMS = ("glass.", "testing.", "datasets.")
ALLOWED_CLASSES = _names(
    """data.Dataset data.Sampler data.Registry data.UnknownName data.Loaders train.Callback
    train.CancelBatch train.CancelEpoch train.CancelFit train.NonFiniteLoss train.new_run_folder
    train.write_whole optim.Schedule train.training_picture vision.MODELS vision.Recipe
    train.Confusion train.Recorder train.Progress train.Schedule train.StopOnNaN
    train.StopOnInterrupt init.calculate_gain init.fan init.zeros_ init.ones_ init.constant_
    init.normal_ init.uniform_ import notebook"""
    # a data set that was loaded may be read; making one is built
    """ data.TensorDataset.__len__ data.TensorDataset.__getitem__ data.TensorDataset.batch
    data.Subset.__len__ data.Subset.__getitem__ data.Subset.batch"""
)
# What the core of a Tensor offers to other rooms of the house is no part of the game.
HOUSE = _names("node tracked number through alias check_writable assign can_poke poke")

# ---- the pieces, in the order of the course ------------------------------------------------------

_LOOP = "a Python loop over the elements"
COURSE = (
    _piece("sum", "01", "sum", "a loop that adds slices with +"),
    _piece("matmul", "01", "matmul mm bmm mv dot inner vdot outer addmm addmv addr baddbmm addbmm "
           "chain_matmul", "three loops, or (a[:, :, None] * b).sum(1) once sum is built", "sum"),
    _piece("norm", "01", "norm dist", "(x * x).sum() ** 0.5 once sum is built", "sum"),
    _piece("einsum", "01", "einsum tensordot axes axis outside scan Indexed Axis",
           "axes lined up with None and permute, multiplied and summed", "sum matmul"),
    _piece("mean", "02", "mean", "x.sum() / x.numel() once sum is built", "sum"),
    _piece("var", "02", "var std var_mean std_mean", "((x - x.mean()) ** 2).mean()", "mean"),
    _piece("max", "02", "max min amax amin", _LOOP),
    _piece("maximum", "02", "maximum minimum", "x * (x > y) + y * (x <= y), which is NaN at ∞"),
    _piece("where", "02", "where masked_fill", "y = b.clone(); y[mask] = a[mask]"),
    _piece("clamp", "02", "clamp clamp_min clamp_max", "y = x.clone(); y[x < low] = low"),
    _piece("relu", "02", "relu F.relu nn.ReLU", "y = x.clone(); y[x < 0] = 0"),
    _piece("linear", "02", "F.linear", "x @ w.t() + b once matmul is built", "matmul"),
    _piece("mse_loss", "02", "F.mse_loss nn.MSELoss", "((a - b) ** 2).mean()", "mean"),
    _piece("Module", "02", "nn.Module nn.Parameter nn.Identity nn.Flatten train.save_weights "
           "train.load_weights", "a class with a list of its tensors"),
    _piece("Linear", "02", "nn.Linear", "a class that holds w and b", "Module linear"),
    _piece("kaiming_normal_", "02", "init.kaiming_normal_",
           "gu.randn(n, m) * (2 / fan_in) ** 0.5"),
    _piece("xavier_normal_", "02", "init.xavier_normal_",
           "gu.randn(n, m) * (2 / (fan_in + fan_out)) ** 0.5"),
    _piece("kaiming_uniform_", "02a", "init.kaiming_uniform_ init.torch_default_",
           "gu.rand(n, m) * 2 * bound - bound", "kaiming_normal_"),
    _piece("xavier_uniform_", "02a", "init.xavier_uniform_", "gu.rand(n, m) * 2 * bound - bound",
           "xavier_normal_"),
    _piece("autograd", "03", "backward grad derivatives retain_grad custom_derivative "
           "grad_and_value vjp jvp jacrev jacfwd hessian linearize register_hook "
           "register_post_accumulate_grad_hook",
           "gradients by hand, in .grad or an attribute of your own", "sum matmul relu"),
    _piece("exp", "04", "exp", "math.e ** x"),
    _piece("log", "04", "log", "math.log of each x.item()"),
    _piece("logsumexp", "04", "logsumexp", "m + ((x - m).exp().sum()).log(), m the largest",
           "exp log sum max"),
    _piece("softmax", "04", "softmax F.softmax nn.Softmax",
           "x.exp() / x.exp().sum(-1, keepdim=True)", "exp sum"),
    _piece("log_softmax", "04", "log_softmax F.log_softmax nn.LogSoftmax",
           "x - x.logsumexp(-1, keepdim=True)", "logsumexp"),
    _piece("nll_loss", "04", "F.nll_loss", "-x[range(n), target].mean()", "mean"),
    _piece("cross_entropy", "04", "F.cross_entropy nn.CrossEntropyLoss",
           "nll_loss(log_softmax(x, -1), target)", "log_softmax nll_loss"),
    _piece("argmax", "04", "argmax argmin", _LOOP, "max"),
    _piece("accuracy", "04", "train.accuracy train.Mean train.most_confused "
           "train.confused_picture", "(x.argmax(1) == y).float().mean()", "argmax mean"),
    _piece("stack", "04", "stack cat concat", "y = gu.empty(n, …); y[i] = x"),
    _piece("Sequential", "04", "nn.Sequential nn.ModuleList nn.ModuleDict",
           "for layer in layers: x = layer(x)", "Module"),
    _piece("SGD", "04", "optim.SGD optim.Optimizer", "p -= lr * p.grad under gu.no_grad()",
           "autograd"),
    _piece("TensorDataset", "04", "data.TensorDataset data.Subset", "x[i], y[i]"),
    _piece("RandomSampler", "04", "data.RandomSampler data.SequentialSampler data.permutation",
           "gu.randperm(n)"),
    _piece("DataLoader", "04", "data.DataLoader data.Normalize data.statistics "
           "datasets.Splits.loaders", "for i in range(0, n, 64): x[i:i + 64], y[i:i + 64]",
           "TensorDataset RandomSampler stack"),
    _piece("Learner", "05", "train.Learner train.find_nan", "a loop of your own",
           "Linear cross_entropy SGD DataLoader accuracy"),
    _piece("conv2d", "06", "F.conv2d nn.Conv2d", "loops over windows, or unfold and matmul",
           "Module matmul"),
    _piece("max_pool2d", "06", "F.max_pool2d nn.MaxPool2d", "loops over windows", "Module max"),
    _piece("avg_pool2d", "06", "F.avg_pool2d nn.AvgPool2d nn.AdaptiveAvgPool2d "
           "F.adaptive_avg_pool2d", "loops over windows", "Module mean"),
    _piece("BatchNorm2d", "07", "nn.BatchNorm2d nn.BatchNorm1d nn.BatchNorm3d F.batch_norm",
           "(x - mean) / std * weight + bias", "Module var"),
    _piece("LayerNorm", "07", "nn.LayerNorm F.layer_norm", "(x - mean) / std * weight + bias",
           "Module var"),
    _piece("Adam", "09", "optim.Adam", "two running averages for each parameter", "SGD"),
    _piece("AdamW", "09", "optim.AdamW", "Adam, and p *= 1 - lr * wd", "Adam"),
    _piece("Embedding", "12", "nn.Embedding F.embedding F.embedding_bag", "weight[tokens]",
           "Module"),
    _piece("LSTM", "12", "nn.LSTM nn.LSTMCell", "a loop over time", "Module"),
    _piece("MultiheadAttention", "12", "nn.MultiheadAttention F.scaled_dot_product_attention "
           "F.multi_head_attention_forward", "softmax(q @ k.mT / d ** 0.5) @ v", "Module softmax"),
)  # fmt: skip

# Layers that hold nothing open with the function that they call, and Module.
LAYERS = {
    "nn.ReLU": "relu", "nn.MSELoss": "mse_loss", "nn.Softmax": "softmax",
    "nn.LogSoftmax": "log_softmax", "nn.CrossEntropyLoss": "cross_entropy", "nn.Tanh": "tanh",
    "nn.Sigmoid": "sigmoid", "nn.GELU": "gelu", "nn.LeakyReLU": "leaky_relu",
    "nn.GeneralReLU": "general_relu", "nn.Dropout": "dropout", "nn.Conv2d": "conv2d",
    "nn.MaxPool2d": "max_pool2d", "nn.AvgPool2d": "avg_pool2d",
    "nn.AdaptiveAvgPool2d": "avg_pool2d",
}  # fmt: skip
# Models that come whole open with what they are made of.
WHOLE = {
    "vision.cnn": ("Sequential", "conv2d", "relu", "Linear"),
    "vision.mlp": ("Sequential", "relu", "Linear"),
    "autocast": ("autograd", "matmul"),
}

PIECES = {piece.key: piece for piece in COURSE}
_OPENED = {name: piece.key for piece in COURSE for name in piece.opens}
# Rooms in which a name means another thing than the tensors' function of that name.
_OWN_NAMES = ("nn", "optim", "init", "data", "train", "vision", "distributions")
# Where what has no piece in the course would be built.
_ROOM_NOTEBOOKS = {"optim.": "05", "data.": "08", "train.": "05"}


def keys(name: str) -> tuple[str, ...] | None:
    """The keys that a public name needs: () for what is allowed, None for what is not public."""
    if name in HOUSE:
        return None
    if name.startswith("__"):
        return ()  # a protocol of Python's: x[i], len(x), float(x), print(x)
    if name in ALLOWED or name in ALLOWED_CLASSES or name.endswith("Error"):
        return ()
    if name in WHOLE:
        return WHOLE[name]
    if name in LAYERS:
        return ("Module", LAYERS[name])
    if name in _OPENED:
        return (_OPENED[name],)
    if name.startswith("Indexed."):
        own = name.removeprefix("Indexed.")
        # The notation's own reductions are the loops that it is; functions are built one by one.
        inner = keys(own) if own in _FUNCTIONS else ()
        return ("einsum", *(inner or ()))
    room, dot, rest = name.partition(".")
    if "." in rest:
        return keys(f"{room}.{rest.partition('.')[0]}")  # a method of a class
    if room + dot in ALLOWED_ROOMS:
        return ()
    if room == "autograd":
        return () if rest in ALLOWED else ("autograd",)
    if room not in _OWN_NAMES and (rest in _OPENED or rest in ALLOWED):
        return keys(rest)
    if room in ("optim", "init", "data", "train"):
        return (name if rest in PIECES else rest,)
    return (rest or name,)


def is_listed(name: str) -> bool:
    """Does the table know this name itself (or only the room that it lies in)?"""
    known = (ALLOWED, ALLOWED_CLASSES, HOUSE, LAYERS, WHOLE, _OPENED)
    return any(name in names for names in known)


_FUNCTIONS = _names(
    """exp expm1 log log1p log2 log10 sqrt rsqrt reciprocal square sin cos tan tanh erf sigmoid relu
    sign floor ceil trunc round isnan isinf isfinite clamp clamp_min clamp_max maximum minimum lerp
    masked_fill where"""
)


def piece_of(key: str, name: str | None = None) -> Piece:
    """The piece of a key: one of the course, or else one of its own, for the later course."""
    known = PIECES.get(key)
    if known is not None:
        return known
    room = (name or key).partition(".")[0] + "."
    notebook = _ROOM_NOTEBOOKS.get(room, "later")
    return Piece(key, notebook, (name or key,), "what is built already, and Python")
