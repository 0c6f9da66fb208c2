"""Module and Parameter: how a model keeps its tensors, finds them, saves them and loads them.

A module is a plain object: everything is found by walking `vars(module)`, in the order in which the
attributes were set. This room must not know what a layer computes or how a model is trained.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from groundup.tensor import DType, Tensor, door, no_grad
from groundup.tensor.hooks import RemovableHandle

from .hooks import ModuleHooks

Self = TypeVar("Self", bound="Module")


class Parameter(Tensor):
    """A tensor that a module trains: assigned as an attribute, it is found by `parameters()`.

    data: the tensor whose memory it takes over (not copied).
    requires_grad: whether `.backward()` fills its `.grad`.

    >>> w = Parameter(gu.zeros(2, 3))
    >>> w.requires_grad
    True
    """

    def __init__(self, data: Tensor, requires_grad: bool = True) -> None:
        door.passing()
        if not isinstance(data, Tensor):
            raise TypeError(f"a Parameter is made of a Tensor, not {type(data).__name__}")
        data.detach().alias(self)
        self.requires_grad_(requires_grad)


class Module:
    """A function with tensors of its own: subclass it, set attributes, write `forward`.

    Parameters, buffers (`register_buffer`) and other modules are found by attribute, at any depth;
    modules kept in a list belong into a `ModuleList`. Numbers stay plain attributes.

    >>> class Affine(nn.Module):
    ...     def __init__(self) -> None:
    ...         super().__init__()
    ...         self.scale = nn.Parameter(gu.ones(3))
    ...     def forward(self, x):
    ...         return x * self.scale
    >>> [name for name, _ in Affine().named_parameters()]
    ['scale']
    """

    training: bool = True
    buffer_names: tuple[str, ...] = ()  # the attributes that are buffers, see register_buffer
    _hooks: ModuleHooks | None = None

    def __init__(self) -> None:
        door.passing()
        self.training = True

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the module computes; a subclass writes it."""
        raise NotImplementedError(
            f"{type(self).__name__} has no forward: define `def forward(self, x): …` in the class"
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self._hooks is None:
            return self.forward(*args, **kwargs)
        return self._hooks.call(self, args, kwargs)

    # ---- hooks -----------------------------------------------------------------------------

    def _with_hooks(self) -> ModuleHooks:
        if self._hooks is None:
            self._hooks = ModuleHooks()
        return self._hooks

    def register_forward_pre_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Have hook(module, args) called before each `forward`; what it gives, unless None, are the
        arguments to go on with. with_kwargs: hook(module, args, kwargs), which gives both."""
        return RemovableHandle(self._with_hooks().before, (hook, with_kwargs), prepend)

    def register_forward_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Have hook(module, args, result) called after each `forward`; what it gives, unless None,
        is the result to go on with. with_kwargs: hook(module, args, kwargs, result).

        >>> layer = nn.Linear(2, 3)
        >>> shapes = []
        >>> handle = layer.register_forward_hook(lambda m, args, y: shapes.append(y.shape))
        >>> y = layer(gu.ones(4, 2))
        >>> handle.remove()
        >>> shapes
        [(4, 3)]
        """
        return RemovableHandle(self._with_hooks().after, (hook, with_kwargs), prepend)

    def register_full_backward_pre_hook(
        self, hook: Callable[[Any, tuple[Any, ...]], Any], prepend: bool = False
    ) -> RemovableHandle:
        """Have hook(module, grad_output) called with the derivatives by the results of each call;
        what it gives, unless None, are those to go on with."""
        return RemovableHandle(self._with_hooks().backward_before, hook, prepend)

    def register_full_backward_hook(
        self, hook: Callable[[Any, tuple[Any, ...], tuple[Any, ...]], Any], prepend: bool = False
    ) -> RemovableHandle:
        """Have hook(module, grad_input, grad_output) called with the derivatives by arguments and
        results of each call; what it gives, unless None, are those by the arguments to go on with.
        Only tensors given by position are looked at; None stands for what is no tensor, and for a
        result that nothing depends on."""
        return RemovableHandle(self._with_hooks().backward, hook, prepend)

    def register_buffer(self, name: str, tensor: Tensor) -> None:
        """Keep a tensor that is saved and moved with the module, but not trained."""
        if not isinstance(tensor, Tensor) or isinstance(tensor, Parameter):
            raise TypeError(f"buffer {name!r} must be a Tensor, not {type(tensor).__name__}")
        setattr(self, name, tensor)
        if name not in self.buffer_names:
            self.buffer_names = (*self.buffer_names, name)

    # ---- finding ---------------------------------------------------------------------------

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """(name, module) of the modules that are attributes of this one."""
        for name, value in vars(self).items():
            if isinstance(value, Module):
                yield name, value

    def children(self) -> Iterator[Module]:
        """The modules that are attributes of this one."""
        return (child for _, child in self.named_children())

    def _walk(self) -> Iterator[tuple[str, Module]]:
        """(path, module) of this module and all below, parents first, every path of a shared one.

        A stack, not recursion: a network of 10,000 nested modules is no deeper than one.
        """
        entered: set[int] = set()  # the modules between self and the one at hand
        stack: list[tuple[str, Module, bool]] = [("", self, False)]
        while stack:
            path, module, leaving = stack.pop()
            if leaving:
                entered.discard(id(module))
                continue
            if id(module) in entered:
                raise ValueError(
                    f"module {path!r} contains itself: a model must be a tree, without cycles"
                )
            entered.add(id(module))
            yield path, module
            stack.append((path, module, True))
            for name, child in reversed(list(module.named_children())):
                stack.append((f"{path}.{name}" if path else name, child, False))

    def named_modules(self) -> Iterator[tuple[str, Module]]:
        """(path, module) of this module (path '') and of all below it, each module once."""
        return _once(self._walk())

    def modules(self) -> Iterator[Module]:
        """This module and all below it, each once."""
        return (module for _, module in self.named_modules())

    def _named_tensors(self, want: Callable[[Module, str, Tensor], bool]) -> _Named:
        for path, module in self._walk():
            for name, value in vars(module).items():
                if isinstance(value, Tensor) and want(module, name, value):
                    yield (f"{path}.{name}" if path else name), value

    def named_parameters(self) -> _Named:
        """(path, parameter) of this module and of all below it, a shared one once."""
        return _once(self._named_tensors(_is_parameter))

    def parameters(self) -> Iterator[Tensor]:
        """The parameters of this module and of all below it, a shared one once."""
        return (parameter for _, parameter in self.named_parameters())

    def named_buffers(self) -> _Named:
        """(path, buffer) of this module and of all below it, a shared one once."""
        return _once(self._named_tensors(_is_buffer))

    def buffers(self) -> Iterator[Tensor]:
        """The buffers of this module and of all below it, a shared one once."""
        return (buffer for _, buffer in self.named_buffers())

    # ---- modes -----------------------------------------------------------------------------

    def train(self: Self, mode: bool = True) -> Self:
        """Put this module and all below it into training mode (dropout, batch norm)."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self: Self) -> Self:
        """Put this module and all below it into evaluation mode."""
        return self.train(False)

    def requires_grad_(self: Self, requires_grad: bool = True) -> Self:
        """Ask for gradients of every parameter, or freeze them all."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of every parameter (or fill them with zeros)."""
        for parameter in self.parameters():
            if set_to_none:
                parameter.grad = None
            elif parameter.grad is not None:
                parameter.grad.zero_()

    def apply(self: Self, fn: Callable[[Module], object]) -> Self:
        """Call `fn` on every module, children before parents (for example to initialise)."""
        for module in reversed(list(self.modules())):
            fn(module)
        return self

    # ---- saving and loading ----------------------------------------------------------------

    def state_dict(self) -> dict[str, Tensor]:
        """Every parameter and buffer by path, detached; a shared one under each of its paths."""
        named = self._named_tensors(lambda m, n, t: _is_parameter(m, n, t) or _is_buffer(m, n, t))
        return {path: tensor.detach() for path, tensor in named}

    def load_state_dict(self, state: Mapping[str, Tensor], strict: bool = True) -> None:
        """Copy the values of a state dict into this module's parameters and buffers.

        state: tensors by path, with the shapes of this module's own; converted to their dtypes.
        strict: every path must be present on both sides, else both lists are in the error.
        Raises ValueError, with nothing copied, when a path or a shape does not fit.
        """
        named = self._named_tensors(lambda m, n, t: _is_parameter(m, n, t) or _is_buffer(m, n, t))
        own = dict(named)
        problems = _mismatches(own, state, strict)
        if problems:
            raise ValueError(
                f"this state does not fit {type(self).__name__}:\n  " + "\n  ".join(problems)
            )
        with no_grad():
            for path, tensor in own.items():
                if path in state:
                    tensor.copy_(state[path])

    def to(self: Self, dtype: DType) -> Self:
        """Convert every floating-point parameter and buffer to another dtype, in place.

        Parameters stay the same objects, so an optimizer goes on training them.
        """
        for tensor in (*self.parameters(), *self.buffers()):
            if tensor.dtype.is_float:
                tensor.data = tensor.detach().to(dtype)
                if tensor.grad is not None:
                    tensor.grad = tensor.grad.detach().to(dtype)
        return self

    # ---- showing ---------------------------------------------------------------------------

    def extra_repr(self) -> str:
        """What stands between the parentheses of the module's own line."""
        return ""

    def __repr__(self) -> str:
        lines = [f"({name}): {_indent(repr(child))}" for name, child in self.named_children()]
        extra = self.extra_repr()
        name = type(self).__name__
        if not lines:
            return f"{name}({extra})"
        head = f"{extra}\n" if extra else "\n"
        return f"{name}({head}" + "".join(f"  {line}\n" for line in lines) + ")"


_Named = Iterator[tuple[str, Any]]


def _once(named: _Named) -> _Named:
    """The pairs whose object has not been seen before."""
    seen: set[int] = set()
    for name, value in named:
        if id(value) not in seen:
            seen.add(id(value))
            yield name, value


def _is_parameter(module: Module, name: str, value: Tensor) -> bool:
    return isinstance(value, Parameter)


def _is_buffer(module: Module, name: str, value: Tensor) -> bool:
    return name in module.buffer_names


def _mismatches(own: Mapping[str, Tensor], state: Mapping[str, Tensor], strict: bool) -> list[str]:
    """One line for each path of a state dict that does not fit."""
    problems: list[str] = []
    if strict:
        missing = [path for path in own if path not in state]
        unknown = [path for path in state if path not in own]
        if missing:
            problems.append(f"missing from the state: {', '.join(missing)}")
        if unknown:
            problems.append(f"not in the module: {', '.join(unknown)}")
    for path, tensor in own.items():
        given: object = state.get(path)
        if given is None:
            continue
        if not isinstance(given, Tensor):
            problems.append(f"{path}: a Tensor was expected, not {type(given).__name__}")
        elif tuple(given.shape) != tuple(tensor.shape):
            problems.append(
                f"{path}: shape {tuple(given.shape)} in the state, "
                f"{tuple(tensor.shape)} in the module"
            )
    return problems


def _indent(text: str) -> str:
    return text.replace("\n", "\n  ")
