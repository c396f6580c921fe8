import numpy as np
import pytest

import lenet5
from lenet5 import SDLM, SGD, ConfigError, Parameter
from lenet5.errors import CheckpointError
from lenet5.optim import Adagrad, Adam, RMSprop, schedule
from lenet5.parameter import ParameterList

CURVATURE = np.array([4.0, 0.5, 1.0, 0.01])


def parameters():
    a, b = Parameter("a", np.array([[1.0, -2.0]])), Parameter("b", np.array([0.5, 3.0]))
    return ParameterList([a, b])


def follow(optimizer, steps=100):
    """Minimise 1/2 sum of CURVATURE * value^2; return the parameters after each step."""
    path = []
    for _ in range(steps):
        optimizer.params.grad[...] = CURVATURE * optimizer.params.value
        optimizer.step()
        path.append(optimizer.params.value.copy())
    return np.array(path)


def sgd_by_equation(lr, momentum=0.0, nesterov=False, l2=0.0, l1=0.0, steps=100):
    x, v, path = parameters().value.copy(), np.zeros(4), []
    for _ in range(steps):
        g = CURVATURE * x + l2 * x + l1 * np.sign(x)
        v = momentum * v + g
        x = x - lr * (g + momentum * v if nesterov else v)
        path.append(x)
    return np.array(path)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"momentum": 0.9},
        {"momentum": 0.9, "nesterov": True},
        {"l2": 0.1},
        {"l1": 0.05},
        {"momentum": 0.5, "l2": 0.1, "l1": 0.02},
    ],
)
def test_sgd_follows_its_equation(options):
    np.testing.assert_allclose(
        follow(SGD(parameters(), lr=0.1, **options)), sgd_by_equation(0.1, **options), atol=1e-14
    )


def test_sgd_leaves_the_gradient_alone():
    params = parameters()
    params.grad[...] = 2.0
    SGD(params, lr=0.1, l2=0.3, l1=0.1, momentum=0.9).step()
    assert (params.grad == 2).all()


def test_sdlm_is_eq_21():
    params = parameters()
    optimizer = SDLM(params, lr=0.5, mu=0.1)
    np.testing.assert_allclose(optimizer.rates, 0.5 / 0.1)
    params.hess[...] = CURVATURE
    optimizer.observe()
    rates = 0.5 / (0.1 + CURVATURE)
    np.testing.assert_allclose(optimizer.rates, rates)
    start = params.value.copy()
    expected = start * (1 - rates * CURVATURE) ** np.arange(1, 101)[:, None]
    np.testing.assert_allclose(follow(optimizer), expected, atol=1e-14)
    optimizer.lr = 0.05
    np.testing.assert_allclose(optimizer.rates, rates / 10)


def test_sdlm_momentum():
    params = parameters()
    optimizer = SDLM(params, lr=0.1, mu=1.0, momentum=0.8)
    params.hess[...] = CURVATURE
    optimizer.observe()
    x, v, rates = params.value.copy(), 0.0, 0.1 / (1 + CURVATURE)
    path = follow(optimizer, 20)
    for found in path:
        v = 0.8 * v + rates * CURVATURE * x
        x = x - v
        np.testing.assert_allclose(found, x, atol=1e-14)


@pytest.mark.parametrize(
    ("rule", "expected"), [("maximum", [3.0, 3.0, 5.0]), ("latest", [3.0, 1.0, 5.0]), ("average", [3.0, 2.4, 3.18])]
)
def test_h_from_pass_to_pass(rule, expected):
    params = parameters()
    optimizer = SDLM(params, lr=1.0, rule=rule)
    for new, h in zip([3.0, 1.0, 5.0], expected, strict=True):
        params.hess[...] = new
        optimizer.observe()
        np.testing.assert_allclose(optimizer.curvature, h)
        np.testing.assert_allclose(optimizer.rates, 1 / (0.02 + h))


def test_a_step_allocates_nothing():
    import tracemalloc

    values = ParameterList([Parameter("a", np.ones(100_000))])
    values.grad[...] = 1
    optimizers = [SGD(values, lr=0.1, momentum=0.9, nesterov=True, l1=0.1, l2=0.1), SDLM(values, lr=0.1, momentum=0.5)]
    for optimizer in optimizers:
        optimizer.step()
        tracemalloc.start()
        optimizer.step()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 10_000


@pytest.mark.parametrize(
    "make",
    [lambda p: SGD(p, lr=0.1, momentum=0.9, l1=0.01), lambda p: SDLM(p, lr=0.1, momentum=0.5, rule="average")],
)
def test_state_goes_on_where_it_was(make):
    straight, first = make(parameters()), make(parameters())
    for optimizer in (straight, first):
        optimizer.params.hess[...] = CURVATURE
        if isinstance(optimizer, SDLM):
            optimizer.observe()
    expected = follow(straight, 20)
    follow(first, 8)
    second = make(parameters())
    second.params.value[...] = first.params.value
    second.load_state_dict(first.state_dict())
    np.testing.assert_array_equal(follow(second, 12), expected[8:])
    state = first.state_dict()
    with pytest.raises(CheckpointError):
        second.load_state_dict({k: v for k, v in state.items() if k != "velocity"})
    with pytest.raises(CheckpointError):
        second.load_state_dict(state | {"velocity": np.zeros(3)})


