"""Tables that reproduce the results of four earlier projects, which published single runs only."""

from itertools import product
from typing import Any

from .base import ACCURACY, ERROR, PASSES, TRAINING, Column, Row, Table

__all__ = ["PREDECESSORS"]


def _tutorial() -> tuple[Row, ...]:
    found = {
        "original": ("97.36 %", "32 and 64 maps, 1,024 units."),
        "third-stage": ("96.38 %", "A third convolution, with 128 maps."),
        "7x7": ("97.33 %", "The kernels of the second convolution are 7x7."),
        "half-width": ("96.8 %", "16 and 32 maps."),
        "sigmoid": ("86.93 %", "Training has barely begun after 900 updates, as the project's own curve shows."),
        "dense-128": ("95.84 %", "A dense layer of 128 units instead of 1,024."),
        "extra-dense": ("96.7 %", "A layer of 128 units follows the layer of 1,024."),
    }
    rows = []
    for variation, (accuracy, note) in found.items():
        model = {"name": "tensorflow-tutorial", "variation": variation}
        rows.append(
            Row(
                f"{variation}, 900 updates",
                {
                    "model": model,
                    "optimizer": {"name": "adam", "lr": 1e-4},
                    "batch_size": 100,
                    "train_size": 45000,
                    "epochs": 2,
                },
                {"test accuracy": accuracy},
                f"{note} The project's 1,000 'epochs' are steps with 100 images each; 900 of them update the weights. "
                "Here, two epochs of 45,000 images have as many updates.",
                seeds=3,
            )
        )
    for variation in found:
        passes = 2 if variation in ("third-stage", "7x7") else 4
        rows.append(
            Row(
                f"{variation}, {passes} passes",
                {
                    "model": {"name": "tensorflow-tutorial", "variation": variation},
                    "optimizer": {"name": "adam", "lr": 1e-3},
                    "schedule": {"name": "cosine"},
                    "batch_size": 100,
                    "epochs": passes,
                },
                {},
                f"Adam with a cosine schedule from 1e-3 to 0, {600 * passes:,} updates. One seed, because these "
                "networks are the slowest to train.",
                seeds=1,
            )
        )
    return tuple(rows)


TUTORIAL = Table(
    "tensorflow-tutorial",
    "LuxxxLucy/mnist_LeNet (2017): seven networks",
    "The published results are from single runs, stopped after 900 updates of Adam with a learning rate of 1e-4. The "
    "binomial standard deviation of an accuracy of 97 % on 10,000 images is 0.17 percentage points. The first seven "
    "rows repeat these runs. The others train for four epochs of "
    "60,000 images, or two for the two largest networks, with a learning rate that starts ten times as high and falls "
    "to 0. Four networks are then close to convergence (see the training accuracy); sigmoid and the two largest are "
    "not.",
    _tutorial(),
    (ACCURACY, Column("training accuracy", "train_accuracy")),
)

_D2L = {"name": "d2l", "subsampling": "average", "scale": "standard"}
_TEMPLATE: dict[str, Any] = {
    "batch_size": 128,
    "validation_split": 0.1,
    "schedule": {"name": "step", "every": 50, "factor": 0.1},
    "epochs": 100,
}


