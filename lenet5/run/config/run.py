"""Configuration of a training run, with checks that its options are compatible."""

import dataclasses
from dataclasses import dataclass, field
from typing import Any, Literal

from ...datasets.loading import NAMES
from ...errors import ConfigError
from ...optim import OPTIMIZERS
from .sections import (
    OPTIMIZER_OWNERS,
    SCHEDULE_OWNERS,
    DataConfig,
    DistortConfig,
    LossConfig,
    ModelConfig,
    OptimizerConfig,
    ScheduleConfig,
    Section,
    option,
)  # fmt: skip

__all__ = ["TrainConfig"]

_WARPS = ("affine", "rotation", "elastic", "all", "neighbours")
_PAPER = ("lenet5", "lenet4", "lenet1")
# (section, option) -> values of the section's `name` to which the option applies. Options not listed apply to all.
_OWNERS: dict[tuple[str, str], tuple[str, ...]] = {
    **{("optimizer", name): owners for name, owners in OPTIMIZER_OWNERS.items()},
    **{("schedule", name): owners for name, owners in SCHEDULE_OWNERS.items()},
    ("loss", "j"): ("map",),
    ("loss", "smoothing"): ("softmax",),
    ("model", "subsampling"): ("lenet5", "d2l", "lenet5-cifar10"),
    ("model", "activation"): ("d2l", "lenet5-cifar10"),
    ("model", "output"): ("lenet5",),
    ("model", "coefficient"): _PAPER,
    ("model", "norm"): ("d2l", "lenet5-cifar10"),
    ("model", "dropout"): ("d2l", "lenet5-cifar10"),
    ("model", "variation"): ("tensorflow-tutorial",),
    **{
        ("distort", name): _WARPS
        for name in ("translation", "scale", "squeeze", "shear", "rotation", "elastic", "sigma", "share", "final")
    },
}
_BATCH = {"lenet5-mattwang44": 256, "tensorflow-tutorial": 100}
# Type of output units that each loss needs, default loss for each type, and type of the networks that support only one.
_UNITS: dict[str, Any] = {"map": "rbf", "mle": "rbf", "softmax": "softmax", "squared": "dense"}
_LOSS: dict[str, Any] = {"rbf": "map", "softmax": "softmax", "dense": "squared"}
_FIXED: dict[str, Any] = {"lenet4": "dense", "lenet1": "dense", "lenet5-mattwang44": "rbf"}


