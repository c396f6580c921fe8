"""The command ``python -m lenet5.train``: train a network, by default as the paper did."""

import dataclasses
import os
import sys
import time
import traceback
import warnings
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path
from typing import Any

from .command import Parser, add_config_options, command, overrides, report_compiling
from .errors import ConfigError, LenetError, LenetWarning
from .run import history
from .run.config import TrainConfig
from .run.folder import History, Saved, alone, begun, continued, repeated
from .run.session import Session
from .run.signals import Signals
from .run.source import given_path, load_configured
from .training import checkpoint
from .training.mpi import Ranks
from .training.reports import say

__all__ = ["main"]

_EPILOG = """Without options: the paper's network and training (section III): LeNet-5 with RBF outputs, eq. 9,
one pattern per update, stochastic diagonal Levenberg-Marquardt with mu 0.02 and h from 500 patterns
before each epoch, eta 5e-4 falling to 1e-5 in 20 epochs. Options that depart from the
paper's words say so. Exit codes: 0 done, 1 a repeated run differs or a file cannot be written, 2 bad
option, 3 no data, 4 bad checkpoint, 5 diverged, 130/143 stopped and saved."""

# What may change when a run is resumed: nothing that touches its numbers up to then.
_RESUMABLE = {"checkpoint_minutes", "data_dir", "epochs", "quiet", "tensorboard", "threads"}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    with Signals() as signals:
        options, given = _options(argv)
        if not given.get("quiet"):
            report_compiling()
        if options["distributed"] is None:
            return _start(options, given, signals, None)
        ranks = Ranks()
        try:
            return _start(options, given, signals, ranks)
        except BaseException as error:  # the other ranks would wait for this one for ever
            if ranks.rank:
                time.sleep(1)  # the first rank reports what went wrong on all
            if not isinstance(error, LenetError):
                traceback.print_exc()
            code = error.exit_code if isinstance(error, LenetError) else 1
            print(f"lenet5: error: {error} (rank {ranks.rank} of {ranks.size})", file=sys.stderr, flush=True)
            ranks.abort(code)
            return code


def _start(options: dict[str, Any], given: dict[str, Any], signals: Signals, ranks: Ranks | None) -> int:
    """Determine the run to start, resume or repeat, and train it."""
    first = ranks is None or ranks.rank == 0
    with ExitStack() as stack:
        settings, saved, other = _settings(options, given, ranks, stack)
        if not first:
            settings = dataclasses.replace(settings, quiet=True, tensorboard=None)
            warnings.simplefilter("ignore", LenetWarning)  # the first rank warns
        with _in_turn(ranks):
            train, test, notice = load_configured(settings)
        if notice and first:
            say(notice, error=True)
        session = Session(_with_data(settings, train.name), train, test, ranks)
        if first and options["resume"] is None:
            stack.enter_context(alone(session.folder))
        if other is not None:
            session.repeat(other)
        session.begin(saved)
        if ranks is not None:
            ranks.meet()  # all have read the checkpoint before the next one replaces it
            ranks.timeout = options["distributed_timeout"]
            died = f"lenet5: error: the job was killed: a rank has died. {session.go_on}"
            stack.enter_context(ranks.last_words(died))
        return session.fit(signals)


def _settings(
    options: dict[str, Any], given: dict[str, Any], ranks: Ranks | None, stack: ExitStack
) -> tuple[TrainConfig, Saved | None, History | None]:
    """Return the configuration; of a run to resume its checkpoint, of one to repeat its history."""
    if options["resume"] is not None:
        folder = Path(options["resume"])
        folder = folder.parent if folder.name == checkpoint.NAME else folder
        with _in_turn(ranks):
            if ranks is None or ranks.rank == 0:
                stack.enter_context(alone(folder, resume=True))
            return *continued(folder, given), None
    if options["repeat"] is not None:
        other = history.read(options["repeat"])
        return repeated(options["repeat"], other[0], given), None, other
    return begun(options["config"], given), None, None


def _with_data(settings: TrainConfig, name: str) -> TrainConfig:
    """Fill in options that depend on the data set that was found."""
    distort = settings.distort
    if given_path(settings):
        path = os.path.abspath(Path(settings.dataset).expanduser())
        return dataclasses.replace(settings, dataset=path)
    if distort.name is None:
        # Of digits chosen by cross-validation on its training set: 4.0 % without, 2.3 % with.
        own: Any = {"digits": "shift", "mnist-lines": "neighbours"}
        distort = dataclasses.replace(distort, name=own.get(name, "none"))
    return dataclasses.replace(settings, dataset=name, distort=distort)


def _in_turn(ranks: Ranks | None) -> AbstractContextManager[None]:
    return nullcontext() if ranks is None else ranks.one_by_one()


def _options(argv: Sequence[str] | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return all options, and those of the configuration that were given."""
    parser = Parser(prog="python -m lenet5.train", description="Train LeNet-5.", epilog=_EPILOG)
    parser.add_option(
        "--config",
        type=str | None,
        default=None,
        metavar="FILE",
        help="TOML or JSON file of options; others override it",
    )
    parser.add_option(
        "--resume",
        default=None,
        metavar="DIR",
        help="continue the run in DIR; it ends with the same bits as an uninterrupted run",
    )
    parser.add_option(
        "--distributed",
        default=None,
        metavar="{mpi}",
        help="distribute every batch over the ranks of mpiexec -n N; the results are the same bits for any N",
    )
    parser.add_option(
        "--distributed-timeout",
        type=float,
        default=300.0,
        metavar="SECONDS",
        help="stop with a checkpoint if the other ranks do not answer for that long (default 300)",
    )
    parser.add_option(
        "--repeat",
        default=None,
        metavar="DIR",
        help="rerun the run in DIR and report the first epoch that differs, if one does",
    )
    add_config_options(parser)
    options = parser.parse(argv)
    given = overrides(options)
    if options["distributed"] not in (None, "mpi"):
        raise ConfigError(f"--distributed takes mpi; found {options['distributed']!r}.")
    if not options["distributed_timeout"] > 0:
        raise ConfigError(
            f"--distributed-timeout is a number of seconds above 0; found {options['distributed_timeout']:g}."
        )
    modes = [name for name in ("resume", "repeat") if options[name] is not None]
    if len(modes) > 1:
        raise ConfigError("--resume continues a run and --repeat begins it anew: give one of them.")
    allowed = {"resume": _RESUMABLE, "repeat": _RESUMABLE - {"epochs"} | {"out"}}
    for name in modes:
        fixed = sorted(set(given) - allowed[name]) + (["config"] if options["config"] else [])
        if fixed:
            raise ConfigError(
                f"--{name} cannot change: {', '.join(fixed)}. Allowed beside it: {', '.join(sorted(allowed[name]))}."
            )
    return options, given


run = command(main)

if __name__ == "__main__":
    sys.exit(run())
