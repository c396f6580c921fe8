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

from .errors import ConfigError

__all__ = [
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


def _option(default: Any, help: str, *, least: float | None = None, below: float | None = None) -> Any:
    return field(default=default, metadata={"help": help, "least": least, "below": below})


@dataclass(frozen=True)
class _Section:
    def __post_init__(self) -> None:
        for f in dataclasses.fields(self):
            value, least, below = getattr(self, f.name), f.metadata.get("least"), f.metadata.get("below")
            if isinstance(value, int | float) and not isinstance(value, bool):
                if least is not None and not value >= least or below is not None and not value < below:
                    limits = f"at least {least:g}" if below is None else f"at least {least:g} and below {below:g}"
                    section = type(self).__name__.removesuffix("Config").lower()
                    name = f.name if section == "train" else f"{section}.{f.name}"
                    raise ConfigError(f"{name} must be {limits}; found {value!r}.")


Init = Literal[
    "fan-in", "fan-in-2.4", "gaussian", "he", "he-uniform", "paper", "truncated-normal", "xavier", "xavier-normal"
]


@dataclass(frozen=True)
class ModelConfig(_Section):
    """The network."""

    name: Literal["lenet5"] = _option("lenet5", "network; lenet5 is the paper's Fig. 2")
    subsampling: Literal["trainable", "average", "max"] = _option(
        "trainable", "S2 and S4: the paper's trainable sub-sampling, or fixed pooling"
    )
    output: Literal["rbf", "softmax"] | None = _option(
        None, "output units: RBF (eq. 7) or ten scores; default: what the loss needs"
    )
    init: Init | None = _option(
        None,
        "start of the weights: uniform +-1/sqrt(F) is fan-in, the default (+-2.4/sqrt(F) with average pooling); "
        "paper is the +-2.4/F of appendix A, which does not train at the paper's rates",
    )
    coefficient: float = _option(1.0, "start of the coefficients of S2 and S4", least=-1e300, below=1e300)


@dataclass(frozen=True)
class LossConfig(_Section):
    """The criterion."""

    name: Literal["map", "mle", "softmax"] = _option("map", "map is eq. 9, mle is eq. 8, softmax is cross-entropy")
    j: float = _option(0.1, "penalty of the rubbish class in eq. 9; the paper gives no value", least=1e-300)
    scale: float = _option(
        0.5, "factor on the whole loss; with SDLM 1/2 is the same as doubling mu", least=1e-300, below=1e300
    )


@dataclass(frozen=True)
class OptimizerConfig(_Section):
    """The steps."""

    name: Literal["sdlm", "sgd", "adam", "rmsprop", "adagrad"] = _option(
        "sdlm", "sdlm is the paper's second-order method (eq. 21), sgd the plain one; the others came later"
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
        None, "paper is eta = 5e-4 x2, 2e-4 x3, 1e-4 x3, 5e-5 x4, then 1e-5; default paper for sdlm, constant for sgd"
    )
    every: int = _option(10, "passes between two steps (step)", least=1)
    factor: float = _option(0.1, "factor of each step (step)", least=0.0, below=1e300)
    final: float = _option(0.0, "rate of the last pass (cosine, one-cycle)", least=0.0, below=1e300)
    warmup: int = _option(0, "passes of linear rise in front", least=0)


_FIRST_ORDER = ("sgd", "adam", "rmsprop", "adagrad")
# Who has a use for an option, where not all of its section do.
_OWNERS: dict[tuple[str, str], tuple[str, ...]] = {
    **{("optimizer", name): ("sdlm",) for name in ("mu", "rule")},
    **{("optimizer", name): _FIRST_ORDER for name in ("l2", "l1", "decay", "clip")},
    **{("optimizer", name): ("adam",) for name in ("beta1", "beta2", "amsgrad")},
    ("optimizer", "momentum"): ("sdlm", "sgd", "rmsprop"),
    ("optimizer", "nesterov"): ("sgd",),
    ("optimizer", "rho"): ("rmsprop",),
    ("loss", "j"): ("map",),
}
_LR = {"sdlm": 5e-4, "adagrad": 1e-2}


@dataclass(frozen=True)
class TrainConfig(_Section):
    """One training run. The defaults are the paper's."""

    dataset: Literal["auto", "mnist", "fashion-mnist", "digits"] = _option(
        "auto", "auto is mnist where it can be had, else the embedded digits; mnist insists"
    )
    data_dir: str | None = _option(None, "folder with the files of the data set")
    verify: bool = _option(True, "hold the files against the published hashes; false for files of your own")
    epochs: int = _option(20, "passes through the training set", least=1)
    batch_size: int = _option(1, "patterns per update; the paper updates after every single one", least=1)
    seed: int = _option(0, "seed of weights, order and samples", least=0, below=2**63)
    threads: int | None = _option(None, "threads; default all cores. Results are the same bits for any number", least=1)
    out: str | None = _option(None, "folder of the run; default runs/NAME-TIME")
    validation_split: float = _option(
        0.0, "share of the training set that is held out to validate on", least=0.0, below=1.0
    )
    train_size: int | None = _option(None, "train on that many patterns only, the first ones", least=1)
    distort: Literal["none", "shift"] | None = _option(
        None,
        "distort the training images before each pass; shift moves each by up to one pixel along both axes. "
        "Default none, but shift for the few images of digits",
    )
    checkpoint_minutes: float = _option(5.0, "minutes between checkpoints within a pass", least=0.0)
    quiet: bool = _option(False, "print nothing but errors")
    model: ModelConfig = field(default_factory=ModelConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)

    def resolved(self) -> "TrainConfig":
        """Fill in every default that depends on another option.

        Raises
        ------
        ConfigError
            If two options contradict each other.
        """
        sdlm, softmax = self.optimizer.name == "sdlm", self.loss.name == "softmax"
        output = self.model.output or ("softmax" if softmax else "rbf")
        if (output == "softmax") != softmax:
            raise ConfigError(
                f"model.output {output} does not go with loss.name {self.loss.name}: "
                "softmax needs softmax; map and mle need rbf."
            )
        for (section, name), owners in _OWNERS.items():
            part = getattr(self, section)
            if part.name not in owners and getattr(part, name) != getattr(type(part)(), name):
                raise ConfigError(f"{section}.{name} belongs to {', '.join(owners)}; {part.name} has no use for it.")
        init = self.model.init or ("fan-in-2.4" if self.model.subsampling == "average" else "fan-in")
        lr = _LR.get(self.optimizer.name, 1e-3) if self.optimizer.lr is None else self.optimizer.lr
        schedule = self.schedule.name or ("paper" if sdlm else "constant")
        return dataclasses.replace(
            self,
            model=dataclasses.replace(self.model, output=output, init=init),
            optimizer=dataclasses.replace(self.optimizer, lr=lr),
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
                raise ConfigError(f"{where}: {key} is a section or a name; found {value!r}.")
            else:
                raise ConfigError(f"{where}: unknown key {key!r}.{nearest(key, list(known))}")

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
    raise ConfigError(f"{where}: {key} takes {describe(kind)}; found {value!r}.")


def describe(kind: Any) -> str:
    """Say in words what values a field takes."""
    if get_origin(kind) in (UnionType, Union):
        return " or ".join(describe(c) for c in get_args(kind) if c is not NoneType)
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(get_args(kind))
    return {int: "an integer", float: "a number", str: "a text", bool: "true or false"}[kind]
