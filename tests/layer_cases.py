"""Every layer and option, with the shape of its input: one line here buys all checks of test_layers.py."""

from lenet5 import init
from lenet5.layers import (
    ELU,
    RBF,
    TABLE_I,
    AvgPool2D,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    LeakyReLU,
    MaxPool2D,
    PReLU,
    ReLU,
    ScaledTanh,
    Sigmoid,
    Subsampling,
    Tanh,
)

TABLE = """
    X . X
    X X .
"""

# name: (a function that makes the layer, in the state to check it in, and its input shape)
CASES = {
    "conv": (lambda: Conv2D(3, 3), (2, 6, 7)),
    "conv-1x1": (lambda: Conv2D(3, 1), (2, 4, 3)),
    "conv-same": (lambda: Conv2D(3, 5, padding="same"), (2, 6, 5)),
    "conv-same-even": (lambda: Conv2D(3, 4, padding="same"), (2, 5, 5)),
    "conv-same-stride": (lambda: Conv2D(3, 3, stride=2, padding="same"), (2, 6, 7)),
    "conv-stride": (lambda: Conv2D(3, (2, 3), stride=(1, 2), padding=2), (2, 6, 7)),
    "conv-stride-leaves-rest": (lambda: Conv2D(2, 3, stride=3), (2, 8, 7)),
    "conv-padding-pair": (lambda: Conv2D(2, 3, padding=(0, 3)), (2, 4, 3)),
    "conv-one-position": (lambda: Conv2D(4, 5), (3, 5, 5)),
    "conv-table": (lambda: Conv2D(3, 3, table=TABLE), (2, 5, 4)),
    "conv-table-stride-same": (lambda: Conv2D(3, 3, table=TABLE, stride=2, padding="same"), (2, 5, 4)),
    "conv-table-i": (lambda: Conv2D(16, 5, table=TABLE_I), (6, 7, 6)),
    "conv-gaussian": (lambda: Conv2D(2, 3, init=init.gaussian), (2, 4, 4)),
    "subsampling": (lambda: Subsampling(), (3, 6, 4)),
    "subsampling-leaves-rest": (lambda: Subsampling(2, coefficient=0.3), (3, 5, 7)),
    "subsampling-overlap": (lambda: Subsampling(3, stride=2), (2, 7, 7)),
    "average": (lambda: AvgPool2D(), (3, 4, 6)),
    "average-overlap": (lambda: AvgPool2D(3, stride=1), (2, 4, 5)),
    "max": (lambda: MaxPool2D(), (3, 4, 6)),
    "max-leaves-rest": (lambda: MaxPool2D(), (2, 5, 5)),
    "max-overlap": (lambda: MaxPool2D(3, stride=1), (2, 4, 5)),
    "dense": (lambda: Dense(4), (7,)),
    "dense-maps": (lambda: Dense(4), (7, 1, 1)),
    "dense-xavier": (lambda: Dense(4, init=init.xavier), (7,)),
    "scaled-tanh": (lambda: ScaledTanh(), (2, 3, 3)),
    "scaled-tanh-own": (lambda: ScaledTanh(0.7, 2.0), (5,)),
    "tanh": (lambda: Tanh(), (2, 3, 3)),
    "sigmoid": (lambda: Sigmoid(), (9,)),
    "relu": (lambda: ReLU(), (2, 3, 3)),
    "leaky-relu": (lambda: LeakyReLU(), (2, 3, 3)),
    "leaky-relu-steep": (lambda: LeakyReLU(1.7), (5,)),
    "elu": (lambda: ELU(), (2, 3, 3)),
    "elu-own": (lambda: ELU(0.4), (7,)),
    "prelu": (lambda: PReLU(), (3, 2, 3)),
    "prelu-vector": (lambda: PReLU(-0.3), (6,)),
    "dropout": (lambda: Dropout(), (2, 3, 3)),
    "dropout-training": (lambda: Dropout().train(), (2, 3, 3)),
    "dropout-vector-training": (lambda: Dropout(0.2).train(), (7,)),
    "flatten": (lambda: Flatten(), (2, 3, 4)),
    "rbf": (lambda: RBF(), (84,)),
    "rbf-maps": (lambda: RBF("0Oo"), (84, 1, 1)),
    "rbf-own-codes": (lambda: RBF([[1.0, -1.0, 0.5], [0.0, 2.0, 1.0]]), (3,)),
}