def test_an_optimiser_of_some_parameters_steps_the_network_itself():
    params = parameters()
    some = SGD(params[1:], lr=1.0)
    params.grad[...] = 1
    some.step()
    np.testing.assert_array_equal(params.value, [1.0, -2.0, -0.5, 2.0])
    net = lenet5.lenet5()
    with pytest.raises(ConfigError, match="C1.weight, F6.weight"):
        SGD([net["C1"].weight, net["F6"].weight], lr=1.0)
    loose = [Parameter("c", np.ones(2)), Parameter("d", np.ones(3))]
    SGD(loose, lr=1.0).params.value[...] = 7
    assert (loose[1].value == 7).all()


@pytest.mark.parametrize(
    "make",
    [
        lambda p: SGD(p, lr=-1),
        lambda p: SGD(p, lr=float("nan")),
        lambda p: SGD(p, lr=1, momentum=1.0),
        lambda p: SGD(p, lr=1, nesterov=True),
        lambda p: SGD(p, lr=1, l2=-0.1),
        lambda p: SDLM(p, lr=1, mu=0),
        lambda p: SDLM(p, lr=1, rule="sum"),
        lambda p: schedule.step(0.1, every=0),
        lambda p: schedule.cosine(0.1, epochs=0),
        lambda p: schedule.one_cycle(0.1, epochs=0),
    ],
)
def test_options_must_make_sense(make):
    with pytest.raises(ConfigError):
        make(parameters())


def test_the_papers_schedule():
    eta = schedule.paper()
    expected = [5e-4] * 2 + [2e-4] * 3 + [1e-4] * 3 + [5e-5] * 4 + [1e-5] * 8
    assert [eta(k) for k in range(20)] == expected and eta(99) == 1e-5
    assert [schedule.paper(1e-3)(k) for k in (0, 2, 12)] == pytest.approx([1e-3, 4e-4, 2e-5])
    assert [schedule.paper(skip=2)(k) for k in (0, 3, 10, 99)] == [2e-4, 1e-4, 1e-5, 1e-5]
    assert [schedule.paper(1e-3, skip=2)(k) for k in (0, 3)] == pytest.approx([1e-3, 5e-4])
    with pytest.raises(ConfigError, match="skip"):
        schedule.paper(skip=13)


def test_schedules():
    assert [schedule.constant(0.1)(k) for k in (0, 50)] == [0.1, 0.1]
    stepped = schedule.step(1.0, every=3, factor=0.5)
    assert [stepped(k) for k in range(7)] == [1, 1, 1, 0.5, 0.5, 0.5, 0.25]
    cosine = schedule.cosine(1.0, epochs=4, final=0.2)
    assert [cosine(k) for k in (0, 2, 3, 4, 9)] == pytest.approx([1.0, 0.6, 0.6 - 0.4 / 2**0.5, 0.2, 0.2])
    assert schedule.cosine(0.3, epochs=1)(0) == 0.3
    cycle = schedule.one_cycle(1.0, epochs=11, start=0.2, final=0.1)
    rates = [cycle(k) for k in range(11)]
    assert rates[0] == pytest.approx(0.2) and rates[3] == 1.0 and rates[10] == pytest.approx(0.1)
    assert rates[1] == pytest.approx(0.2 + 0.8 * 0.25) and rates == sorted(rates[:4]) + sorted(rates[4:], reverse=True)
    assert rates[9] == pytest.approx(0.1 + 0.9 * (1 + np.cos(np.pi * 6 / 7)) / 2)
    assert schedule.one_cycle(0.3, epochs=1)(0) == 0.3
    assert schedule.one_cycle(0.3, epochs=2, final=0.1)(1) == pytest.approx(0.1)
    assert schedule.one_cycle(0.3, epochs=9)(8) == pytest.approx(0.3 / 1000)
    warm = schedule.warmup(schedule.constant(1.0), epochs=3)
    assert [warm(k) for k in range(5)] == pytest.approx([0.25, 0.5, 0.75, 1, 1])


def penalised(g, x, l2=0.0, l1=0.0):
    return g + l2 * x + l1 * np.sign(x)


def adagrad_by_equation(x, lr, eps=1e-10, decay=0.0, **penalty):
    s = np.zeros(4)
    while True:
        g = penalised(CURVATURE * x, x, **penalty)
        s = s + g * g
        x = x - lr * decay * x - lr * g / (np.sqrt(s) + eps)
        yield x


