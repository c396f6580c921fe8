"""``python -m lenet5.train``: train a network; with no option, as the paper did."""

import dataclasses
import datetime
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from . import callbacks, checkpoint, config, datasets, kernels, reports, runs, storage, tensorboard
from .cli import Parser, add_config_options, command, overrides
from .config import TrainConfig
from .datasets.base import Dataset
from .errors import CheckpointError, ConfigError
from .files import atomic_write
from .trainer import Trainer

__all__ = ["main"]

_EPILOG = """Without options: the paper's network and training (section III): LeNet-5 with RBF outputs, eq. 9,
one pattern per update, stochastic diagonal Levenberg-Marquardt with mu 0.02 and h from 500 patterns
before each pass, eta 5e-4 falling to 1e-5 in 20 passes. Where this departs from the paper's words, the
option says so. Exit codes: 0 done, 2 bad option, 3 no data, 4 bad checkpoint, 5 diverged, 130/143 stopped
and saved."""

# What may change when a run is resumed: nothing that touches its numbers up to then.
_RESUMABLE = {"checkpoint_minutes", "data_dir", "epochs", "quiet", "tensorboard", "threads"}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    settings, resume = _settings(argv)
    say: Callable[[str], None] = (lambda text: None) if settings.quiet else print
    train, test, notice = _data(settings)
    if notice:
        print(notice, file=sys.stderr, flush=True)
    if settings.distort.name is None:
        # Chosen by cross-validation on the training set of digits: 4.0 % without, 2.3 % with.
        name: Any = "shift" if train.name == "digits" else "none"
        settings = dataclasses.replace(settings, distort=dataclasses.replace(settings.distort, name=name))
    settings = dataclasses.replace(settings, dataset=train.name)  # type: ignore[arg-type]
    n = len(train)
    train, validation = runs.split(settings, train)
    trainer = runs.make_trainer(settings, train, validation=validation, test=test)  # before there is a folder
    board = _tensorboard(settings, test)
    folder = _folder(settings, resume)
    data_dir = None if settings.data_dir is None else os.path.abspath(settings.data_dir)
    events = None if settings.tensorboard is None else os.path.abspath(settings.tensorboard)
    settings = dataclasses.replace(settings, out=None, data_dir=data_dir, tensorboard=events)
    say(f"training on {train.name}: {n:,} images, {len(test):,} to test on; run folder {folder}")
    if kernels.cold("learn"):
        say("compiling the kernels, once: about 20 s")
    checkpoints = callbacks.Checkpoint(
        folder / storage.CHECKPOINT,
        meta=runs.meta(settings, trainer.net, train),
        minutes=settings.checkpoint_minutes,
    )
    stopping = _early_stopping(settings, folder, train)
    trainer.callbacks += [
        *stopping,
        callbacks.Clock(),
        checkpoints,
        reports.WriteHistory(folder),
        reports.ReportRates(say),
        reports.Report(say),
        reports.Progress(disable=True if settings.quiet else None),
    ]
    trainer.callbacks += board
    if resume and (folder / storage.CHECKPOINT).exists():
        arrays, meta = checkpoint.load(folder / storage.CHECKPOINT)
        _same_data(meta, checkpoints.meta, folder)
        trainer.load_state(arrays, meta.get("trainer", {}))
        if settings.epochs < trainer.epoch + (trainer.position > 0):
            raise ConfigError(
                f"{folder} is in pass {trainer.epoch + (trainer.position > 0)}; --epochs cannot be fewer."
            )
        say(f"resuming after {trainer.epoch} passes and {trainer.position:,} patterns")
    _write_json(folder / "config.json", config.to_dict(settings))  # of a resumed run, too: passes may have been added
    with _stop_on_signals(trainer) as caught:
        trainer.fit(train, epochs=settings.epochs)
    if trainer.history:
        _draw_curves(trainer, folder, train)
    if caught and trainer.epoch < settings.epochs:
        done = f"pass {trainer.epoch + 1}, pattern {trainer.position:,}"
        print(f"stopped in {done}; saved. Continue with: python -m lenet5.train --resume {folder}", file=sys.stderr)
        return 128 + caught[0]
    _finish(trainer, folder, train)
    last = trainer.history[-1]
    if stopping and trainer.epoch < settings.epochs:
        say(
            f"stopped: no better {settings.monitor} since pass {stopping[0].best_pass}, whose weights are in "
            f"{folder / 'best.npz'}; weights.npz and what follows are of the last pass"
        )
    say(
        f"test error {last['test_error']:.2%} on {train.name} after {trainer.epoch} passes; see {folder / 'curves.png'}"
    )
    return 0


