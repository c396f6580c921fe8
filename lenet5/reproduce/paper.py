"""Tables that reproduce Figs. 5, 6 and 13 of the paper, vary its recipe and layers, or use modern training."""

from dataclasses import replace
from itertools import product

from .base import ERROR, PASSES, TRAINING, Column, Row, Table
from .figure_9 import DISTORTED, FIG_9, LENET5, REJECTION

__all__ = ["PAPER"]

# Measurements that other tables use. They are made in these runs, so that no network is trained twice.
_ALL = ("rejected", "robustness")

_PASSES = tuple(f"test, pass {k}" for k in range(1, 7))

FIG_5 = Table(
    "paper-fig5",
    "Fig. 5: training and test error of LeNet-5",
    "The paper's network is trained with its recipe: 20 epochs, one pattern per update. The training error of an epoch "
    "is measured while the weights are updated. The paper's values were read off the plot in Fig. 5.",
    (
        Row(
            "LeNet-5",
            LENET5,
            {"test error": "0.95 %", "training error": "0.35 %"}
            | dict(zip(_PASSES, ("2.7 %", "2.25 %", "1.5 %", "1.4 %", "1.45 %", "1.1 %"), strict=True)),
            "Initial weights are uniform on [-1/sqrt(F), 1/sqrt(F)], h is the running maximum of its estimates, and "
            "eq. 9 has j = 0.1 and a factor of 1/2. The table paper-literal shows the results of the paper's recipe "
            "taken literally.",
            measures=_ALL,
        ),
    ),
    (ERROR, TRAINING, *(Column(heading, f"test_error@{k}") for k, heading in enumerate(_PASSES, 1))),
)

FIG_6 = Table(
    "paper-fig6",
    "Fig. 6: size of the training set, and distortions",
    "LeNet-5 is trained on the first 15,000, the first 30,000 and all 60,000 training images, and on 60,000 images "
    "with new distortions in each epoch.",
    (
        Row(
            "15,000",
            {"train_size": 15000},
            {"test error": "1.69 %", "training error": "0.06 %"},
            "With fewer images, 20 epochs comprise fewer updates.",
        ),
        Row("30,000", {"train_size": 30000}, {"test error": "1.14 %", "training error": "0.31 %"}, "As above."),
        Row(
            "60,000",
            LENET5,
            {"test error": "0.95 %", "training error": "0.35 %"},
            "Trained with the recipe of paper-fig5.",
        ),
        Row(
            "60,000 distorted",
            DISTORTED,
            {"test error": "0.82 %"},
            "The paper draws 540,000 distorted images once and uses each image twice. Here, nine tenths of the images "
            "get new distortions in each epoch. The paper gives no ranges for the distortions; we chose them.",
            measures=_ALL,
        ),
    ),
    (ERROR, TRAINING),
)


NOISE = Table(
    "paper-fig13-noise",
    "Fig. 13: noise, rotation, size and position",
    "The paper shows only examples. It estimates that a network trained on images with 10 % of the pixels inverted "
    "tolerates changes in size by a factor of about two, vertical shifts by about half the height of the character and "
    "rotations by 30 degrees. The runs' records contain all measurements: 5 to 30 % noise, rotations by up to 40 "
    "degrees, sizes from 0.5 to 1.6 and shifts by up to 6 pixels.",
    tuple(
        Row(label, config, {}, note, measures=("robustness",))
        for label, config, note in (
            ("LeNet-5", LENET5, "Trained on clean images."),
            ("LeNet-5, 10 % noise", {"distort": {"name": "noise"}}, "Different pixels are inverted in each epoch."),
            ("LeNet-5, distorted", DISTORTED, "Trained on distorted images as in paper-fig6, without noise."),
        )
    ),
    (
        Column("clean", "test_error"),
        Column("10 % noise", "noise_0.1"),
        Column("20 % noise", "noise_0.2"),
        Column("20 degrees", "rotation_20_either"),
        Column("30 degrees", "rotation_30_either"),
        Column("size 0.7", "scale_0.7"),
        Column("size 1.4", "scale_1.4"),
        Column("4 pixels down", "down_4"),
    ),
)


def _literal() -> tuple[Row, ...]:
    """Return a table row for each of the eight combinations of three choices, each as in the paper or changed."""
    rows = []
    for start, rule, half in product(("paper", "fan-in"), ("latest", "maximum"), (1.0, 0.5)):
        changed = {"+-1/sqrt(F)": start == "fan-in", "maximum of h": rule == "maximum", "1/2": half == 0.5}
        label = ", ".join(name for name, on in changed.items() if on) or "the words"
        note = {
            0: "Initial weights uniform on [-2.4/F, 2.4/F], h from the latest estimate, eq. 9 as printed.",
            3: "The same three choices as in paper-fig5.",
        }
        rows.append(
            Row(
                label,
                {
                    "epochs": 10,
                    "model": {"init": start},
                    "optimizer": {"rule": rule},
                    "loss": {"scale": half},
                },
                {"test error": "about 1 % after 10 passes"} if not any(changed.values()) else {},
                note.get(sum(changed.values()), ""),
                measures=("rates", "saturation"),
                seeds=3,
            )
        )
    return tuple(sorted(rows, key=lambda row: row.label != "the words"))


