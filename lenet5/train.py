"""``python -m lenet5.train``: train a network; with no option, as the paper did."""

import dataclasses
import datetime
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path
from typing import Any

from . import callbacks, checkpoint, config, datasets, folders, history, kernels, reports, runs, storage, tensorboard
from .cli import Parser, add_config_options, command, overrides
from .config import TrainConfig
from .datasets.base import Dataset
from .errors import ConfigError, LenetError
from .files import atomic_write
from .ranks import Ranks
from .signals import Signals
from .trainer import Trainer

__all__ = ["main"]

_EPILOG = """Without options: the paper's network and training (section III): LeNet-5 with RBF outputs, eq. 9,
one pattern per update, stochastic diagonal Levenberg-Marquardt with mu 0.02 and h from 500 patterns
before each pass, eta 5e-4 falling to 1e-5 in 20 passes. Where this departs from the paper's words, the
option says so. Exit codes: 0 done, 1 a repeated run differs or a file cannot be written, 2 bad
option, 3 no data, 4 bad checkpoint, 5 diverged, 130/143 stopped and saved."""

# What may change when a run is resumed: nothing that touches its numbers up to then.
_RESUMABLE = {"checkpoint_minutes", "data_dir", "epochs", "quiet", "tensorboard", "threads"}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    with Signals() as signals:
        options, given = _options(argv)
        if options["distributed"] is None:
            return _start(options, given, signals, None)
        ranks = Ranks()
        try:
            return _start(options, given, signals, ranks)
        except BaseException as error:  # the other ranks would wait for this one for ever
            if ranks.rank:
                time.sleep(1)  # what went wrong on all is said by the first
            if not isinstance(error, LenetError):
                traceback.print_exc()
            code = error.exit_code if isinstance(error, LenetError) else 1
            print(f"lenet5: error: {error} (rank {ranks.rank} of {ranks.size})", file=sys.stderr, flush=True)
            ranks.abort(code)
            return code


def _start(options: dict[str, Any], given: dict[str, Any], signals: Signals, ranks: Ranks | None) -> int:
    """Find out what is to be trained, and train it."""
    with ExitStack() as stack:
        saved = other = None
        if options["resume"] is not None:
            folder = Path(options["resume"])
            folder = folder.parent if folder.name == checkpoint.NAME else folder
            with _in_turn(ranks):
                if ranks is None or ranks.rank == 0:
                    stack.enter_context(folders.alone(folder, resume=True))
                settings, saved = folders.continued(folder, given)
        elif options["repeat"] is not None:
            other = history.read(options["repeat"])
            settings = folders.repeated(options["repeat"], other[0], given)
        else:
            settings = folders.begun(options["config"], given)
        if ranks is not None and ranks.rank:
            settings = dataclasses.replace(settings, quiet=True, tensorboard=None)
        with _in_turn(ranks):
            train, test, notice = _data(settings)
        if notice and (ranks is None or ranks.rank == 0):
            print(notice, file=sys.stderr, flush=True)
        if settings.distort.name is None:
            # Chosen by cross-validation on the training set of digits: 4.0 % without, 2.3 % with.
            name: Any = "shift" if train.name == "digits" else "none"
            settings = dataclasses.replace(settings, distort=dataclasses.replace(settings.distort, name=name))
        settings = dataclasses.replace(settings, dataset=train.name)  # type: ignore[arg-type]
        resume = options["resume"] is not None
        return _train(settings, train, test, saved, other, signals, ranks, stack, resume=resume)