def _settings(argv: Sequence[str] | None) -> tuple[TrainConfig, bool]:
    """Return the resolved configuration, and whether it continues a run (whose folder is then `out`)."""
    parser = Parser(prog="python -m lenet5.train", description="Train LeNet-5.", epilog=_EPILOG)
    parser.add_argument(
        "--config",
        type=str | None,
        default=None,
        metavar="FILE",
        help="TOML or JSON file of options; others override it",
    )
    parser.add_argument(
        "--resume",
        default=None,
        metavar="DIR",
        help="continue the run in DIR; it ends with the same bits as one straight run",
    )
    add_config_options(parser)
    options = parser.parse(argv)
    given = overrides(options)
    if options["resume"] is None:
        values = config.read(options["config"]) if options["config"] else {}
        # Both are checked on their own, so that an error names the file or the command line.
        config.from_dict(values, where=options["config"] or "")
        return config.from_dict(_merged(values, given), where="command line").resolved(), False
    fixed = sorted(set(given) - _RESUMABLE) + (["config"] if options["config"] else [])
    if fixed:
        raise ConfigError(
            f"--resume continues a run as it was; not changed may be: {', '.join(fixed)}. "
            f"Allowed beside it: {', '.join(sorted(_RESUMABLE))}."
        )
    folder = Path(options["resume"])
    if folder.name == storage.CHECKPOINT:
        folder = folder.parent
    if not (folder / "config.json").exists():
        raise CheckpointError(f"{folder}: no run to resume: there is no config.json. Start again without --resume.")
    saved = config.read(folder / "config.json")
    return config.from_dict(saved | given | {"out": str(folder)}, where=str(folder / "config.json")).resolved(), True


def _merged(values: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """Return `values` with the sections and options of `given` on top."""
    merged = dict(values)
    for name, value in given.items():
        below = merged.get(name)
        if isinstance(value, dict):
            below = {"name": below} if isinstance(below, str) else below or {}
            value = below | value
        merged.pop(name.replace("_", "-"), None)
        merged[name] = value
    return merged


def _data(settings: TrainConfig) -> tuple[Dataset, Dataset, str | None]:
    options: dict[str, Any] = {"verify": settings.verify, "progress": not settings.quiet}
    if settings.dataset == "auto":
        return datasets.load_auto(settings.data_dir, **options)
    return *datasets.load(settings.dataset, settings.data_dir, mmap=settings.mmap, **options), None


def _folder(settings: TrainConfig, resume: bool) -> Path:
    if settings.out is None:
        folder = Path("runs") / f"{settings.dataset}-{datetime.datetime.now():%Y%m%d-%H%M%S}"
    else:
        folder = Path(settings.out)
    if not resume and any((folder / name).exists() for name in ("config.json", storage.CHECKPOINT)):
        raise ConfigError(f"{folder} holds a run already. Continue it with --resume {folder}, or give another --out.")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _tensorboard(settings: TrainConfig, test: Dataset) -> list[callbacks.Callback]:
    if settings.tensorboard is None:
        return []
    return [tensorboard.TensorBoard(settings.tensorboard, config=config.to_dict(settings), image=test.images[0])]


def _early_stopping(settings: TrainConfig, folder: Path, train: Dataset) -> list[callbacks.EarlyStopping]:
    if settings.patience is None:
        return []

    def keep(trainer: Trainer) -> None:
        storage.save(folder / "best.npz", trainer.net, meta={"dataset": train.name})

    return [callbacks.EarlyStopping(settings.patience, monitor=settings.monitor, keep=keep)]


def _same_data(meta: dict[str, Any], now: dict[str, Any], folder: Path) -> None:
    if meta.get("data_sha256") != now["data_sha256"]:
        raise CheckpointError(f"{folder}: the run was trained on other images than the {now['dataset']} found now.")


@contextmanager
def _stop_on_signals(trainer: Trainer) -> Iterator[list[int]]:
    """Let Ctrl-C and SIGTERM end the training after the current update; a second one acts at once."""
    caught: list[int] = []

    def stop(signum: int, frame: object) -> None:
        caught.append(signum)
        trainer.stop = True
        signal.signal(signum, previous[signal.Signals(signum)])

    previous = {s: signal.signal(s, stop) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield caught
    finally:
        for signum, handler in previous.items():
            signal.signal(signum, handler)


def _draw_curves(trainer: Trainer, folder: Path, train: Dataset) -> None:
    from . import plots

    net = (trainer.net.spec or {}).get("name", "")
    plots.save(plots.learning_curves({folder.name: trainer.history}, data=train.name, net=net), folder / "curves.png")


def _finish(trainer: Trainer, folder: Path, train: Dataset) -> None:
    """Write what remains of a completed run: its weights and its record."""
    storage.save(folder / "weights.npz", trainer.net, meta={"dataset": train.name})
    _write_json(folder / "run.json", runs.record(trainer, train))


def _write_json(path: Path, value: Any) -> None:
    with atomic_write(path, text=True) as file:
        json.dump(value, file, indent=1)
        file.write("\n")


run = command(main)

if __name__ == "__main__":
    sys.exit(run())
