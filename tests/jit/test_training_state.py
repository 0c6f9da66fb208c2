"""Captured training: gradients, optimizers, modes and random numbers that change between calls."""

from __future__ import annotations

import copy
from typing import Any

import groundup as gu
from groundup import nn, optim

from .scenarios import as_plain, refused, row, values


@as_plain
def test_a_gradient_that_is_returned_is_the_one_that_is_kept(jit: Any) -> Any:
    w = nn.Parameter(row(1, 2, 3))

    def f(x):
        w.grad = None
        (w * x).sum().backward()
        return w.grad

    g = jit(f)
    r = []
    for v in (1, 2, 3, 4):
        y = g(row(v))
        y.add_(1)
        r.append((values(w.grad), values(y), y is w.grad))
    return r


@as_plain
def test_a_view_of_a_parameter_has_its_history(jit: Any) -> Any:
    w = nn.Parameter(row(1, 2, 3))
    g = jit(lambda: w[1:])
    r = []
    for v in (1, 2, 3, 4):
        y = g()
        (y * v).sum().backward()
        r.append((values(w.grad), values(y.detach())))
    return r


@as_plain
def test_gradients_are_set_to_none_at_each_call(jit: Any) -> Any:
    net = nn.Linear(2, 2)
    opt = optim.SGD(net.parameters(), lr=0.1)
    g = jit(lambda: opt.zero_grad())
    r = []
    for _ in range(4):
        net(gu.ones(1, 2)).sum().backward()
        g()
        r.append(net.weight.grad)
    return r


@as_plain
def test_gradients_are_filled_with_zeros_at_each_call(jit: Any) -> Any:
    net = nn.Linear(2, 2)
    opt = optim.SGD(net.parameters(), lr=0.1)
    g = jit(lambda: opt.zero_grad(set_to_none=False))
    r = []
    for _ in range(4):
        net(gu.ones(1, 2)).sum().backward()
        g()
        r.append(values(net.weight.grad))
    return r


@as_plain
def test_gradients_that_change_outside_are_seen(jit: Any) -> Any:
    w = nn.Parameter(row(1, 2))
    g = jit(lambda x: (w * x).sum().backward())
    r = []
    for i in range(8):
        if i in (3, 5):
            w.grad = None
        if i == 4:
            w.grad = row(100, 100)
        if i == 6:
            w.grad.zero_()
        g(row(1, 1))
        r.append(values(w.grad))
    return r


@as_plain
def test_a_parameter_that_is_frozen_is_seen(jit: Any) -> Any:
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    opt = optim.SGD(net.parameters(), lr=0.1)

    def f(x):
        opt.zero_grad()
        loss = net(x).sum()
        loss.backward()
        opt.step()
        return loss

    g = jit(f)
    r = []
    for i in range(9):
        if i == 3:
            net[0].weight.requires_grad_(False)
        if i == 6:
            net[0].weight.requires_grad_(True)
        r.append((values(g(gu.ones(1, 2)).detach()), values(net[0].weight.detach())))
    return r


@as_plain
def test_numbers_of_an_optimizer_are_followed(jit: Any) -> Any:
    net = nn.Linear(2, 1)
    opt = optim.SGD(net.parameters(), lr=0.1)

    def f(x):
        opt.zero_grad()
        loss = net(x).sum()
        loss.backward()
        opt.step()
        return loss.detach()

    g = jit(f)
    r = []
    for i in range(8):
        r.append(values(g(gu.ones(1, 2))))
        opt.param_groups[0]["lr"] *= 0.7
        if i == 4:
            opt.param_groups[0]["momentum"] = 0.9
    return r


@as_plain
def test_a_rate_that_is_read_inside_is_compared(jit: Any) -> Any:
    net = nn.Linear(2, 1)
    opt = optim.SGD(net.parameters(), lr=0.5)
    g = jit(lambda x: x * opt.param_groups[0]["lr"])
    r = []
    for i in range(6):
        r.append(values(g(gu.ones(1, 2))))
        opt.param_groups[0]["lr"] *= 0.5
    return r