def _modern() -> tuple[Row, ...]:
    heads = ("passes", "loss", "training accuracy", "validation loss", "validation top-1")
    found = [
        (True, "sigmoid", 0.0, "average", ("72", "0.00521", "99.927 %", "0.04306", "98.715 %"), ""),
        (False, "sigmoid", 0.0, "average", ("100", "0.00462", "99.951 %", "0.04354", "99.897 %"), "top-3"),
        (True, "sigmoid", 0.001, "average", ("63", "0.12602", "96.969 %", "0.11491", "97.212 %"), ""),
        (True, "relu", 0.0, "average", ("28", "0.00314", "99.898 %", "0.04902", "98.919 %"), ""),
        (True, "relu", 0.001, "average", ("36", "0.02145", "99.361 %", "0.03944", "99.950 %"), "top-3"),
        (False, "relu", 0.0, "average", ("100", "6.0291e-05", "100 %", "0.05802", "98.986 %"), ""),
        (True, "relu", 0.0, "max", ("20", "0.00580", "99.791 %", "0.05595", "98.912 %"), ""),
    ]
    rows = []
    for stopping, activation, decay, pooling, figures, slip in found:
        label = f"{activation}, {pooling}, L2 {decay:g}, {'early stopping' if stopping else '100 passes'}"
        rows.append(
            Row(
                label,
                _TEMPLATE
                | {
                    "model": _D2L | {"activation": activation, "subsampling": pooling},
                    "optimizer": {"name": "adam", "amsgrad": True, "l2": decay},
                    "patience": 10 if stopping else None,
                },
                dict(zip(heads, figures, strict=True)),
                "Their validation top-1 accuracy is almost certainly a top-3 accuracy in the wrong column; compare it "
                "with our top-3 accuracy."
                if slip
                else "We use the same recipe; their result is from a single run with a different validation set.",
                measures=("top-3",),
                seeds=3,
            )
        )
    optimizers = {
        "SGD momentum": {"name": "sgd", "lr": 0.05, "momentum": 0.9},
        "RMSprop": {"name": "rmsprop", "lr": 1e-3},
        "Adam": {"name": "adam", "lr": 1e-3},
    }
    for penalty, (name, optimizer), init in product(("l1", "l2"), optimizers.items(), ("xavier", "he")):
        rows.append(
            Row(
                f"{penalty.upper()} 1e-5, {name}, {init}" if penalty == "l1" else f"L2 1e-4, {name}, {init}",
                _TEMPLATE
                | {
                    "model": _D2L | {"activation": "relu", "init": init},
                    "optimizer": optimizer | {penalty: 1e-5 if penalty == "l1" else 1e-4},
                    "schedule": {"name": "constant"},
                    "epochs": 15,
                },
                {},
                "The project's README describes this run, but its code does not include it.",
                measures=("top-3",),
                seeds=3,
            )
        )
    return tuple(rows)


MODERN = Table(
    "modern-techniques",
    "cx-olquinjica/LeNet-5 (2023): early stopping, activations, decay, and its planned grid search",
    "Training uses Adam with AMSGrad, a learning rate of 1e-3 and batches of 128; a tenth of the training set is held "
    "out. The learning rate is divided by ten after 50 epochs. Early stopping waits 10 epochs for a better validation "
    "loss. The last 12 rows are the project's planned grid of penalties, optimisers and initialisers, with ReLU and 15 "
    "epochs.",
    _modern(),
    (
        Column("validation top-1", "validation_accuracy"),
        Column("validation top-3", "validation_top_3"),
        Column("validation loss", "validation_loss", ".4f"),
        Column("loss", "loss", ".5f"),
        Column("training accuracy", "train_accuracy"),
        PASSES,
        ERROR,
    ),
    curves=("validation_error",),
)


def _fashion() -> tuple[Row, ...]:
    theirs = {
        ("sigmoid", 0.1): {"test accuracy": "about 87 %"},
        ("relu", 0.1): {"test accuracy": "about 90 %"},
        ("relu", 0.01): {"test accuracy": "about 89 %"},
    }
    rows = []
    for (activation, pooling), rate in product((("sigmoid", "average"), ("relu", "max")), (0.1, 0.01)):
        accuracy = theirs.get((activation, rate), {}).get("test accuracy")
        rows.append(
            Row(
                f"{activation}, {pooling}, rate {rate:g}",
                {
                    "model": _D2L | {"activation": activation, "subsampling": pooling, "scale": "unit"},
                    "optimizer": {"name": "sgd", "lr": rate},
                    "batch_size": 256,
                    "epochs": 30,
                },
                theirs.get((activation, rate), {}),
                f"Their result is {accuracy} on the Fashion-MNIST validation set after 100 epochs, read off a plot."
                if accuracy
                else "The loss stays at 2.30; theirs, with a learning rate of 0.1, stays there for 3 epochs.",
                seeds=3,
            )
        )
    return tuple(rows)


FASHION = Table(
    "fashion-learning-rate",
    "cx-olquinjica/LeNet-5 (2023): learning rates on Fashion-MNIST",
    "Training uses plain SGD with batches of 256, for 30 epochs (theirs: 100). If Fashion-MNIST can be neither found "
    "nor downloaded, MNIST is used instead; the records and the line below the table state the data set.",
    _fashion(),
    (ACCURACY, Column("test loss", "test_loss", ".3f"), Column("training accuracy", "train_accuracy")),
    dataset="fashion-mnist",
)

