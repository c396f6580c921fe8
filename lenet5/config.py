"""What a run is: frozen dataclasses, read from TOML or JSON, changed by dotted overrides."""

import dataclasses
import difflib
import json
import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from .errors import ConfigError, shown

__all__ = [
    "DistortConfig",
    "LossConfig",
    "ModelConfig",
    "OptimizerConfig",
    "ScheduleConfig",
    "TrainConfig",
    "from_dict",
    "keys",
    "read",
    "to_dict",
]

_MAX_BYTES = 1 << 20
# tomllib's time grows with the square of the parts of a dotted key; no configuration has so many dots in all.
_MOST_DOTS = 1000
# Characters of a misspelt key that are compared with the known ones.
_LONG = 100


def _option(
    default: Any, help: str, *, least: float | None = None, below: float | None = None, most: float | None = None
) -> Any:
    return field(default=default, metadata={"help": help, "least": least, "below": below, "most": most})


@dataclass(frozen=True)
class _Section:
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
class ModelConfig(_Section):
    """The network."""

    name: Literal[
        "lenet5", "lenet4", "lenet1", "lenet5-mattwang44", "caffe", "tensorflow-tutorial", "d2l", "lenet5-cifar10"
    ] = _option("lenet5", "network; lenet5 is the paper's Fig. 2, the others are printed by python -m lenet5.models")
    subsampling: Literal["trainable", "average", "max"] | None = _option(
        None,
        "S2 and S4: the paper's trainable sub-sampling, which is lenet5's own, or fixed pooling; default average for "
        "d2l, max for lenet5-cifar10",
    )
    activation: Activation | None = _option(None, "squash; default sigmoid for d2l, relu for lenet5-cifar10")
    output: Literal["rbf", "softmax", "dense"] | None = _option(
        None, "output units: RBF (eq. 7), ten scores, or ten units with a squash; default: what the loss needs"
    )
    init: Init | None = _option(
        None,
        "start of the weights; for lenet5 uniform +-1/sqrt(F) is fan-in, the default (+-2.4/sqrt(F) with average "
        "pooling); paper is the +-2.4/F of appendix A, which does not train at the paper's rates",
    )
    coefficient: float | None = _option(
        None, "start of the coefficients of S2 and S4; default 1", least=-1e300, below=1e300
    )
    norm: bool | None = _option(None, "batch normalisation in front of every squash (d2l, lenet5-cifar10)")
    dropout: float | None = _option(
        None, "share of the units of C5 and F6 that are dropped in training (d2l, lenet5-cifar10)", least=0.0, below=1.0
    )
    variation: Literal["original", "third-stage", "7x7", "half-width", "sigmoid", "dense-128", "extra-dense"] | None = (
        _option(None, "of tensorflow-tutorial")
    )
    scale: Literal["paper", "unit", "signed", "standard"] | None = _option(
        None, "grey levels: paper is -0.1 to 1.175, unit 0 to 1, signed -1 to 1, standard mean 0 and s.d. 1 on MNIST"
    )


@dataclass(frozen=True)
class LossConfig(_Section):
    """The criterion."""

    name: Literal["map", "mle", "softmax", "squared"] | None = _option(
        None,
        "map is eq. 9, mle is eq. 8, softmax is cross-entropy, squared is half the squared distance from targets of "
        "+-1; default map for RBF units, else what the output is for",
    )
    j: float = _option(0.1, "penalty of the rubbish class in eq. 9; the paper gives no value", least=1e-300)
    smoothing: float = _option(0.0, "label smoothing (softmax)", least=0.0, below=1.0)
    scale: float | None = _option(
        None,
        "factor on the whole loss, default 1/2 for map and mle, else 1; with SDLM 1/2 is the same as doubling mu",
        least=1e-300,
        below=1e300,
    )