@as_plain
def test_a_rate_that_is_returned_is_the_newest(jit: Any) -> Any:
    net = nn.Linear(2, 1)
    opt = optim.SGD(net.parameters(), lr=0.5)

    def f(x):
        opt.zero_grad()
        loss = net(x).sum()
        loss.backward()
        opt.step()
        return (loss.detach(), opt.param_groups[0]["lr"])

    g = jit(f)
    r = []
    for i in range(6):
        r.append(values(g(gu.ones(1, 2))))
        opt.param_groups[0]["lr"] *= 0.5
    return r


@refused("changes numbers of an optimizer")
def test_a_rate_that_changes_before_a_step_inside_is_refused(jit: Any) -> Any:
    net = nn.Linear(2, 1)
    opt = optim.SGD(net.parameters(), lr=0.5)

    def f(x):
        opt.param_groups[0]["lr"] *= 0.5
        opt.zero_grad()
        loss = net(x).sum()
        loss.backward()
        opt.step()
        return loss.detach()

    g = jit(f)
    r = []
    for i in range(6):
        r.append(values(g(gu.ones(1, 2))))
    return (r, opt.param_groups[0]["lr"])


@as_plain
def test_a_schedule_may_step_inside(jit: Any) -> Any:
    net = nn.Linear(2, 1)
    opt = optim.SGD(net.parameters(), lr=0.5)
    count = {"steps": 0}

    def f(x):
        opt.zero_grad()
        loss = net(x).sum()
        loss.backward()
        opt.step()
        count["steps"] += 1
        opt.param_groups[0]["lr"] = 0.5 ** (1 + count["steps"] % 3)
        return loss.detach()

    g = jit(f)
    r = []
    for i in range(9):
        r.append(values(g(gu.ones(1, 2))))
    return (r, opt.param_groups[0]["lr"])


@as_plain
def test_added_parameters_are_seen(jit: Any) -> Any:
    net = nn.Linear(2, 1)
    w = nn.Parameter(row(1.0))
    opt = optim.Adam(net.parameters(), lr=0.5)

    def f(x):
        opt.zero_grad()
        loss = (net(x) * w).sum()
        loss.backward()
        opt.step()
        return loss.detach()

    g = jit(f)
    r = []
    for i in range(8):
        if i == 4:
            opt.add_param_group({"params": [w], "lr": 0.1})
        r.append((values(g(gu.ones(1, 2))), values(w.detach())))
    return r


@as_plain
def test_loaded_states_are_seen(jit: Any) -> Any:
    net = nn.Linear(2, 1)
    opt = optim.Adam(net.parameters(), lr=0.5)

    def f(x):
        opt.zero_grad()
        loss = net(x).sum()
        loss.backward()
        opt.step()
        return loss.detach()

    g = jit(f)
    r = []
    sd = {k: v.clone() for k, v in net.state_dict().items()}
    od = opt.state_dict()
    for i in range(8):
        if i == 4:
            net.load_state_dict(sd)
            opt.load_state_dict(od)
        r.append(values(g(gu.ones(1, 2))))
    return r


@as_plain
def test_statistics_modes_and_rates_of_layers_are_seen(jit: Any) -> Any:
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5))
    g = jit(lambda x: net(x).detach())
    r = []
    x = gu.arange(24.0).reshape(8, 3).sin()
    for i in range(12):
        if i == 3:
            net.eval()
        if i == 6:
            net.train()
            gu.manual_seed(3)
        if i == 9:
            net[1].momentum = 0.5
        if i == 10:
            net[2].p = 0.1
        r.append((values(g(x)), values(net[1].running_mean), values(net[1].num_batches_tracked)))
    return r


@as_plain
def test_random_numbers_follow_their_generator(jit: Any) -> Any:
    g = jit(
        lambda x: (
            x * gu.rand(2),
            gu.randn(2),
            gu.randint(0, 10, (3,)),
            gu.bernoulli(gu.full((4,), 0.5)),
        )
    )
    r = []
    for i in range(6):
        if i == 4:
            gu.manual_seed(7)
        if i == 5:
            gu.rand(1)
        r.append(values(g(gu.ones(2))))
    return r


