"""Stop training on Ctrl-C or SIGTERM at a point from which it can be resumed."""

import signal

from ..errors import LenetError
from ..training.trainer import Trainer

__all__ = ["Signals"]


class Signals:
    """Stop training on Ctrl-C or SIGTERM after the current update; a second signal takes effect immediately.

    Before `trainer` is set, a signal ends the command, because there is nothing to save yet.

    Attributes
    ----------
    trainer : Trainer or None
        Trainer to stop; set when training begins.
    caught : list of int
        Numbers of the signals received so far.
    """

    def __init__(self) -> None:
        self.trainer: Trainer | None = None
        self.caught: list[int] = []

    def __enter__(self) -> "Signals":
        self._previous = {s: signal.signal(s, self._stop) for s in (signal.SIGINT, signal.SIGTERM)}
        return self

    def _stop(self, signum: int, frame: object) -> None:
        if self.trainer is None:
            raise _StoppedError(signum)
        self.caught.append(signum)
        self.trainer.stop = True
        signal.signal(signum, self._previous[signal.Signals(signum)])

    def __exit__(self, *error: object) -> None:
        for signum, handler in self._previous.items():
            signal.signal(signum, handler)


class _StoppedError(LenetError):
    def __init__(self, signum: int) -> None:
        super().__init__(f"stopped by {signal.Signals(signum).name} before training began.")
        self.exit_code = 128 + signum