def _train(
    settings: TrainConfig,
    train: Dataset,
    test: Dataset,
    saved: folders.Saved | None,
    other: folders.History | None,
    signals: Signals,
    ranks: Ranks | None,
    stack: ExitStack,
    *,
    resume: bool,
) -> int:
    say: Callable[[str], None] = (lambda text: None) if settings.quiet else print
    writes = ranks is None or ranks.rank == 0
    n = len(train)
    train, validation = runs.split(settings, train)
    # Before there is a folder.
    trainer = runs.make_trainer(settings, train, validation=validation, test=test, ranks=ranks)
    board = _tensorboard(settings, test)
    folder = Path(settings.out or f"runs/{settings.dataset}-{datetime.datetime.now():%Y%m%d-%H%M%S}")
    if writes and not resume:
        stack.enter_context(folders.alone(folder))
    data_dir = None if settings.data_dir is None else os.path.abspath(settings.data_dir)
    events = None if settings.tensorboard is None else os.path.abspath(settings.tensorboard)
    settings = dataclasses.replace(settings, out=None, data_dir=data_dir, tensorboard=events)
    meta = runs.meta(settings, trainer.net, train)
    if other is not None:
        folders.same_data(other[0], meta, "the run to repeat")
    say(f"training on {train.name}: {n:,} images, {len(test):,} to test on; run folder {folder}")
    if kernels.cold("learn"):
        say("compiling the kernels, once: about 20 s")
    about = {name: meta[name] for name in ("config", "dataset", "data_sha256")}
    here = runs.circumstances() | {"threads": trainer.threads, "ranks": ranks.size if ranks else 1}
    stopping = _early_stopping(settings, folder, train, writes)
    comparison = [] if other is None else [reports.CompareHistory(other[1])]
    trainer.callbacks += [*stopping, callbacks.Clock()]
    if writes:
        trainer.callbacks += [
            reports.WriteHistory(folder, about, here),
            callbacks.Checkpoint(folder / checkpoint.NAME, meta=meta, minutes=settings.checkpoint_minutes),
        ]
    trainer.callbacks += [
        *comparison,
        reports.ReportRates(say),
        reports.Report(say),
        reports.Progress(disable=True if settings.quiet else None),
        *board,
    ]
    if saved is not None:
        folders.same_data(saved[1], meta, folder)
        trainer.load_state(saved[0], saved[1].get("trainer", {}))
        if settings.epochs < trainer.epoch + (trainer.position > 0):
            raise ConfigError(
                f"{folder} is in pass {trainer.epoch + (trainer.position > 0)}; --epochs cannot be fewer."
            )
        say(f"resuming after {trainer.epoch} passes and {trainer.position:,} patterns")
    signals.trainer = trainer
    if ranks is not None:
        ranks.meet()  # all have read the checkpoint before the next one replaces it
        stack.enter_context(ranks.last_words(f"lenet5: error: the job was killed: a rank has died. {_go_on(folder)}"))
    try:
        if writes:  # again of a resumed run: passes may be added
            _write_json(folder / "config.json", config.to_dict(settings))
        trainer.fit(train, epochs=settings.epochs)
        if trainer.history and writes:
            _draw_curves(trainer, folder, train)
        others_stopped = ranks is not None and trainer.stop and not stopping and not comparison
        if (signals.caught or others_stopped) and trainer.epoch < settings.epochs:
            done = f"pass {trainer.epoch + 1}, pattern {trainer.position:,}"
            if writes:
                print(f"stopped in {done}; saved. Continue with: {_resume(folder)}", file=sys.stderr)
            return 128 + (signals.caught or [signal.SIGTERM])[0]
        if writes:
            _finish(trainer, folder, train)
    except OSError as error:
        raise LenetError(
            f"{error.filename or folder}: cannot be written: {error.strerror or error}. {_go_on(folder)}"
        ) from error
    last = trainer.history[-1]
    if comparison:
        return _compared(comparison[0], other, here) if writes else 0
    if stopping and trainer.epoch < settings.epochs:
        say(
            f"stopped: no better {settings.monitor} since pass {stopping[0].best_pass}, whose weights are in "
            f"{folder / 'best.npz'}; weights.npz and what follows are of the last pass"
        )
    say(
        f"test error {last['test_error']:.2%} on {train.name} after {trainer.epoch} passes; see {folder / 'curves.png'}"
    )
    return 0


def _in_turn(ranks: Ranks | None) -> AbstractContextManager[None]:
    return nullcontext() if ranks is None else ranks.one_by_one()


def _go_on(folder: Path) -> str:
    return f"What was saved before is whole; when that is mended, continue with: {_resume(folder)}"


def _resume(folder: Path) -> str:
    return f"python -m lenet5.train --resume {folder}"


def _options(argv: Sequence[str] | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return all options, and those of the configuration that were given."""
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
    parser.add_argument(
        "--distributed",
        default=None,
        metavar="{mpi}",
        help="share out every batch among the ranks of mpiexec -n N; the run has the same bits for any number of them",
    )
    parser.add_argument(
        "--repeat",
        default=None,
        metavar="DIR",
        help="run again what DIR has run, and say whether every pass is the same, or which is the first to differ",
    )
    add_config_options(parser)
    options = parser.parse(argv)
    given = overrides(options)
    if options["distributed"] not in (None, "mpi"):
        raise ConfigError(f"--distributed takes mpi; found {options['distributed']!r}.")
    modes = [name for name in ("resume", "repeat") if options[name] is not None]
    if len(modes) > 1:
        raise ConfigError("--resume continues a run and --repeat begins it anew: give one of them.")
    allowed = {"resume": _RESUMABLE, "repeat": _RESUMABLE - {"epochs"} | {"out"}}
    for name in modes:
        fixed = sorted(set(given) - allowed[name]) + (["config"] if options["config"] else [])
        if fixed:
            raise ConfigError(
                f"--{name} takes a run as it was; not changed may be: {', '.join(fixed)}. "
                f"Allowed beside it: {', '.join(sorted(allowed[name]))}."
            )
    return options, given


def _compared(comparison: reports.CompareHistory, other: folders.History | None, here: dict[str, Any]) -> int:
    """Say how a repeated run compares; return 0 if it is the same."""
    assert other is not None
    if not comparison.difference:
        print(f"equal: {len(comparison.passes)} passes with the same numbers and the same weights, bit for bit")
        return 0
    print(comparison.difference.rstrip(), file=sys.stderr)
    there = (other[0].get("starts") or [{}])[-1]
    for key in ("cpu", "versions", "commit"):
        if there.get(key) != here[key]:
            print(f"  {key}: {there.get(key)} there, {here[key]} here", file=sys.stderr)
    return 1


def _data(settings: TrainConfig) -> tuple[Dataset, Dataset, str | None]:
    options: dict[str, Any] = {"verify": settings.verify, "progress": not settings.quiet}
    if settings.dataset == "auto":
        return datasets.load_auto(settings.data_dir, **options)
    return *datasets.load(settings.dataset, settings.data_dir, mmap=settings.mmap, **options), None


def _tensorboard(settings: TrainConfig, test: Dataset) -> list[callbacks.Callback]:
    if settings.tensorboard is None:
        return []
    return [tensorboard.TensorBoard(settings.tensorboard, config=config.to_dict(settings), image=test.images[0])]


def _early_stopping(settings: TrainConfig, folder: Path, train: Dataset, writes: bool) -> list[callbacks.EarlyStopping]:
    if settings.patience is None:
        return []

    def keep(trainer: Trainer) -> None:
        storage.save(folder / "best.npz", trainer.net, meta={"dataset": train.name})

    return [callbacks.EarlyStopping(settings.patience, monitor=settings.monitor, keep=keep if writes else None)]


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
