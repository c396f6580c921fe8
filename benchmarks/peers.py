"""Build the paper's network in each library, with a training step and inference.

A peer is a function (batch, threads) -> (train, infer): two callables without arguments that process one batch of the
same images. All compute the same network in float32, with Table I, trainable sub-sampling, RBF units and eq. 9. Other
libraries train with plain SGD, because they have no SDLM; lenet5 trains with SDLM.
"""

from collections.abc import Callable

import numpy as np

import lenet5
from lenet5.layers.conv import parse_table

Pair = tuple[Callable[[], object], Callable[[], object]]

TABLE = parse_table(lenet5.layers.TABLE_I)
CODES = lenet5.bitmaps.codes().astype(np.float32)
J, SCALE, RATE = 0.1, 0.5, 1e-5


def data(batch: int) -> tuple[np.ndarray, np.ndarray]:
    """Return images of `digits`, uint8 (batch, 28, 28), and their labels, repeated as needed."""
    train, _ = lenet5.datasets.load("digits")
    pick = np.arange(batch) % len(train)
    return train.images[pick], train.labels[pick]


def prepared(batch: int) -> tuple[np.ndarray, np.ndarray]:
    """Return prepared images (batch, 1, 32, 32) and int64 labels."""
    images, labels = data(batch)
    return lenet5.datasets.prepare(images), labels.astype(np.int64)


def ours(batch: int, threads: int) -> Pair:
    """Use lenet5 as its training loop does: from uint8 images, with eq. 9 and SDLM."""
    from lenet5.training.shards import Shards

    images, labels = data(batch)
    net = lenet5.lenet5()
    loss = lenet5.MAP(J, scale=SCALE)
    optimizer = lenet5.SDLM(net.parameters(), lr=RATE)
    shards = Shards(net, loss, threads=threads)
    rates = optimizer.rates_of_plain_step()
    x = net.prepare(images)

    def train() -> None:
        if batch == 1:
            shards.step(images, labels, rates, 0.0)
        else:
            shards.gradient(images, labels)
            optimizer.step()

    return train, lambda: net.outputs(x) if threads == 1 or batch == 1 else shards.outputs(x)


def torch_eager(batch: int, threads: int) -> Pair:
    """Use PyTorch in eager mode."""
    return _torch(batch, threads, compiled=False)


def torch_compiled(batch: int, threads: int) -> Pair:
    """Use PyTorch with torch.compile."""
    return _torch(batch, threads, compiled=True)


def _torch(batch: int, threads: int, *, compiled: bool) -> Pair:
    import torch
    from torch import nn
    from torch.nn import functional

    torch.set_num_threads(threads)

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.c1, self.c3, self.c5 = nn.Conv2d(1, 6, 5), nn.Conv2d(6, 16, 5), nn.Conv2d(16, 120, 5)
            self.f6 = nn.Linear(120, 84)
            self.s2, self.b2 = nn.Parameter(torch.ones(6, 1, 1)), nn.Parameter(torch.zeros(6, 1, 1))
            self.s4, self.b4 = nn.Parameter(torch.ones(16, 1, 1)), nn.Parameter(torch.zeros(16, 1, 1))
            self.register_buffer("mask", torch.from_numpy(TABLE.T[:, :, None, None].astype(np.float32)))
            self.register_buffer("codes", torch.from_numpy(CODES))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            def squash(a: torch.Tensor) -> torch.Tensor:
                return 1.7159 * torch.tanh(a * (2 / 3))

            x = squash(self.c1(x))
            x = squash(4 * functional.avg_pool2d(x, 2) * self.s2 + self.b2)
            x = squash(functional.conv2d(x, self.c3.weight * self.mask, self.c3.bias))
            x = squash(4 * functional.avg_pool2d(x, 2) * self.s4 + self.b4)
            x = squash(self.f6(squash(self.c5(x)).flatten(1)))
            return ((x[:, None] - self.codes) ** 2).sum(2)

    net = Net()
    x, labels = (torch.from_numpy(a) for a in prepared(batch))
    optimizer = torch.optim.SGD(net.parameters(), lr=RATE)
    run = torch.compile(net) if compiled else net
    rubbish = torch.full((batch, 1), -J)

    def train() -> None:
        optimizer.zero_grad(set_to_none=True)
        y = run(x)
        loss = y.gather(1, labels[:, None])[:, 0] + torch.logsumexp(torch.cat([-y, rubbish], 1), 1)
        (SCALE * loss.mean()).backward()
        optimizer.step()

    def infer() -> None:
        with torch.inference_mode():
            run(x)

    return train, infer


