"""Measures other than error and loss, taken after training or after each epoch."""

from collections.abc import Callable

import numpy as np

from ..analysis import metrics
from ..analysis.robustness import robustness as measure
from ..analysis.sdnn import read_lines
from ..datasets.base import Dataset
from ..datasets.lines import BLANK
from ..layers import ScaledTanh
from ..network import Sequential
from ..training.callbacks import Callback
from ..training.trainer import Trainer

__all__ = ["MEASURES", "WATCHERS"]

_SAMPLE = 500


def rejected(net: Sequential, test: Dataset, validation: Dataset | None) -> dict[str, float]:
    """Return the fraction of test images to reject for an error of 0.5 % on the rest (Fig. 10 of the paper)."""
    return {"rejected": metrics.rejection_rate(_scores(net, test), net.relabelled(test).labels)}


def top_3(net: Sequential, test: Dataset, validation: Dataset | None) -> dict[str, float]:
    """Return the fraction of images whose label is among the three most likely classes."""
    sets = {"test": test} | ({"validation": validation} if validation is not None else {})
    return {
        f"{name}_top_3": metrics.top_k_accuracy(_scores(net, data), net.relabelled(data).labels, 3)
        for name, data in sets.items()
    }


def robustness(net: Sequential, test: Dataset, validation: Dataset | None) -> dict[str, float]:
    """Return test errors on distorted images (Fig. 13 of the paper), and means over rotations in both directions."""
    errors = {f"{kind}_{step:g}": error for kind, steps in measure(net, test).items() for step, error in steps.items()}
    return errors | {f"rotation_{a}_either": (errors[f"rotation_{a}"] + errors[f"rotation_-{a}"]) / 2 for a in (20, 30)}


def lines(net: Sequential, test: Dataset, validation: Dataset | None) -> dict[str, float]:
    """Return the fraction of 1,000 five-digit lines that are misread, for each gap (in pixels) between digits."""
    digits = test.subset(np.array(test.classes)[test.labels] != BLANK)
    return {f"lines_{gap}": 1 - read_lines(net, digits, gap=gap) for gap in (-2, 0, 2, 6, 10)}


MEASURES: dict[str, Callable[[Sequential, Dataset, Dataset | None], dict[str, float]]] = {
    "lines": lines,
    "rejected": rejected,
    "robustness": robustness,
    "top-3": top_3,
}


def _scores(net: Sequential, data: Dataset) -> np.ndarray:
    outputs = net.outputs(data.images)
    return -outputs if net.outputs_penalties else outputs


class Saturation(Callback):
    """Record the fraction of squashing-function outputs within 5 % of their limits, on 500 training images."""

    def on_epoch_end(self, trainer: Trainer) -> None:
        """Record ``saturated`` for all units together, and one entry for each stage, such as ``saturated_F6``."""
        sample = trainer.train.images[:_SAMPLE]
        x, shares, units = trainer.net.scaled(sample), {}, {}
        for layer in trainer.net:
            x = layer.forward(x)
            if isinstance(layer, ScaledTanh):
                flat = np.abs(x) > 0.95 * layer.amplitude
                shares[layer.name.split(".")[0]], units[layer.name] = float(flat.mean()), (flat.sum(), flat.size)
        hit, all_units = (sum(pair[k] for pair in units.values()) for k in (0, 1))
        trainer.history[-1] |= {"saturated": float(hit / all_units)}
        trainer.history[-1] |= {f"saturated_{stage}": share for stage, share in shares.items()}


class RateQuantiles(Callback):
    """Record the 5, 25, 50, 75 and 95 % quantiles of the effective learning rates."""

    def on_epoch_end(self, trainer: Trainer) -> None:
        """Record the quantiles as ``rates``."""
        if trainer.optimizer.curvature_patterns:
            points = np.quantile(trainer.optimizer.rates, (0.05, 0.25, 0.5, 0.75, 0.95))
            trainer.history[-1]["rates"] = [float(f"{p:.3g}") for p in points]


WATCHERS: dict[str, Callable[[], Callback]] = {"rates": RateQuantiles, "saturation": Saturation}