@as_plain
def test_a_seed_inside_is_set_at_each_call(jit: Any) -> Any:

    def f(x):
        gu.manual_seed(5)
        return x * gu.rand(2)

    g = jit(f)
    return [values(g(gu.ones(2))) for _ in range(4)] + [values(gu.rand(2))]


@as_plain
def test_a_seed_may_be_given(jit: Any) -> Any:

    def f(x, s):
        gu.manual_seed(s)
        return x * gu.rand(2)

    g = jit(f)
    return [values(g(gu.ones(2), s)) for s in (1, 1, 1, 2, 1)] + [values(gu.rand(2))]


@as_plain
def test_a_generator_may_be_given(jit: Any) -> Any:
    gen = gu.Generator()
    gen.manual_seed(3)
    g = jit(lambda x, gen: x * gu.rand(2, generator=gen))
    r = []
    for i in range(6):
        if i == 4:
            gen.manual_seed(3)
        if i == 5:
            gen = gu.Generator()
            gen.manual_seed(9)
        r.append(values(g(gu.ones(2), gen)))
    return r


@as_plain
def test_a_generator_may_be_made_inside(jit: Any) -> Any:

    def f(x):
        gen = gu.Generator()
        gen.manual_seed(3)
        return x * gu.rand(2, generator=gen)

    g = jit(f)
    return [values(g(gu.ones(2))) for _ in range(4)]


@as_plain
def test_an_error_inside_leaves_everything_as_it_was(jit: Any) -> Any:
    st = {"bad": False}
    w = gu.zeros(1)

    def f(x):
        w.add_(1)
        if st["bad"]:
            raise ValueError("bad")
        return x * w

    g = jit(f)
    r = []
    for i in range(8):
        st["bad"] = i in (2, 5)
        try:
            r.append(values(g(row(1))))
        except ValueError as e:
            r.append(str(e))
    return r[:2]


@as_plain
def test_autocast_is_seen(jit: Any) -> Any:
    g = jit(lambda x: x @ x)
    r = []
    for i in range(7):
        if i in (1, 2, 4):
            with gu.autocast(dtype=gu.bfloat16):
                y = g(gu.ones(2, 2))
        else:
            y = g(gu.ones(2, 2))
        r.append(y.dtype.name)
    return r


@as_plain
def test_grad_mode_is_seen(jit: Any) -> Any:
    w = nn.Parameter(row(2.0))
    r = []

    def f(x):
        y = w * x
        if gu.is_grad_enabled():
            y.sum().backward()
        return y.detach()

    g = jit(f)
    for i in range(8):
        if i in (1, 2, 5):
            with gu.no_grad():
                y = g(row(1))
        else:
            y = g(row(1))
        r.append((values(y), values(w.grad) if w.grad is not None else None))
    return r


@as_plain
def test_grad_mode_may_change_inside(jit: Any) -> Any:

    def f(x):
        with gu.no_grad():
            a = gu.is_grad_enabled()
        with gu.enable_grad():
            b = gu.is_grad_enabled()
        return x * a + 2 * b

    g = jit(f)
    return [values(g(row(1))) for _ in range(4)]


@refused("leaves grad mode")
def test_a_grad_mode_that_is_left_changed_is_refused(jit: Any) -> Any:

    def f(x):
        gu.set_grad_enabled(False)
        return x * 2

    g = jit(f)
    r = []
    for _ in range(4):
        r.append(values(g(row(1))))
        r.append(gu.is_grad_enabled())
        gu.set_grad_enabled(True)
    return r


@as_plain
def test_threads_change_no_bit(jit: Any) -> Any:
    g = jit(lambda x: (x @ x).sum())
    r = []
    n = gu.get_num_threads()
    x = gu.randn(40, 40).realize()
    for k in (1, 2, 1, 2):
        gu.set_num_threads(k)
        r.append(g(x).item())
    gu.set_num_threads(n)
    return r