@dataclass(frozen=True)
class OptimizerConfig(_Section):
    """The steps."""

    name: Literal["sdlm", "sgd", "adam", "rmsprop", "adagrad"] | None = _option(
        None,
        "sdlm is the paper's second-order method (eq. 21), sgd the plain one; the others came later. Default sdlm for "
        "lenet1, 4 and 5 and lenet5-mattwang44, else adam",
    )
    lr: float | None = _option(
        None,
        "first learning rate, the paper's eta; default 5e-4 for sdlm, 1e-2 for adagrad, else 1e-3",
        least=0.0,
        below=1e300,
    )
    mu: float = _option(0.02, "mu of eq. 21, which bounds the rates of sdlm", least=1e-12, below=1e300)
    rule: Literal["maximum", "average", "latest"] = _option(
        "maximum", "h from pass to pass in sdlm: the maximum so far, 0.7 old + 0.3 new, or (the paper's words) latest"
    )
    patterns: int = _option(500, "patterns that h is estimated on before each pass (sdlm)", least=1)
    momentum: float = _option(0.0, "momentum (sdlm, sgd, rmsprop)", least=0.0, below=1.0)
    nesterov: bool = _option(False, "Nesterov's momentum (sgd)")
    beta1: float = _option(0.9, "share of the old mean of gradients (adam)", least=0.0, below=1.0)
    beta2: float = _option(0.999, "share of the old mean of their squares (adam)", least=0.0, below=1.0)
    amsgrad: bool = _option(False, "divide by the largest mean of squares so far (adam)")
    rho: float = _option(0.99, "share of the old mean of squares (rmsprop)", least=0.0, below=1.0)
    l2: float = _option(0.0, "L2 penalty (all but sdlm)", least=0.0, below=1e300)
    l1: float = _option(0.0, "L1 penalty (all but sdlm)", least=0.0, below=1e300)
    decay: float = _option(0.0, "decay apart from the gradient, as in AdamW (all but sdlm)", least=0.0, below=1e300)
    clip: float | None = _option(None, "largest norm of the gradient (all but sdlm)", least=1e-300, below=1e300)


@dataclass(frozen=True)
class ScheduleConfig(_Section):
    """The learning rate from pass to pass."""

    name: Literal["paper", "constant", "step", "cosine", "one-cycle"] | None = _option(
        None, "paper is eta = 5e-4 x2, 2e-4 x3, 1e-4 x3, 5e-5 x4, then 1e-5; default paper for sdlm, else constant"
    )
    every: int = _option(10, "passes between two steps (step)", least=1)
    factor: float = _option(0.1, "factor of each step (step)", least=0.0, below=1e300)
    final: float = _option(0.0, "rate of the last pass (cosine, one-cycle)", least=0.0, below=1e300)
    warmup: int = _option(0, "passes of linear rise in front", least=0)


@dataclass(frozen=True)
class DistortConfig(_Section):
    """Distortions of the training images, fresh before each pass; a number that is not given is the name's own."""

    name: Literal["none", "shift", "affine", "rotation", "elastic", "all", "noise"] | None = _option(
        None,
        "shift moves by up to a pixel; affine is the paper's translation, scaling, squeezing and horizontal shear; "
        "elastic is Simard's of 2003; all is affine, rotation and elastic; noise inverts a tenth of the pixels. "
        "Default none, but shift for the few images of digits",
    )
    translation: float | None = _option(None, "largest move, in pixels", least=0.0, below=1e6)
    scale: float | None = _option(None, "largest change of size, as a share", least=0.0, below=0.9)
    squeeze: float | None = _option(None, "largest growth of heights as widths shrink", least=0.0, below=0.9)
    shear: float | None = _option(None, "largest horizontal shear, in columns per row", least=0.0, below=1e6)
    rotation: float | None = _option(None, "largest rotation, in degrees", least=0.0, below=1e6)
    elastic: float | None = _option(None, "Simard's alpha: the field's amplitude, in pixels", least=0.0, below=1e6)
    sigma: float | None = _option(None, "s.d. of the Gaussian that smooths the field, in pixels", least=0.1, below=1e6)
    share: float | None = _option(None, "of the images that are distorted", least=0.0, most=1.0)


