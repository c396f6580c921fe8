"""Sections of the configuration, with the help text, limits and default of each option."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ...errors import ConfigError, shown
from ...optim import OPTIMIZERS, SCHEDULES
from ...optim.options import Option

__all__ = [
    "OPTIMIZER_OWNERS", "SCHEDULE_OWNERS", "DataConfig", "DistortConfig", "LossConfig", "ModelConfig",
    "OptimizerConfig", "ScheduleConfig", "Section", "option",
]  # fmt: skip


def option(
    default: Any,
    help: str,
    *,
    least: float | None = None,
    below: float | None = None,
    most: float | None = None,
    metavar: str | None = None,
) -> Any:
    """Return a dataclass field with a help text, limits (least <= value < below, value <= most) and a metavar."""
    about = {"help": help, "least": least, "below": below, "most": most, "metavar": metavar}
    return field(default=default, metadata=about)


@dataclass(frozen=True)
class Section:
    """Base class of sections, which checks numeric options against their limits."""

    def __post_init__(self) -> None:
        for f in dataclasses.fields(self):
            value, (least, below, most) = getattr(self, f.name), map(f.metadata.get, ("least", "below", "most"))
            if isinstance(value, int | float) and not isinstance(value, bool):
                too_much = below is not None and not value < below or most is not None and not value <= most
                if least is not None and not value >= least or too_much:
                    limits = f"at least {least:g}" + (f" and below {below:g}" if below is not None else "")
                    limits += f" and at most {most:g}" if most is not None else ""
                    section = type(self).__name__.removesuffix("Config").lower()
                    name = f.name if section == "train" else f"{section}.{f.name}"
                    raise ConfigError(f"{name} must be {limits}; found {shown(value)}.")


Init = Literal[
    "fan-in", "fan-in-2.4", "gaussian", "he", "he-uniform", "paper", "truncated-normal", "xavier", "xavier-normal"
]


Activation = Literal["scaled-tanh", "tanh", "sigmoid", "relu", "leaky-relu", "prelu", "elu"]


@dataclass(frozen=True)
class ModelConfig(Section):
    """Options of the network."""

    name: Literal[
        "lenet5", "lenet4", "lenet1", "lenet5-mattwang44", "caffe", "tensorflow-tutorial", "d2l", "lenet5-cifar10"
    ] = option("lenet5", "network; lenet5 is the one in Fig. 2 of the paper; python -m lenet5.models lists all of them")
    subsampling: Literal["trainable", "average", "max"] | None = option(
        None,
        "sub-sampling in S2 and S4: trainable as in the paper (lenet5 only), or fixed average or max pooling (default: "
        "trainable for lenet5, average for d2l, max for lenet5-cifar10)",
    )
    activation: Activation | None = option(
        None, "squashing function (default: sigmoid for d2l, relu for lenet5-cifar10)"
    )
    output: Literal["rbf", "softmax", "dense"] | None = option(
        None,
        "output units: rbf (eq. 7), softmax (unnormalised scores), or dense units with a squashing function (default: "
        "those that the loss needs)",
    )
    init: Init | None = option(
        None,
        "initial weights; fan-in is uniform between +-1/sqrt(F) for F inputs, fan-in-2.4 between +-2.4/sqrt(F), paper "
        "between +-2.4/F (appendix A), which does not train at the paper's learning rates (default for lenet5: fan-in, "
        "or fan-in-2.4 with average pooling)",
    )
    coefficient: float | None = option(
        None, "initial value of the coefficients of S2 and S4 (default: 1)", least=-1e300, below=1e300
    )
    norm: bool | None = option(None, "batch normalisation before every squashing function (d2l, lenet5-cifar10)")
    dropout: float | None = option(None, "dropout rate in C5 and F6 (d2l, lenet5-cifar10)", least=0.0, below=1.0)
    variation: Literal["original", "third-stage", "7x7", "half-width", "sigmoid", "dense-128", "extra-dense"] | None = (
        option(None, "variant of the network tensorflow-tutorial")
    )
    scale: Literal["paper", "unit", "signed", "standard"] | None = option(
        None,
        "range to which grey levels are scaled; paper is -0.1 to 1.175, unit is 0 to 1, signed is -1 to 1, standard "
        "has mean 0 and standard deviation 1 on MNIST",
    )


@dataclass(frozen=True)
class LossConfig(Section):
    """Options of the loss."""

    name: Literal["map", "mle", "softmax", "squared"] | None = option(
        None,
        "loss; map is eq. 9, mle is eq. 8, softmax is cross-entropy, squared is half the squared distance from "
        "targets of +-1 (default: the loss that suits the output units, map for rbf)",
    )
    j: float = option(0.1, "penalty of the rubbish class in eq. 9; the paper gives no value", least=1e-300)
    smoothing: float = option(0.0, "label smoothing (softmax)", least=0.0, below=1.0)
    scale: float | None = option(
        None,
        "factor applied to the loss; with sdlm, 1/2 has the same effect as doubling mu (default: 1/2 for map and mle, "
        "otherwise 1)",
        least=1e-300,
        below=1e300,
    )


Options = Mapping[str, Option]


def _choices(title: str, what: str, registry: Mapping[str, Options], common: Options) -> tuple[Any, dict]:
    """Make a section of the configuration from a registry of choices, such as optimisers.

    Also return, for each option that only some choices use, the names of these choices; the help text of the option
    lists them as well. If the default of an option depends on the choice, its default in the section is None.
    """
    fields: list[Any] = [("name", Literal[tuple(registry)] | None, option(None, what))]
    owners: dict[str, tuple[str, ...]] = {}
    merged = {name: known for options in registry.values() for name, known in options.items()}
    for name, known in (merged | dict(common)).items():
        users = tuple(choice for choice, options in registry.items() if name in options)
        defaults = {choice: registry[choice][name].default for choice in users}
        same = len(set(map(repr, defaults.values()))) <= 1
        default = known.default if same else None
        text = known.help if len(users) in (0, len(registry)) else f"{known.help} ({', '.join(users)})"
        if not same:
            text += " (default: " + ", ".join(f"{value:g} for {choice}" for choice, value in defaults.items()) + ")"
        kind = known.kind if default is not None else known.kind | None
        fields.append((name, kind, option(default, text, least=known.least, below=known.below)))
        if users and len(users) < len(registry):
            owners[name] = users
    made = dataclasses.make_dataclass(title, fields, bases=(Section,), frozen=True)
    made.__doc__, made.__module__ = what, __name__
    return made, owners


OptimizerConfig: Any
ScheduleConfig: Any
OptimizerConfig, OPTIMIZER_OWNERS = _choices(
    "OptimizerConfig",
    "optimiser; sdlm is the paper's second-order method (eq. 21), sgd is plain gradient descent, the others are more "
    "recent (default: sdlm for lenet1, lenet4, lenet5 and lenet5-mattwang44, otherwise adam)",
    {name: kind.options for name, kind in OPTIMIZERS.items()},
    {},
)
ScheduleConfig, SCHEDULE_OWNERS = _choices(
    "ScheduleConfig",
    "schedule of the learning rate; paper is 5e-4 for 2 epochs, 2e-4 for 3, 1e-4 for 3, 5e-5 for 4, then 1e-5 "
    "(default: paper for sdlm, otherwise constant)",
    {name: options for name, (_, options) in SCHEDULES.items()},
    {"warmup": Option(0, "number of epochs of linear warm-up", int, least=0)},
)


@dataclass(frozen=True)
class DataConfig(Section):
    """Options for data sets given by a path."""

    size: int | None = option(
        None,
        "side length of a folder's images, in pixels (default: their own size if it is the same for all and at most "
        "128, otherwise 28)",
        least=8,
        most=128,
    )
    fit: Literal["auto", "digit", "scale"] = option(
        "auto",
        "preparation of a folder's images; digit converts photographs and scans of characters to the format of MNIST; "
        "scale resizes whole images to data.size; auto leaves images unchanged if all have the same size, and "
        "otherwise scales them",
    )
    colour: bool | None = option(None, "keep the colours of a folder's images (default: true if any image is coloured)")
    label: str | None = option(
        None, "label column of a CSV file (default: a column such as label or class, otherwise the first column)"
    )
    test_split: float = option(
        0.2, "fraction of each class to use as the test set, if none is given", least=1e-6, below=1.0
    )


@dataclass(frozen=True)
class DistortConfig(Section):
    """Random distortions of the training images in each epoch; the defaults of all options depend on `name`."""

    name: Literal["none", "shift", "affine", "rotation", "elastic", "all", "noise", "neighbours"] | None = option(
        None,
        "distortion; shift moves images by up to a pixel; affine is the paper's translation, scaling, squeezing and "
        "horizontal shear; elastic is the elastic distortion of Simard et al. (2003); all is affine, rotation and "
        "elastic; noise inverts a tenth of the pixels; neighbours puts digits side by side (default: shift for digits, "
        "neighbours for mnist-lines, otherwise none)",
    )
    translation: float | None = option(None, "largest shift, in pixels", least=0.0, below=1e6)
    scale: float | None = option(None, "largest relative change in size", least=0.0, below=0.9)
    squeeze: float | None = option(
        None, "largest relative change in height; the width changes inversely", least=0.0, below=0.9
    )
    shear: float | None = option(None, "largest horizontal shear, in columns per row", least=0.0, below=1e6)
    rotation: float | None = option(None, "largest rotation, in degrees", least=0.0, below=1e6)
    elastic: float | None = option(
        None, "amplitude of the elastic displacement field (Simard's alpha), in pixels", least=0.0, below=1e6
    )
    sigma: float | None = option(
        None,
        "standard deviation, in pixels, of the Gaussian that smooths the elastic displacement field",
        least=0.1,
        below=1e6,
    )
    share: float | None = option(None, "fraction of the images to distort", least=0.0, most=1.0)
    final: float | None = option(
        None,
        "strength of all distortions at the end of training, relative to the start; it changes linearly during the "
        "last quarter of the epochs (default: 1)",
        least=0.0,
        most=1.0,
    )