LITERAL = Table(
    "paper-literal",
    "The paper's recipe taken literally",
    "The table compares the eight combinations of three choices, over 10 epochs: initial weights uniform on [-a, a], "
    "with a = 2.4/F (appendix A) or 1/sqrt(F); h of eq. 21, the latest estimate (appendix C) or the running maximum of "
    "the estimates; the loss of eq. 9, as printed or multiplied by 1/2. A unit counts as saturated if its output is "
    "within 5 % of the limits of its squashing function, on 500 training images. The records contain the fraction of "
    "saturated outputs and the distribution of the learning rates for every epoch. Of the twelve runs with "
    "a = 2.4/F, ten stayed at an error of 89 %; the mean with the largest standard deviation includes one of the "
    "other two.",
    _literal(),
    (
        ERROR,
        TRAINING,
        Column("saturated", "saturated", ".0%"),
        Column("saturated in F6", "saturated_F6", ".0%"),
        Column("smallest rate", "rate_min", ".1e"),
        Column("median rate", "rate_median", ".1e"),
        Column("largest rate", "rate_max", ".1e"),
    ),
    curves=("test_error", "saturated"),
)

MODERN = Row(
    "PReLU, max pooling, AdamW, distortions",
    {
        "model": {"name": "d2l", "activation": "prelu", "subsampling": "max", "init": "he"},
        "loss": {"smoothing": 0.05},
        "optimizer": {"name": "adam", "lr": 4e-3, "decay": 0.05},
        "schedule": {"name": "one-cycle", "final": 4e-6},
        "batch_size": 100,
        "epochs": 200,
        "distort": {
            "name": "all",
            "translation": 1.0,
            "scale": 0.15,
            "shear": 0.25,
            "rotation": 15.0,
            "elastic": 20.0,
            "share": 1.0,
            "final": 0.5,
        },
    },
    {},
    "Shifts are limited to 1 pixel, because the error on held-out images was higher with 2 pixels. An earlier recipe, "
    "with ReLU and 80 epochs, had a test error of 0.49 %.",
    keep=True,
)

BEST = Table(
    "modern-best",
    "The 1998 architecture with modern training",
    "The network has at most 62,000 parameters. C3 is connected to all maps of S2, the squashing functions are PReLUs, "
    "S2 and S4 use max pooling, and the loss is cross-entropy with label smoothing. The network is trained by AdamW "
    "with a one-cycle schedule, on affine and elastic distortions whose strength is gradually halved during the last "
    "quarter of the epochs. The recipe was chosen on 10,000 held-out training images, then used to train on all "
    "60,000 images.",
    (
        MODERN,
        Row(
            "a committee of five of them",
            note="The committee averages the probabilities of the networks with seeds 0 to 4.",
            committee=(MODERN, 5),
            seeds=1,
        ),
    ),
    (ERROR, TRAINING, PASSES),
)

FASHION_BOTH = Table(
    "fashion-mnist",
    "Fashion-MNIST with the paper's recipe and with modern training",
    "The networks and recipes are those of paper-fig5 and modern-best, without any tuning for Fashion-MNIST.",
    (
        Row("the paper's network and recipe", LENET5, {}, "Designed for digits in 1998.", seeds=3),
        replace(MODERN, keep=False, note="The distortions are designed for digits.", seeds=3),
    ),
    (ERROR, TRAINING, PASSES),
    dataset="fashion-mnist",
)

OUTPUT = Table(
    "output-layer",
    "RBF units, softmax, or a plain dense layer",
    "This comparison is the first item on the to-do list of mattwang44/LeNet-from-Scratch. The network and its "
    "second-order training are the paper's. Only the output units and their loss change, so the learning rates are not "
    "tuned for softmax and the dense layer.",
    (
        Row("RBF, eq. 9", LENET5, {"test error": "0.95 %"}, "The paper's result."),
        Row("RBF, eq. 8", {"loss": "mle"}, {}, "The loss is the penalty of the correct class; the codes are fixed."),
        Row(
            "softmax, cross-entropy",
            {"loss": "softmax"},
            {},
            "h is far below mu, so the learning rates stay near eta/mu.",
        ),
        Row("dense, squared error", {"loss": "squared"}, {}, "Ten units with a squashing function and targets of +-1."),
        Row(
            "softmax, SGD 0.01",
            {"loss": "softmax", "optimizer": {"name": "sgd", "lr": 0.01}, "schedule": {"name": "cosine"}},
            {},
            "One pattern per update, without second derivatives.",
        ),
    ),
    (ERROR, TRAINING),
)

SUBSAMPLING = Table(
    "sub-sampling",
    "Trainable sub-sampling, average pooling or max pooling",
    "Trainable sub-sampling is the third item on the to-do list of mattwang44/LeNet-from-Scratch, which uses average "
    "pooling and found that max pooling blurs the feature maps. The network and its training are the paper's; only S2 "
    "and S4 change.",
    (
        Row("trainable", LENET5, {"test error": "0.95 %"}, "The paper's result."),
        Row(
            "average",
            {"model": {"subsampling": "average"}},
            {},
            "Initial weights are uniform on [-2.4/sqrt(F), 2.4/sqrt(F)].",
        ),
        Row(
            "maximum",
            {"model": {"subsampling": "max"}},
            {},
            "Optimisation is the problem, not generalisation: the training error is just as high. With ReLU and Adam, "
            "max pooling does no harm (see modern-techniques).",
        ),
    ),
    (ERROR, TRAINING),
)

PAPER = (FIG_5, FIG_6, FIG_9, REJECTION, NOISE, LITERAL, OUTPUT, SUBSAMPLING, BEST, FASHION_BOTH)
