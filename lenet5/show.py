"""The command ``python -m lenet5.show``: save any plot of `lenet5.plots` to a file."""

import json
import operator
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from . import bitmaps, datasets, optim
from .command import Parser, add_data_arguments, add_run_argument, command, report_compiling
from .datasets.base import Dataset
from .errors import ConfigError, shown
from .models.weights import PRETRAINED, read
from .network import Sequential
from .run import config, history
from .run.build import make_loss
from .run.source import TEST_SET, load_again
from .training.shards import Shards

__all__ = ["main"]


class _Subject:
    """Inputs of the plots, each loaded on demand."""

    def __init__(self, options: dict[str, Any]) -> None:
        self.options = options
        self.path = Path(options["run"])
        self._net: tuple[Sequential, dict[str, Any]] | None = None
        self._data: tuple[Dataset, Dataset] | None = None

    @property
    def net(self) -> Sequential:
        return self._read()[0]

    @property
    def meta(self) -> dict[str, Any]:
        return self._read()[1]

    @property
    def test(self) -> Dataset:
        return self._load()[1]

    @property
    def train(self) -> Dataset:
        return self._load()[0]

    @property
    def image(self) -> np.ndarray:
        number, test = self.options["image"], self.test
        if not 0 <= number < len(test):
            raise ConfigError(
                f"--image must be the index of a test image of {test.name}, 0 to {len(test) - 1}; found {number}."
            )
        return test.images[number]

    def _read(self) -> tuple[Sequential, dict[str, Any]]:
        if self._net is None:
            report_compiling()
            self._net = read(self.path)
        return self._net

    def _load(self) -> tuple[Dataset, Dataset]:
        if self._data is None:
            name, folder, verify = (self.options[key] for key in ("dataset", "data_dir", "verify"))
            self._data = load_again({} if name else self.meta, name, folder, verify=verify, progress=False)
        return self._data


def _history(subject: _Subject) -> Any:
    from . import plots

    run, epochs = history.read(subject.path)
    try:
        data, net = str(run["dataset"]), str(run["config"]["model"]["name"])
        for record in epochs:
            _numbers(record, ("epoch", "train_error", "validation_error", "test_error"), needed=("epoch",))
        return plots.learning_curves({subject.path.name: epochs}, data=data, net=net)
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{subject.path}: the history cannot be plotted: {error}.") from error


def _sizes(subject: _Subject) -> Any:
    from . import plots

    files = sorted(subject.path.glob("*.json")) if subject.path.is_dir() else []
    results: dict[int, list[dict[str, Any]]] = {}
    try:
        for file in files:
            record = json.loads(file.read_text())
            if record["config"]["distort"]["name"] is None:
                size = operator.index(record["config"]["train_size"] or record["train_images"])
                _numbers(record["result"], ("test_error", "train_error"), needed=("test_error", "train_error"))
                results.setdefault(size, []).append(record["result"])
        name = str(record["dataset"])
        return plots.training_size(results, data=name)
    except (ValueError, KeyError, TypeError, OSError, OverflowError, RecursionError, UnboundLocalError) as error:
        raise ConfigError(
            f"{subject.path}: training-size needs a folder of results for several training sizes, such as "
            "results/paper-fig6; create it with `python -m lenet5.reproduce run paper-fig6`."
        ) from error


def _numbers(record: dict[str, Any], keys: tuple[str, ...], *, needed: tuple[str, ...]) -> None:
    """Raise ValueError unless a record's values for `keys` are numbers below 1e15; keys not in `needed` may be null."""
    for key in keys:
        value: Any = record.get(key) if isinstance(record, dict) else None
        if not (value is None and key not in needed or type(value) in (int, float) and abs(value) < 1e15):
            raise ValueError(f"{key} must be a number; found {shown(value)}")


def _rates(subject: _Subject) -> Any:
    from . import plots

    # Use the run's loss and optimiser if the file records them, else the defaults for its network.
    net, meta = subject.net, subject.meta
    values = meta.get("config") or {"model": {"name": (net.spec or {}).get("name", "lenet5")}}
    settings = config.from_dict(values, where=str(subject.path)).resolved()
    own = settings.optimizer if settings.optimizer.name == "sdlm" else config.OptimizerConfig()
    optimizer = optim.SDLM(net.parameters(), lr=own.lr or 5e-4, mu=own.mu)
    train = net.relabelled(subject.train)
    sample = np.random.default_rng(0).choice(len(train), min(own.patterns, len(train)), replace=False)
    Shards(net, make_loss(settings)).curvature(train.images[sample], train.labels[sample])
    optimizer.observe()
    return plots.effective_rates(net, optimizer)


