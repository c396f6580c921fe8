"""The command ``python -m lenet5.train``: train a network, by default with the paper's method."""

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

_EPILOG = """The defaults are the paper's network and training (section III): LeNet-5 with RBF outputs, the loss of
eq. 9, one pattern per update, and stochastic diagonal Levenberg-Marquardt with mu 0.02, curvatures from
500 patterns before each epoch, and eta falling from 5e-4 to 1e-5 in 20 epochs. The defaults of --model.init,
--optimizer.rule and --loss.scale depart from the paper; the values paper, latest and 1 follow it. Exit codes:
0 done, 1 a repeated run differs or a file cannot be written, 2 invalid option, 3 missing or damaged
data, 4 invalid checkpoint, 5 diverged, 130/143 interrupted and saved."""

# Options that may change when a run is resumed, because they do not affect the results so far.
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
        except BaseException as error:  # otherwise, the other ranks would wait for this one forever
            if ranks.rank:
                time.sleep(1)  # so that the first rank reports an error that occurs on all ranks
            if not isinstance(error, LenetError):
                traceback.print_exc()
            code = error.exit_code if isinstance(error, LenetError) else 1
            print(f"lenet5: error: {error} (rank {ranks.rank} of {ranks.size})", file=sys.stderr, flush=True)
            ranks.abort(code)
            return code


def _start(options: dict[str, Any], given: dict[str, Any], signals: Signals, ranks: Ranks | None) -> int:
    """Start, resume or repeat a run as the options specify; return the exit code."""
    first = ranks is None or ranks.rank == 0
    with ExitStack() as stack:
        settings, saved, other = _settings(options, given, ranks, stack)
        if not first:
            settings = dataclasses.replace(settings, quiet=True, tensorboard=None)
            warnings.simplefilter("ignore", LenetWarning)  # only the first rank warns
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
            ranks.meet()  # wait until all ranks have read the checkpoint before it is replaced
            ranks.timeout = options["distributed_timeout"]
            died = f"lenet5: error: a rank has died, so the job was stopped. {session.go_on}"
            stack.enter_context(ranks.last_words(died))
        return session.fit(signals)


def _settings(
    options: dict[str, Any], given: dict[str, Any], ranks: Ranks | None, stack: ExitStack
) -> tuple[TrainConfig, Saved | None, History | None]:
    """Return the configuration, the checkpoint of a run to resume, and the history of a run to repeat."""
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
    """Fill in the options that depend on the data set."""
    distort = settings.distort
    if given_path(settings):
        path = os.path.abspath(Path(settings.dataset).expanduser())
        return dataclasses.replace(settings, dataset=path)
    if distort.name is None:
        # "shift" was chosen by cross-validation on the training set of digits: error 4.0 % without it, 2.3 % with it.
        own: Any = {"digits": "shift", "mnist-lines": "neighbours"}
        distort = dataclasses.replace(distort, name=own.get(name, "none"))
    return dataclasses.replace(settings, dataset=name, distort=distort)


def _in_turn(ranks: Ranks | None) -> AbstractContextManager[None]:
    return nullcontext() if ranks is None else ranks.one_by_one()


def _options(argv: Sequence[str] | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return all options, and separately the configuration options that the user has given."""
    parser = Parser(prog="python -m lenet5.train", description="Train LeNet-5.", epilog=_EPILOG)
    parser.add_option(
        "--config",
        type=str | None,
        default=None,
        metavar="FILE",
        help="TOML or JSON file of options; command-line options override it",
    )
    parser.add_option(
        "--resume",
        default=None,
        metavar="DIR",
        help="resume the run in DIR; the result is bit-identical to that of an uninterrupted run",
    )
    parser.add_option(
        "--distributed",
        default=None,
        metavar="{mpi}",
        help="distribute every batch over the ranks started by mpiexec -n N; the results are bit-identical for any N",
    )
    parser.add_option(
        "--distributed-timeout",
        type=float,
        default=300.0,
        metavar="SECONDS",
        help="save a checkpoint and stop if the other ranks do not respond within this time (default: 300)",
    )
    parser.add_option(
        "--repeat",
        default=None,
        metavar="DIR",
        help="rerun the run in DIR and report the first epoch that differs, if any",
    )
    add_config_options(parser)
    options = parser.parse(argv)
    given = overrides(options)
    if options["distributed"] not in (None, "mpi"):
        raise ConfigError(f"--distributed must be mpi; found {options['distributed']!r}.")
    if not options["distributed_timeout"] > 0:
        raise ConfigError(
            f"--distributed-timeout must be a positive number of seconds; found {options['distributed_timeout']:g}."
        )
    modes = [name for name in ("resume", "repeat") if options[name] is not None]
    if len(modes) > 1:
        raise ConfigError("--resume continues a run and --repeat restarts it: give only one of them.")
    allowed = {"resume": _RESUMABLE, "repeat": _RESUMABLE - {"epochs"} | {"out"}}
    for name in modes:
        fixed = sorted(set(given) - allowed[name]) + (["config"] if options["config"] else [])
        if fixed:
            raise ConfigError(
                f"--{name} cannot change: {', '.join(fixed)}. It can change: {', '.join(sorted(allowed[name]))}."
            )
    return options, given


run = command(main)

if __name__ == "__main__":
    sys.exit(run())