def rmsprop_by_equation(x, lr, rho=0.99, momentum=0.0, eps=1e-8, decay=0.0, **penalty):
    s, v = np.zeros(4), np.zeros(4)
    while True:
        g = penalised(CURVATURE * x, x, **penalty)
        s = rho * s + (1 - rho) * g * g
        v = momentum * v + g / (np.sqrt(s) + eps)
        x = x - lr * decay * x - lr * v
        yield x


def adam_by_equation(x, lr, beta1=0.9, beta2=0.999, eps=1e-8, amsgrad=False, decay=0.0, **penalty):
    m, s, top, t = np.zeros(4), np.zeros(4), np.zeros(4), 0
    while True:
        t += 1
        g = penalised(CURVATURE * x, x, **penalty)
        m, s = beta1 * m + (1 - beta1) * g, beta2 * s + (1 - beta2) * g * g
        top = np.maximum(top, s) if amsgrad else s
        x = x - lr * decay * x - lr * (m / (1 - beta1**t)) / (np.sqrt(top / (1 - beta2**t)) + eps)
        yield x


ADAPTIVE = [
    (Adagrad, adagrad_by_equation, {}),
    (Adagrad, adagrad_by_equation, {"eps": 0.1, "l1": 0.02}),
    (RMSprop, rmsprop_by_equation, {}),
    (RMSprop, rmsprop_by_equation, {"rho": 0.5, "momentum": 0.8, "eps": 0.01, "l2": 0.1}),
    (Adam, adam_by_equation, {}),
    (Adam, adam_by_equation, {"beta1": 0.5, "beta2": 0.6, "eps": 0.1, "amsgrad": True}),
    (Adam, adam_by_equation, {"l2": 0.1, "l1": 0.02}),
    (Adam, adam_by_equation, {"decay": 0.3}),
    (SGD, lambda x, lr, decay: iter(sgd_with_decay(x, lr, decay)), {"decay": 0.3}),
]


def sgd_with_decay(x, lr, decay):
    while True:
        x = x - lr * decay * x - lr * CURVATURE * x
        yield x


@pytest.mark.parametrize(("kind", "equation", "options"), ADAPTIVE)
def test_adaptive_optimisers_follow_their_equations(kind, equation, options):
    path = equation(parameters().value.copy(), 0.05, **options)
    expected = np.array([next(path) for _ in range(100)])
    np.testing.assert_allclose(follow(kind(parameters(), lr=0.05, **options)), expected, rtol=0, atol=1e-13)
    assert np.abs(expected[-1] - parameters().value).max() > 0.1  # the parameters moved


@pytest.mark.parametrize(("kind", "equation", "options"), ADAPTIVE)
def test_adaptive_optimisers_go_on_where_they_stopped(kind, equation, options):
    straight = follow(kind(parameters(), lr=0.05, **options), 20)
    first = kind(parameters(), lr=0.05, **options)
    follow(first, 8)
    second = kind(parameters(), lr=0.05, **options)
    second.params.value[...] = first.params.value
    second.load_state_dict(first.state_dict())
    np.testing.assert_array_equal(follow(second, 12), straight[8:])


@pytest.mark.parametrize("kind", [SGD, Adagrad, RMSprop, Adam])
def test_long_gradients_are_shortened(kind):
    clipped, short = kind(parameters(), lr=0.1, clip=0.5), kind(parameters(), lr=0.1)
    for gradient in ([3.0, 0.0, -4.0, 0.0], [0.1, 0.2, 0.0, 0.3]):
        clipped.params.grad[...] = gradient
        short.params.grad[...] = np.array(gradient) * min(1, 0.5 / np.linalg.norm(gradient))
        clipped.step()
        short.step()
        np.testing.assert_allclose(clipped.params.value, short.params.value, rtol=0, atol=1e-15)
        np.testing.assert_array_equal(clipped.params.grad, gradient)
    assert SGD(parameters(), lr=0.1, clip=1.0).rates_of_plain_step() is None


def test_unknown_options_are_refused():
    with pytest.raises(TypeError, match="weight_decay"):
        Adam(parameters(), weight_decay=0.1)


@pytest.mark.parametrize(
    "make",
    [
        lambda p: Adam(p, beta1=1.0), lambda p: Adam(p, beta2=-0.1), lambda p: Adam(p, eps=0.0),
        lambda p: RMSprop(p, rho=1.0), lambda p: Adagrad(p, lr=-1.0), lambda p: SGD(p, lr=0.1, decay=-1.0),
        lambda p: Adam(p, l2=float("nan")), lambda p: SGD(p, lr=0.1, clip=0.0),
    ],
)  # fmt: skip
def test_options_out_of_range(make):
    with pytest.raises(ConfigError, match="must be at least"):
        make(parameters())