@as_plain
def test_a_derivative_may_be_taken_inside(jit: Any) -> Any:
    g = jit(lambda x: gu.grad(lambda z: (z**3).sum())(x))
    return [values(g(row(v))) for v in (1, 2, 3, 4)]


@as_plain
def test_a_derivative_through_a_captured_function_is_right(jit: Any) -> Any:
    g = jit(lambda x: (x**3).sum())
    return [values(gu.grad(g)(row(v))) for v in (1, 2, 3, 4)]


@as_plain
def test_an_argument_s_history_goes_on(jit: Any) -> Any:
    g = jit(lambda x: (x**2).sum())
    r = []
    for v in (1, 2, 3, 4):
        w = nn.Parameter(row(v))
        loss = g(w * 3) + w.sum()
        loss.backward()
        r.append(values(w.grad))
    return r


@refused("backward")
def test_a_result_has_no_history_of_its_own(jit: Any) -> Any:
    w = nn.Parameter(row(2))
    g = jit(lambda x: (x * w).sum())
    r = []
    for v in (1, 2, 3, 4):
        w.grad = None
        loss = g(row(v))
        loss.backward()
        r.append(values(w.grad))
    return r


@as_plain
def test_data_of_the_same_shape_may_be_given_inside(jit: Any) -> Any:
    w = nn.Parameter(row(2))

    def f(x):
        w.data = x * 2
        return w.detach() * 1

    g = jit(f)
    return [(values(g(row(v))), values(w.detach())) for v in (1, 2, 3, 4)]


@refused("changes the memory")
def test_memory_that_is_exchanged_inside_is_refused(jit: Any) -> Any:
    w = nn.Parameter(row(2))

    def f(x):
        w.data = gu.cat([x, x])
        return w.detach() * 1

    g = jit(f)
    return [(values(g(row(v))), values(w.detach())) for v in (1, 2, 3, 4)]


@refused("changes the requires_grad")
def test_a_leaf_that_is_made_inside_is_refused(jit: Any) -> Any:
    w = row(2)
    r = []

    def f(x):
        w.requires_grad_(True)
        (w * x).sum().backward()

    g = jit(f)
    for _ in range(4):
        g(row(1))
        r.append(values(w.grad))
    return r


@as_plain
def test_a_tensor_of_another_shape_or_type_is_seen(jit: Any) -> Any:
    st = {"w": row(1, 2)}
    g = jit(lambda x: x * st["w"])
    r = []
    for w in (
        row(1, 2),
        row(3, 4),
        row(1),
        row(5, 6).double(),
        row(1, 2)[:],
        nn.Parameter(row(1, 2)),
        row(7, 8),
    ):
        st["w"] = w
        r.append(repr(values(g(row(1, 1)).detach())))
    return r


@as_plain
def test_modules_may_be_given(jit: Any) -> Any:
    net = nn.Linear(2, 1)
    g = jit(lambda m, x: m(x).detach())
    r = []
    n2 = copy.deepcopy(net)
    with gu.no_grad():
        n2.weight.mul_(2)
    for m in (net, net, net, n2, net, n2):
        r.append(values(g(m, gu.ones(1, 2))))
    return r


@as_plain
def test_a_layer_that_is_replaced_is_seen(jit: Any) -> Any:
    net = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    g = jit(lambda x: net(x).detach())
    r = []
    for i in range(7):
        if i == 3:
            net[1] = nn.Tanh()
        if i == 5:
            net[0] = nn.Linear(2, 3)
        r.append(values(g(gu.ones(1, 2))))
    return r


@as_plain
def test_a_state_that_is_kept_goes_on(jit: Any) -> Any:
    cell = nn.LSTMCell(2, 3)

    class A:
        pass

    a = A()
    a.h = None

    def f(x):
        a.h = cell(x, a.h)
        return a.h[0].detach()

    g = jit(f)
    r = []
    with gu.no_grad():
        for i in range(6):
            if i == 4:
                a.h = None
            r.append(values(g(gu.ones(1, 2))))
    return r