CAFFE = Table(
    "caffe-keras",
    "Adya (2019): Caffe's network in Keras",
    "Training uses SGD with a learning rate of 0.01 and batches of 128, for 20 epochs, with grey levels from 0 to 1. "
    "Adya's post shows curves but states no values.",
    (
        Row(
            "20-50-500",
            {"model": "caffe", "optimizer": {"name": "sgd", "lr": 0.01}, "batch_size": 128, "epochs": 20},
            {},
            "1,256,080 parameters, as in Adya's post.",
            seeds=3,
        ),
    ),
    (ACCURACY, TRAINING),
)


def _mattwang() -> tuple[Row, ...]:
    def recipe(eta: float, *, scale: float = 0.5, **more: Any) -> dict[str, Any]:
        optimizer = {"name": "sdlm", "lr": eta, "rule": "latest", "momentum": 0.9} | more
        return {
            "model": "lenet5-mattwang44",
            "loss": {"name": "mle", "scale": scale},
            "optimizer": optimizer,
            "batch_size": 256,
        }

    one_by_one = recipe(5e-4, scale=1.0, momentum=0.0, rule="maximum") | {"batch_size": 1}
    both, eta = "rate-per-layer, pool-quarter", 5e-4
    found = {"test error": "1.52 %", "training error": "1.28 %"}
    # The sum of the gradients over a batch is 256 times their mean.
    rows = [
        (
            "its recipe",
            recipe(100 * 256 * eta),
            both,
            found,
            "All three mistakes, and learning rates multiplied by 100. Unlike in the original, F6 adds its bias.",
        ),
        (
            "its recipe, rates x 1",
            recipe(256 * eta),
            both,
            {},
            "Learning rates computed from the sum of h over a layer are far too low.",
        ),
        (
            "1 mended",
            recipe(eta),
            "pool-quarter",
            {},
            "One learning rate per weight. From this row on, gradients are means over the batch.",
        ),
        ("1 and 2 mended", recipe(eta), "", {}, "Average pooling multiplies curvatures by 1/16."),
        ("all mended", recipe(eta, scale=1.0), "", {}, "The paper's learning rates, unchanged, with batches of 256."),
        (
            "all mended, sums",
            recipe(256 * eta, scale=1.0),
            "",
            {},
            "Learning rates of up to eta/mu are too high for gradients summed over 256 patterns.",
        ),
        (
            "all mended, one by one",
            one_by_one,
            "",
            {},
            "One pattern per update and no momentum, as in the paper; curvatures h as in paper-fig5.",
        ),
    ]
    return tuple(
        Row(label, config, theirs, note, variant=variant, seeds=3) for label, config, variant, theirs, note in rows
    )


MATTWANG = Table(
    "mattwang44",
    "mattwang44/LeNet-from-Scratch (2018): the cost of three mistakes",
    "The project trains for 20 epochs with the loss of eq. 8, gradients summed over batches of 256, momentum 0.9, the "
    "paper's schedule of eta, and curvatures h estimated before each epoch. Its three mistakes are: (1) one learning "
    "rate per layer, from the sum of h; (2) a factor of 1/4 instead of 1/16 for curvatures in average pooling; (3) a "
    "factor of 1/2 in the loss. It then multiplies the learning rates by 100. It reports 1.38 %, the best error of 20 "
    "epochs, chosen on the test set; 1.52 % is the error after the last epoch. Its training error is measured after "
    "each epoch, ours during the epoch. This library averages gradients over a batch. Rows with summed gradients "
    "therefore use learning rates that are 256 times as high, and the table shows these rates.",
    _mattwang(),
    (
        ERROR,
        TRAINING,
        Column("smallest rate", "rate_min", ".1e"),
        Column("median rate", "rate_median", ".1e"),
        Column("largest rate", "rate_max", ".1e"),
    ),
)

PREDECESSORS = (TUTORIAL, MODERN, FASHION, CAFFE, MATTWANG)