@dataclass(frozen=True)
class TrainConfig(Section):
    """Configuration of a training run. The defaults are those of the paper."""

    dataset: str = option(
        "auto",
        "name or path; auto selects mnist if available, otherwise digits (part of scikit-learn); other names are "
        f"mnist, {', '.join(NAMES[1:-1])}; idx reads your own four IDX files in --data-dir, named like MNIST's. A path "
        "can be a folder with a sub-folder of images for each class, a CSV file or folder from Kaggle, or an .npz file",
        metavar="NAME_OR_PATH",
    )
    data_dir: str | None = option(None, "folder with the data files", metavar="DIR")
    verify: bool = option(True, "check files against the published SHA-256; false accepts your own files")
    mmap: bool | None = option(
        None,
        "memory-map the images in raw IDX files (idx, mnist, fashion-mnist) and shuffle them in blocks, for data sets "
        "larger than memory (default: only for idx files over 2 GB)",
    )
    epochs: int = option(20, "number of epochs", least=1)
    batch_size: int | None = option(
        None,
        "patterns per update (default: 1 for lenet1, lenet4 and lenet5, as in the paper, 256 for lenet5-mattwang44, "
        "100 for tensorflow-tutorial, 128 for others)",
        least=1,
    )
    seed: int = option(
        0, "random seed for initial weights, order of the images and all other random draws", least=0, below=2**63
    )
    threads: int | None = option(
        None, "number of threads; it does not change the results (default: one per core)", least=1, below=1025
    )
    out: str | None = option(None, "folder of the run (default: runs/NAME-TIME)", metavar="DIR")
    validation_split: float = option(
        0.0, "fraction of the training set to hold out for validation", least=0.0, below=1.0
    )
    train_size: int | None = option(None, "train only on the first N images", least=1)
    patience: int | None = option(
        None, "stop after N epochs without improvement of --monitor; requires --validation-split", least=1
    )
    monitor: Literal["validation_loss", "validation_error"] = option(
        "validation_loss", "quantity that --patience monitors; the weights of the best epoch are kept in best.npz"
    )
    average: float | None = option(
        None, "average the weights over the last epochs; X is the fraction of epochs to average", least=1e-9, most=1.0
    )
    checkpoint_minutes: float = option(5.0, "minutes between checkpoints within an epoch", least=0.0)
    tensorboard: str | None = option(
        None, "folder for TensorBoard's event files (requires tensorboardX)", metavar="DIR"
    )
    quiet: bool = option(False, "print only errors")
    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    distort: DistortConfig = field(default_factory=DistortConfig)

    def resolved(self) -> "TrainConfig":
        """Return the configuration with all defaults that depend on other options filled in.

        Raises
        ------
        ConfigError
            If two options contradict each other.
        """
        model, units, criterion = self.model, self._units(), self.loss.name
        paper = model.name in _PAPER
        if model.name == "lenet5":
            init = model.init or ("fan-in-2.4" if model.subsampling == "average" else "fan-in")
            model = dataclasses.replace(model, output=units, init=init, subsampling=model.subsampling or "trainable")
        rule = self.optimizer.name or ("sdlm" if paper or model.name == "lenet5-mattwang44" else "adam")
        lr = OPTIMIZERS[rule].options["lr"].default if self.optimizer.lr is None else self.optimizer.lr
        scale = self.loss.scale or (0.5 if units == "rbf" else 1.0)
        schedule = self.schedule.name or ("paper" if rule == "sdlm" else "constant")
        filled = dataclasses.replace(
            self,
            batch_size=self.batch_size or (1 if paper else _BATCH.get(model.name, 128)),
            model=model,
            loss=dataclasses.replace(self.loss, name=criterion or _LOSS[units], scale=scale),
            optimizer=dataclasses.replace(self.optimizer, name=rule, lr=lr),
            schedule=dataclasses.replace(self.schedule, name=schedule),
        )
        filled._check_owners()
        filled._check_pairs()
        return filled

    def _units(self) -> Any:
        """Return the type of the output units; raise ConfigError if the loss needs another type."""
        model, criterion = self.model, self.loss.name
        units: Any = model.output if model.name == "lenet5" else _FIXED.get(model.name, "softmax")
        units = units or (_UNITS[criterion] if criterion else "rbf")
        if criterion and _UNITS[criterion] != units:
            owner = f"model.output {units}" if model.name == "lenet5" else f"the outputs of {model.name} ({units})"
            needs = ", ".join(f"{name} needs {unit}" for name, unit in _UNITS.items())
            raise ConfigError(f"{owner} and loss.name {criterion} are incompatible: {needs}.")
        return units

    def _check_owners(self) -> None:
        """Raise ConfigError if an option is set that does not apply to its section's `name`, such as mu for sgd."""
        for (part, name), owners in _OWNERS.items():
            section = getattr(self, part)
            if section.name not in owners and getattr(section, name) != getattr(type(section)(), name):
                raise ConfigError(
                    f"{part}.{name} applies to {', '.join(owners)} only, not to {section.name or 'none'}."
                )

    def _check_pairs(self) -> None:
        """Raise ConfigError if options of different sections contradict each other."""
        model, distort = self.model, self.distort
        named = self.dataset in ("auto", *NAMES)
        if self.mmap and self.dataset in ("auto", "cifar10", "digits", "mnist-lines"):
            raise ConfigError(f"mmap needs IDX files: --dataset idx, mnist or fashion-mnist; found {self.dataset}.")
        if named and self.data != DataConfig():
            raise ConfigError(f"data.* options apply only to data sets given by a path, not to {self.dataset}.")
        if self.patience is not None and not self.validation_split:
            raise ConfigError("patience needs a validation set: give --validation-split (for example 0.1).")
        if self.patience is None and self.monitor != type(self)().monitor:
            raise ConfigError("monitor applies only with patience: give --patience (for example 10).")
        if distort.sigma is not None and distort.name in ("affine", "rotation") and not distort.elastic:
            raise ConfigError(
                "distort.sigma applies only to elastic distortion: give --distort.elastic (for example 34)."
            )
        if model.subsampling == "trainable" and model.name != "lenet5":
            raise ConfigError(f"model.subsampling of {model.name} must be average or max; found trainable.")
        if model.subsampling in ("average", "max") and model.coefficient is not None:
            raise ConfigError(f"model.coefficient applies to trainable sub-sampling only, not to {model.subsampling}.")
