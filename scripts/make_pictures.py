"""Make the pictures of the README: ``python scripts/make_pictures.py``."""

from pathlib import Path

import lenet5
from lenet5 import datasets, plots


def main() -> None:
    """Draw what the shipped network makes of a digit that every installation has."""
    _, test = datasets.load("digits")
    figure = plots.feature_maps(lenet5.pretrained(), test.images[7], data="digits")
    plots.save(figure, Path(__file__).parents[1] / "docs" / "feature_maps.png")


if __name__ == "__main__":
    main()