_FIRST_ORDER = ("sgd", "adam", "rmsprop", "adagrad")
_WARPS = ("affine", "rotation", "elastic", "all")
_PAPER = ("lenet5", "lenet4", "lenet1")
# Who has a use for an option, where not all of its section do.
_OWNERS: dict[tuple[str, str], tuple[str, ...]] = {
    **{("optimizer", name): ("sdlm",) for name in ("mu", "rule", "patterns")},
    **{("optimizer", name): _FIRST_ORDER for name in ("l2", "l1", "decay", "clip")},
    **{("optimizer", name): ("adam",) for name in ("beta1", "beta2", "amsgrad")},
    ("optimizer", "momentum"): ("sdlm", "sgd", "rmsprop"),
    ("optimizer", "nesterov"): ("sgd",),
    ("optimizer", "rho"): ("rmsprop",),
    ("loss", "j"): ("map",),
    ("loss", "smoothing"): ("softmax",),
    ("model", "subsampling"): ("lenet5", "d2l", "lenet5-cifar10"),
    ("model", "activation"): ("d2l", "lenet5-cifar10"),
    ("model", "output"): ("lenet5",),
    ("model", "coefficient"): _PAPER,
    ("model", "norm"): ("d2l", "lenet5-cifar10"),
    ("model", "dropout"): ("d2l", "lenet5-cifar10"),
    ("model", "variation"): ("tensorflow-tutorial",),
    **{("schedule", name): ("step",) for name in ("every", "factor")},
    ("schedule", "final"): ("cosine", "one-cycle"),
    **{
        ("distort", name): _WARPS
        for name in ("translation", "scale", "squeeze", "shear", "rotation", "elastic", "sigma", "share")
    },
}
_LR = {"sdlm": 5e-4, "adagrad": 1e-2}
_BATCH = {"lenet5-mattwang44": 256, "tensorflow-tutorial": 100}
# What units a loss is for; and those of networks that leave no choice.
_UNITS: dict[str, Any] = {"map": "rbf", "mle": "rbf", "softmax": "softmax", "squared": "dense"}
_LOSS: dict[str, Any] = {"rbf": "map", "softmax": "softmax", "dense": "squared"}
_FIXED: dict[str, Any] = {"lenet4": "dense", "lenet1": "dense", "lenet5-mattwang44": "rbf"}


