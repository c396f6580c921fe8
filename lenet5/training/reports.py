"""What a training run tells: its history in files, a progress bar, a line per pass."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..optim import SDLM
from ..run import history
from .callbacks import Callback

if TYPE_CHECKING:
    from .trainer import Trainer

__all__ = ["CompareHistory", "Progress", "Report", "ReportRates", "WriteHistory"]


class WriteHistory(Callback):
    """Write ``history.json`` and ``history.csv`` after each pass, and again when a run is resumed.

    Put it before `Checkpoint`, which keeps where and when each start of the run was.

    Parameters
    ----------
    folder : Path
    run : dict
        What the run is: its configuration and data.
    here : dict
        Where and when it is started, or resumed.
    """

    def __init__(self, folder: Path, run: dict[str, Any], here: dict[str, Any]) -> None:
        self.folder, self.run, self.here = folder, run, here
        self._starts: list[dict[str, Any]] = []

    def on_train_begin(self, trainer: "Trainer") -> None:
        """Make the files agree with the checkpoint: a kill may have left them behind or ahead of it."""
        self._starts.append({"after_passes": trainer.epoch, "after_patterns": trainer.position, **self.here})
        if trainer.history or (self.folder / history.NAME).exists():
            self._write(trainer)

    def on_pass_end(self, trainer: "Trainer") -> None:
        """Write."""
        self._write(trainer)

    def _write(self, trainer: "Trainer") -> None:
        history.write(self.folder, self.run | {"starts": self._starts}, trainer.history)

    def state(self) -> dict[str, Any]:
        """Return the starts so far."""
        return {"starts": self._starts}

    def load_state(self, state: dict[str, Any]) -> None:
        """Take them over."""
        self._starts = [dict(start) for start in state.get("starts", [])]


class CompareHistory(Callback):
    """Hold every pass against that of another run; stop at the first that differs, and after the last there is.

    Parameters
    ----------
    passes : list of dict
        Of the other run, as `lenet5.run.history.read` gives them.

    Attributes
    ----------
    difference : str
        Empty, or which pass differs, and in what.
    """

    def __init__(self, passes: list[dict[str, Any]]) -> None:
        self.passes, self.difference = passes, ""

    def on_pass_end(self, trainer: "Trainer") -> None:
        """Compare."""
        expected, found = self.passes[trainer.epoch - 1], trainer.history[-1]
        for name in expected.keys() - {"seconds"}:
            if expected[name] != found.get(name):
                self.difference += f"  {name}: {expected[name]!r} there, {found.get(name)!r} here\n"
        if self.difference:
            self.difference = f"pass {trainer.epoch} differs:\n{self.difference}"
        trainer.stop |= bool(self.difference) or trainer.epoch == len(self.passes)


class Progress(Callback):
    """A progress bar per pass, in a terminal or a notebook.

    Parameters
    ----------
    disable : bool, optional
        Default: only where stderr is not a terminal.
    """

    def __init__(self, *, disable: bool | None = None) -> None:
        self.disable = disable
        self._bar: Any = None

    def on_pass_begin(self, trainer: "Trainer") -> None:
        """Open the bar."""
        from tqdm.auto import tqdm

        self._bar = tqdm(
            total=len(trainer.train),
            initial=trainer.position,
            desc=f"pass {trainer.epoch + 1}/{trainer.epochs}",
            unit=" patterns",
            leave=False,
            disable=self.disable,
        )
        self._shown = trainer.position

    def on_batch_end(self, trainer: "Trainer") -> None:
        """Advance it, a hundred patterns at a time."""
        if trainer.position - self._shown >= 100:
            self._bar.update(trainer.position - self._shown)
            self._shown = trainer.position

    def on_pass_end(self, trainer: "Trainer") -> None:
        """Close it."""
        self._bar.close()

    def on_train_end(self, trainer: "Trainer") -> None:
        """Close it after a stop."""
        if self._bar is not None:
            self._bar.close()


class Report(Callback):
    """Give one line per pass to a function, such as print.

    Parameters
    ----------
    say : callable taking str
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self.say = say

    def on_pass_end(self, trainer: "Trainer") -> None:
        """Say it."""
        r = trainer.history[-1]
        parts = [f"pass {r['pass']:>2}/{trainer.epochs}", f"loss {r['loss']:.4f}", f"train {r['train_error']:.2%}"]
        for name in ("validation", "test"):
            if r.get(f"{name}_error") is not None:
                parts.append(f"{name} {r[f'{name}_error']:.2%}")
        if "rate_min" in r:
            parts.append(f"rates {r['rate_min']:.1e} / {r['rate_median']:.1e} / {r['rate_max']:.1e}")
        if "seconds" in r:
            parts.append(f"{r['seconds']:.1f} s")
        self.say("  ".join(parts))


class ReportRates(Callback):
    """Give the effective rates of each parameter to a function once, before the first update.

    Parameters
    ----------
    say : callable taking str
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self.say = say

    def on_pass_begin(self, trainer: "Trainer") -> None:
        """Say them; the paper reports about 7e-5 to 0.016 for its first pass."""
        if trainer.epoch or trainer.position or not isinstance(trainer.optimizer, SDLM):
            return
        rates = trainer.optimizer.rates
        lines = ["effective rates before the first update (smallest / median / largest):"]
        parts = trainer.net.parameters().slices() | {"all": slice(None)}
        for name, part in parts.items():
            r = rates[part]
            lines.append(f"  {name:<15} {r.min():.1e} / {np.median(r):.1e} / {r.max():.1e}")
        self.say("\n".join(lines))