def _rejection(subject: _Subject) -> Any:
    from . import plots

    test = subject.net.relabelled(subject.test)
    outputs = subject.net.outputs(test.images)
    scores = -outputs if subject.net.outputs_penalties else outputs
    return plots.rejection({subject.path.name: (scores, test.labels)}, data=test.name)


def _pictures() -> dict[str, tuple[str, Callable[[_Subject], Any]]]:
    from . import plots

    return {
        "architecture": ("the architecture, as in the paper's Fig. 2", lambda s: plots.architecture(s.net)),
        "confusion": ("confusion matrix", lambda s: plots.confusion(s.net, s.test)),
        "distortions": (
            "training images with each distortion applied",
            lambda s: plots.distortions(s.train.images[:14], datasets.DISTORTIONS, data=s.train.name),
        ),
        "effective-rates": ("the learning rates that SDLM assigns to the weights", _rates),
        "feature-maps": (
            "output of every stage for --image",
            lambda s: plots.feature_maps(s.net, s.image, data=s.test.name),
        ),
        "images": ("the first training images", lambda s: plots.images(s.train)),
        "kernels": ("the kernels of --stage", lambda s: plots.kernels(s.net, s.options["stage"])),
        "learning-curves": ("error after each epoch, as in Fig. 5", _history),
        "mistakes": ("all misclassified test images, as in Fig. 8", lambda s: plots.mistakes(s.net, s.test)),
        "occlusion": (
            "decrease in the predicted class's margin when a patch of --image is covered",
            lambda s: plots.occlusion(s.net, s.image),
        ),
        "rbf-codes": (
            "the target codes of --characters, as in Fig. 3",
            lambda s: plots.rbf_codes(s.options["characters"] or bitmaps.ASCII),
        ),
        "rejection": ("error against rejection rate, as in Fig. 10", _rejection),
        "robustness": (
            "error on noisy, rotated and shifted images, as in Fig. 13",
            lambda s: plots.robustness(s.net, s.test),
        ),
        "saliency": ("saliency map of --image", lambda s: plots.saliency(s.net, s.image)),
        "training-size": ("error against the number of training images, as in Fig. 6, from a results folder", _sizes),
        "weights": ("distribution of the values in each parameter array", lambda s: plots.weights(s.net)),
    }


def picture(name: str, options: dict[str, Any]) -> Any:
    """Return the figure with the given name; `options` are the parsed options of the command."""
    return _pictures()[name][1](_Subject(options))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    from . import plots

    pictures = _pictures()
    width = max(map(len, pictures))
    parser = Parser(
        prog="python -m lenet5.show",
        positional="PICTURE [RUN_OR_FILE]",
        description="Plot a network, its responses to images, or its training, and save the figure as a PNG file.",
        epilog="pictures: " + "; ".join(f"{name}: {text}" for name, (text, _) in pictures.items()),
    )
    parser.add_argument("picture", metavar="PICTURE", help=f"one of {', '.join(pictures)}")
    add_run_argument(parser, PRETRAINED)
    parser.add_option("--image", type=int, default=0, metavar="N", help="index of a test image (default: 0)")
    parser.add_option("--stage", default="C1", metavar="NAME", help="a convolutional layer, such as C3 (default: C1)")
    parser.add_option(
        "--characters", default="", metavar="TEXT", help="characters to draw (default: all printable ASCII characters)"
    )
    add_data_arguments(parser, TEST_SET, verify=True)
    parser.add_option(
        "-o", "--out", type=str | None, default=None, metavar="FILE", help="file to write (default: PICTURE.png)"
    )
    options = parser.parse(argv)
    name = options["picture"]
    if name not in pictures:
        listed = "\n".join(f"  {key:<{width}}  {text}" for key, (text, _) in pictures.items())
        raise ConfigError(f"unknown picture {name!r}; choose one of\n{listed}")
    out = Path(options["out"] or f"{name}.png")
    if out.suffix.lower() != ".png":
        raise ConfigError(f"{out}: figures are saved as PNG; use {out.with_suffix('.png')}.")
    plots.save(picture(name, options), out)
    print(f"wrote {out}")
    return 0


run = command(main)

if __name__ == "__main__":
    sys.exit(run())