@dataclass(frozen=True)
class TrainConfig(_Section):
    """One training run. The defaults are the paper's."""

    dataset: Literal["auto", "mnist", "fashion-mnist", "cifar10", "digits", "idx"] = _option(
        "auto",
        "auto is mnist where it can be had, else the embedded digits; mnist insists; idx is four IDX files of your "
        "own in data-dir, named as MNIST's",
    )
    data_dir: str | None = _option(None, "folder with the files of the data set")
    verify: bool = _option(True, "hold the files against the published hashes; false for files of your own")
    mmap: bool | None = _option(
        None,
        "leave the images in their raw IDX files (idx, mnist, fashion-mnist) and shuffle them in blocks, for sets "
        "larger than memory; default only files of idx over 2 GB",
    )
    epochs: int = _option(20, "passes through the training set", least=1)
    batch_size: int | None = _option(
        None,
        "patterns per update; default 1 for lenet1, 4 and 5, as in the paper, 256 for lenet5-mattwang44, 100 for "
        "tensorflow-tutorial, else 128",
        least=1,
    )
    seed: int = _option(0, "seed of weights, order and samples", least=0, below=2**63)
    threads: int | None = _option(
        None, "threads; default all cores. Results are the same bits for any number", least=1, below=1025
    )
    out: str | None = _option(None, "folder of the run; default runs/NAME-TIME")
    validation_split: float = _option(
        0.0, "share of the training set that is held out to validate on", least=0.0, below=1.0
    )
    train_size: int | None = _option(None, "train on that many patterns only, the first ones", least=1)
    patience: int | None = _option(
        None, "stop after that many passes without a better monitor; needs a validation split", least=1
    )
    monitor: Literal["validation_loss", "validation_error"] = _option(
        "validation_loss", "what patience watches; the weights of the best pass are kept in best.npz"
    )
    checkpoint_minutes: float = _option(5.0, "minutes between checkpoints within a pass", least=0.0)
    tensorboard: str | None = _option(None, "folder to write TensorBoard's event files to (extra tensorboard)")
    quiet: bool = _option(False, "print nothing but errors")
    model: ModelConfig = field(default_factory=ModelConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    distort: DistortConfig = field(default_factory=DistortConfig)

    def resolved(self) -> "TrainConfig":
        """Fill in every default that depends on another option.

        Raises
        ------
        ConfigError
            If two options contradict each other.
        """
        model, loss, optimizer = self.model, self.loss, self.optimizer
        paper = model.name in _PAPER
        units: Any = _FIXED.get(model.name, "softmax") if model.name != "lenet5" else model.output
        units = units or (_UNITS[loss.name] if loss.name else "rbf")
        criterion = loss.name or _LOSS[units]
        if _UNITS[criterion] != units:
            owner = f"model.output {units}" if model.name == "lenet5" else f"the outputs of {model.name} ({units})"
            needs = ", ".join(f"{name} needs {unit}" for name, unit in _UNITS.items())
            raise ConfigError(f"{owner} and loss.name {criterion} do not go together: {needs}.")
        rule = optimizer.name or ("sdlm" if paper or model.name == "lenet5-mattwang44" else "adam")
        loss = dataclasses.replace(loss, name=criterion, scale=loss.scale or (0.5 if units == "rbf" else 1.0))
        optimizer = dataclasses.replace(optimizer, name=rule)
        schedule = self.schedule.name or ("paper" if rule == "sdlm" else "constant")
        sections: dict[str, Any] = {"model": model, "loss": loss, "optimizer": optimizer, "distort": self.distort}
        sections["schedule"] = dataclasses.replace(self.schedule, name=schedule)
        for part, section in sections.items():
            default = type(section)()
            for (owned, name), owners in _OWNERS.items():
                if owned == part and section.name not in owners and getattr(section, name) != getattr(default, name):
                    raise ConfigError(
                        f"{part}.{name} belongs to {', '.join(owners)}; {section.name or 'none'} has no use for it."
                    )
        if self.mmap and self.dataset not in ("idx", "mnist", "fashion-mnist"):
            raise ConfigError(f"mmap needs IDX files: --dataset idx, mnist or fashion-mnist; found {self.dataset}.")
        if self.patience is not None and not self.validation_split:
            raise ConfigError("patience watches the validation set: give a --validation-split, such as 0.1.")
        if self.patience is None and self.monitor != type(self)().monitor:
            raise ConfigError("monitor says what patience watches: give --patience, such as 10.")
        if self.distort.sigma is not None and self.distort.name in ("affine", "rotation") and not self.distort.elastic:
            raise ConfigError("distort.sigma belongs to the elastic field: give --distort.elastic, such as 34.")
        if model.subsampling == "trainable" and model.name != "lenet5":
            raise ConfigError(f"model.subsampling of {model.name} is average or max; found trainable.")
        if model.subsampling in ("average", "max") and model.coefficient is not None:
            raise ConfigError("model.coefficient belongs to trainable sub-sampling; fixed pooling has no use for it.")
        if model.name == "lenet5":
            init = model.init or ("fan-in-2.4" if model.subsampling == "average" else "fan-in")
            model = dataclasses.replace(model, output=units, init=init, subsampling=model.subsampling or "trainable")
        lr = _LR.get(rule, 1e-3) if optimizer.lr is None else optimizer.lr
        return dataclasses.replace(
            self,
            batch_size=self.batch_size or (1 if paper else _BATCH.get(model.name, 128)),
            model=model,
            loss=loss,
            optimizer=dataclasses.replace(optimizer, lr=lr),
            schedule=dataclasses.replace(self.schedule, name=schedule),
        )


def keys() -> Iterator[tuple[str, dataclasses.Field]]:
    """Yield the dotted name and the field of every option, sections last."""
    yield from ((f.name, f) for f in dataclasses.fields(TrainConfig) if f not in _sections())
    for section in _sections():
        yield from ((f"{section.name}.{f.name}", f) for f in dataclasses.fields(section.type))


def to_dict(config: TrainConfig) -> dict[str, Any]:
    """Return nested dictionaries that JSON can hold and `from_dict` takes back."""
    return dataclasses.asdict(config)


def from_dict(values: Mapping[str, Any], *, where: str = "configuration") -> TrainConfig:
    """Build a configuration from nested dictionaries; what is not named keeps its default.

    A section may be given by the name of its choice alone: ``optimizer = "sgd"``.

    Raises
    ------
    ConfigError
        If a key is unknown (the nearest known one is named) or a value is of the wrong kind.
    """
    known = dict(keys())
    arguments: dict[str, Any] = {}
    sections: dict[str, dict[str, Any]] = {f.name: {} for f in _sections()}
    for key, value in _flattened(values, known, where).items():
        section, _, name = key.rpartition(".")
        target = sections[section] if section else arguments
        target[name] = _typed(key, value, known[key].type, where)
    return TrainConfig(**arguments, **{f.name: f.type(**sections[f.name]) for f in _sections()})


def read(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a TOML or JSON file (told apart by `.json`) into nested dictionaries.

    Raises
    ------
    ConfigError
        If it is missing, larger than 1 MiB, or not what its name says.
    """
    path = Path(path)
    kind = "JSON" if path.suffix == ".json" else "TOML"
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
        if len(data) > _MAX_BYTES:
            raise ConfigError(f"{path}: a configuration has at most {_MAX_BYTES:,} bytes.")
        if kind == "TOML" and data.count(b".") > _MOST_DOTS:
            raise ConfigError(f"{path}: a configuration has at most {_MOST_DOTS:,} dots.")
        values = json.loads(data) if kind == "JSON" else tomllib.loads(data.decode())
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:  # JSON, TOML and UTF-8 errors are all ValueErrors
        raise ConfigError(f"{path}: not {kind}: {error}.") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: expected a table of options, found {type(values).__name__}.")
    return values


def nearest(key: str, known: list[str]) -> str:
    """Return " Did you mean ...?" with the nearest known key, or an empty string."""
    sections = {k.split(".")[0] for k in known if "." in k}
    tails = {k.rsplit(".", 1)[-1]: k for k in known} | {k: k for k in (*known, *sections)}
    found = difflib.get_close_matches(key, tails, n=1, cutoff=0.5)
    return f" Did you mean {tails[found[0]]!r}?" if found else ""


def _sections() -> list[Any]:
    return [f for f in dataclasses.fields(TrainConfig) if dataclasses.is_dataclass(f.type)]


def _flattened(values: Mapping[str, Any], known: Mapping[str, object], where: str) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    sections = {key.split(".")[0] for key in known if "." in key}

    def visit(prefix: str, values: Mapping[str, Any]) -> None:
        for name, value in values.items():
            key = prefix + str(name).replace("-", "_")
            if key in sections and isinstance(value, str):
                key += ".name"
            if key in sections and isinstance(value, Mapping):
                visit(f"{key}.", value)
            elif key in known:
                flat[key] = value
            elif key in sections:
                raise ConfigError(f"{where}: {key} is a section or a name; found {shown(value)}.")
            else:
                raise ConfigError(f"{where}: unknown key {shown(key)}.{nearest(key[:_LONG], list(known))}")

    visit("", values)
    return flat


def _typed(key: str, value: Any, kind: Any, where: str) -> Any:
    """Return `value` as the field's type; an int will do for a float, and nothing else is converted."""
    choices = get_args(kind) if get_origin(kind) in (UnionType, Union) else (kind,)
    for choice in choices:
        if get_origin(choice) is Literal and isinstance(value, str) and value in get_args(choice):
            return value
        if choice is float and isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300:
            return float(value)
        if choice in (int, bool, str, NoneType) and type(value) is choice:
            return value
    raise ConfigError(f"{where}: {key} takes {describe(kind)}; found {shown(value)}.")


def describe(kind: Any) -> str:
    """Say in words what values a field takes."""
    if get_origin(kind) in (UnionType, Union):
        return " or ".join(describe(c) for c in get_args(kind) if c is not NoneType)
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(get_args(kind))
    return {int: "an integer", float: "a number", str: "a text", bool: "true or false"}[kind]