def jax_jit(batch: int, threads: int) -> Pair:
    """Use JAX with jit. It ignores `threads` and uses the processors to which the process is bound."""
    import jax
    from jax import numpy as jnp

    rng = np.random.default_rng(0)

    def weight(*shape: int) -> np.ndarray:
        bound = 1 / np.sqrt(np.prod(shape[1:]))
        return rng.uniform(-bound, bound, shape).astype(np.float32)

    params = {
        "c1": weight(6, 1, 5, 5), "b1": np.zeros(6, np.float32), "s2": np.ones(6, np.float32),
        "b2": np.zeros(6, np.float32), "c3": weight(16, 6, 5, 5), "b3": np.zeros(16, np.float32),
        "s4": np.ones(16, np.float32), "b4": np.zeros(16, np.float32), "c5": weight(120, 16, 5, 5),
        "b5": np.zeros(120, np.float32), "f6": weight(84, 120), "b6": np.zeros(84, np.float32),
    }  # fmt: skip
    params = jax.tree.map(jnp.asarray, params)
    mask = TABLE.T[:, :, None, None].astype(np.float32)

    def conv(x, w, b):  # type: ignore[no-untyped-def]
        return jax.lax.conv(x, w, (1, 1), "VALID") + b[:, None, None]

    def pool(x, s, b):  # type: ignore[no-untyped-def]
        n, c, h, w = x.shape
        return x.reshape(n, c, h // 2, 2, w // 2, 2).sum((3, 5)) * s[:, None, None] + b[:, None, None]

    def squash(a):  # type: ignore[no-untyped-def]
        return 1.7159 * jnp.tanh(a * (2 / 3))

    def forward(p, x):  # type: ignore[no-untyped-def]
        x = squash(pool(squash(conv(x, p["c1"], p["b1"])), p["s2"], p["b2"]))
        x = squash(pool(squash(conv(x, p["c3"] * mask, p["b3"])), p["s4"], p["b4"]))
        x = squash(conv(x, p["c5"], p["b5"])).reshape(len(x), 120)
        x = squash(x @ p["f6"].T + p["b6"])
        return ((x[:, None] - CODES) ** 2).sum(2)

    def loss(p, x, labels):  # type: ignore[no-untyped-def]
        y = forward(p, x)
        rubbish = jnp.full((len(x), 1), -J)
        each = y[jnp.arange(len(x)), labels] + jax.nn.logsumexp(jnp.concatenate([-y, rubbish], 1), axis=1)
        return SCALE * each.mean()

    @jax.jit
    def step(p, x, labels):  # type: ignore[no-untyped-def]
        return jax.tree.map(lambda a, g: a - RATE * g, p, jax.grad(loss)(p, x, labels))

    infer = jax.jit(forward)
    x, labels = (jnp.asarray(a) for a in prepared(batch))
    state = [params]

    def train() -> None:
        state[0] = jax.block_until_ready(step(state[0], x, labels))

    return train, lambda: jax.block_until_ready(infer(params, x))


def onnx_runtime(batch: int, threads: int) -> Pair:
    """Use ONNX Runtime, for inference only."""
    import onnx
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    net = lenet5.lenet5()
    value = {p.name.replace(".", "_"): p.value for p in net.parameters()}
    dense = np.zeros((16, 6, 5, 5), np.float32)
    dense[np.nonzero(TABLE.T)] = value["C3_weight"]
    value |= {
        "C3_weight": dense,
        "codes": CODES,
        "axis": np.array([1]),
        "two": np.array([2]),
        "flat": np.array([0, -1]),
    }
    for name in ("S2_coefficient", "S2_bias", "S4_coefficient", "S4_bias"):
        value[name] = value[name][:, None, None] * (4 if "coef" in name else 1)
    value |= {"a": np.float32(1.7159), "s": np.float32(2 / 3)}
    nodes, last = [], "x"

    def add(op: str, *inputs: str, **options: object) -> None:
        nonlocal last
        out = f"t{len(nodes)}"
        nodes.append(helper.make_node(op, [last, *inputs], [out], **options))
        last = out

    def squash() -> None:
        add("Mul", "s")
        add("Tanh")
        add("Mul", "a")

    for conv, pool in (("C1", "S2"), ("C3", "S4"), ("C5", None)):
        add("Conv", f"{conv}_weight", f"{conv}_bias")
        squash()
        if pool:
            add("AveragePool", kernel_shape=[2, 2], strides=[2, 2])
            add("Mul", f"{pool}_coefficient")
            add("Add", f"{pool}_bias")
            squash()
    add("Reshape", "flat")
    add("Gemm", "F6_weight", "F6_bias", transB=1)
    squash()
    add("Unsqueeze", "axis")
    add("Sub", "codes")
    add("Mul", last)
    add("ReduceSum", "two", keepdims=0)
    graph = helper.make_graph(
        nodes,
        "lenet5",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, 1, 32, 32])],
        [helper.make_tensor_value_info(last, TensorProto.FLOAT, [batch, 10])],
        [numpy_helper.from_array(np.asarray(v), k) for k, v in value.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    if batch > 1:
        # By default, ONNX Runtime's threads spin after a call and would occupy the next library's processors. Keep the
        # default for single images: lenet5 uses only one thread for them, and spinning makes ONNX Runtime faster.
        options.add_session_config_entry("session.force_spinning_stop", "1")
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    x, _ = prepared(batch)
    expected, found = net.outputs(x), session.run(None, {"x": x})[0]
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-2)  # check that the networks are the same

    def no_training() -> None:
        raise NotImplementedError("ONNX Runtime is used for inference only")

    return no_training, lambda: session.run(None, {"x": x})


PEERS: dict[str, Callable[[int, int], Pair]] = {
    "lenet5": ours,
    "torch": torch_eager,
    "torch.compile": torch_compiled,
    "jax": jax_jit,
    "onnxruntime": onnx_runtime,
}
TRAINS = ("lenet5", "torch", "torch.compile", "jax")
