"""Draw the figures of the documentation: ``python scripts/make_pictures.py``.

MNIST is downloaded if it is not on disk. The learning curves are drawn from the records in ``results/``.
"""

from pathlib import Path
from typing import Any

import numpy as np

import lenet5
from lenet5 import bitmaps, datasets, optim, plots
from lenet5.reproduce.jobs import read_record
from lenet5.run import build as runs
from lenet5.run import config
from lenet5.training.shards import Shards

ROOT = Path(__file__).parents[1]


def records(table: str, row: str) -> list[dict[str, Any]]:
    """Return the records in ``results/`` of all seeds of a table's row, ordered by file name."""
    found = map(read_record, sorted((ROOT / "results" / table).glob(f"{row}-seed-*.json")))
    return [record for record in found if record]


def rates(train: datasets.Dataset) -> Any:
    """Draw the initial learning rates of SDLM, estimated from 500 images at the initial weights."""
    net = lenet5.lenet5(seed=0)
    optimizer = optim.SDLM(net.parameters(), lr=5e-4)
    Shards(net, runs.make_loss(config.TrainConfig().resolved())).curvature(train.images[:500], train.labels[:500])
    optimizer.observe()
    return plots.effective_rates(net, optimizer)


def main() -> None:
    """Draw all figures: those of the paper (Figs. 2, 3, 5, 6, 8, 10 and 13) and those of later work."""
    net = lenet5.pretrained()
    train, test = datasets.load("mnist", progress=True)
    digits = datasets.load("digits")
    sizes = {n: [r["result"] for r in records("paper-fig6", f"{n // 1000}-000")] for n in (15_000, 30_000, 60_000)}
    history = {f"seed {r['seed']}": r["history"] for r in records("paper-fig5", "lenet-5")}
    scores = {"lenet5, as shipped": (-net.outputs(test.images), test.labels)}
    pictures = {
        "feature_maps": plots.feature_maps(net, test.images[0], data="mnist"),
        "distortions": plots.distortions(digits[0].images[:14], datasets.DISTORTIONS, data="digits"),
        "architecture": plots.architecture(net),
        "rbf_codes": plots.rbf_codes(bitmaps.ASCII),
        "learning_curves": plots.learning_curves(history, data="mnist"),
        "training_size": plots.training_size(sizes, data="mnist"),
        "mistakes": plots.mistakes(net, test),
        "confusion": plots.confusion(net, test),
        "rejection": plots.rejection(scores, data="mnist"),
        "robustness": plots.robustness(net, datasets.Dataset(test.images[:2000], test.labels[:2000], "mnist", ())),
        "kernels_c1": plots.kernels(net, "C1"),
        "kernels_c3": plots.kernels(net, "C3"),
        "effective_rates": rates(train),
        "weights": plots.weights(net),
        "saliency": plots.saliency(net, test.images[0]),
        "occlusion": plots.occlusion(net, test.images[0]),
        "images": plots.images(train),
    }
    for name, figure in pictures.items():
        plots.save(figure, ROOT / "docs" / f"{name}.png")
        print(f"docs/{name}.png")


if __name__ == "__main__":
    np.seterr(all="raise", under="ignore")
    main()
