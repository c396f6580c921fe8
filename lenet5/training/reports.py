"""Reports of a training run: progress bar, one line per epoch, and learning rates."""

import contextlib
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from .trainer import Callback, Phase, Trainer

__all__ = ["Progress", "Report", "ReportRates", "say"]


def say(text: str, *, error: bool = False) -> None:
    """Print text, to stderr if it is an error; do nothing if the stream is closed or the disk is full."""
    with contextlib.suppress(OSError, ValueError):  # OSError: closed pipe or full disk; ValueError: closed stream
        print(text, file=sys.stderr if error else sys.stdout, flush=True)


class Progress(Callback):
    """Show a progress bar per epoch, in a terminal or a notebook.

    Parameters
    ----------
    disable : bool, optional
        Whether to hide the bar. Default: only if stderr is not a terminal.
    """

    phase = Phase.REPORT

    def __init__(self, *, disable: bool | None = None) -> None:
        self.disable = disable
        self._bar: Any = None

    def on_epoch_begin(self, trainer: Trainer) -> None:
        """Create the progress bar."""
        from tqdm.auto import tqdm

        self._bar = tqdm(
            total=len(trainer.train),
            initial=trainer.position,
            desc=f"epoch {trainer.epoch + 1}/{trainer.epochs}",
            unit=" patterns",
            leave=False,
            disable=self.disable,
        )
        self._shown = trainer.position

    def on_batch_end(self, trainer: Trainer) -> None:
        """Advance the bar in steps of at least 100 patterns."""
        if trainer.position - self._shown >= 100:
            self._bar.update(trainer.position - self._shown)
            self._shown = trainer.position

    def on_epoch_end(self, trainer: Trainer) -> None:
        """Close the bar."""
        self._bar.close()

    def on_train_end(self, trainer: Trainer) -> None:
        """Close the bar if training stopped within an epoch."""
        if self._bar is not None:
            self._bar.close()


class Report(Callback):
    """Pass one line per epoch to a function such as print.

    Parameters
    ----------
    say : callable taking str
    """

    phase = Phase.REPORT

    def __init__(self, say: Callable[[str], None]) -> None:
        self.say = say

    def on_epoch_end(self, trainer: Trainer) -> None:
        """Report the results of the epoch."""
        r = trainer.history[-1]
        parts = [f"epoch {r['epoch']:>2}/{trainer.epochs}", f"loss {r['loss']:.4f}", f"train {r['train_error']:.2%}"]
        for name in ("validation", "test"):
            if r.get(f"{name}_error") is not None:
                parts.append(f"{name} {r[f'{name}_error']:.2%}")
        if "rate_min" in r:
            parts.append(f"rates {r['rate_min']:.1e} / {r['rate_median']:.1e} / {r['rate_max']:.1e}")
        if "seconds" in r:
            parts.append(f"{r['seconds']:.1f} s")
        self.say("  ".join(parts))


class ReportRates(Callback):
    """Pass the effective learning rates of each parameter to a function, once before the first update.

    Parameters
    ----------
    say : callable taking str
    """

    phase = Phase.REPORT

    def __init__(self, say: Callable[[str], None]) -> None:
        self.say = say

    def on_epoch_begin(self, trainer: Trainer) -> None:
        """Report the effective learning rates; in the paper, they range from about 7e-5 to 0.016 in the first epoch."""
        if trainer.epoch or trainer.position or not trainer.optimizer.curvature_patterns:
            return
        rates = trainer.optimizer.rates
        lines = ["effective learning rates before the first update (smallest / median / largest):"]
        parts = trainer.net.parameters().slices() | {"all": slice(None)}
        for name, part in parts.items():
            r = rates[part]
            lines.append(f"  {name:<15} {r.min():.1e} / {np.median(r):.1e} / {r.max():.1e}")
        self.say("\n".join(lines))
