"""Make the pictures of the README: ``python scripts/make_pictures.py``."""

from pathlib import Path

import lenet5
from lenet5 import datasets, plots


def main() -> None:
    """Draw what the shipped network makes of a digit that every installation has, and distorted digits."""
    folder = Path(__file__).parents[1] / "docs"
    train, test = datasets.load("digits")
    plots.save(plots.feature_maps(lenet5.pretrained(), test.images[7], data="digits"), folder / "feature_maps.png")
    plots.save(plots.distortions(train.images[:14], datasets.DISTORTIONS, data="digits"), folder / "distortions.png")


if __name__ == "__main__":
    main()
