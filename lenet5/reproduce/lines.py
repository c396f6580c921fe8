"""Table of section VII: networks swept across lines of digits."""

from typing import Any

from .base import ERROR, Column, Row, Table

__all__ = ["LINES"]

_TRAINED: dict[str, Any] = {
    "epochs": 40,
    "schedule": {"name": "cosine", "final": 1e-5},
    "distort": {"name": "neighbours"},
}

SECTION_VII = Table(
    "paper-section-vii",
    "Section VII: lines of five digits, read by sweeping the network across them",
    "The gap columns show which fraction of 1,000 lines, each of five test digits, is misread. The gap is measured in "
    "pixels between the ink of adjacent digits; -2 is an overlap. The paper shows figures but gives no error rates. "
    "The test error is measured on single digits and, in the last two rows, also on blank images.",
    (
        Row(
            "LeNet-5, single digits",
            {},
            {},
            "Trained with the recipe of paper-fig5, like the pretrained weights lenet5-mnist. A window counts as "
            "blank if all its penalties exceed 16.",
            measures=("lines",),
        ),
        Row(
            "LeNet-5, neighbours in sight, 10 % noise",
            _TRAINED,
            {},
            'As in the paper: a class for "none of the above", neighbouring digits, and a tenth of the pixels '
            "inverted. The test lines have no noise.",
            variant="noisy-windows",
            measures=("lines",),
            dataset="mnist-lines",
        ),
        Row(
            "LeNet-5, neighbours in sight",
            _TRAINED,
            {},
            "As above, without noise. The pretrained weights lenet5-line are those of the run with seed 0, rounded "
            "to 16 bits.",
            measures=("lines",),
            dataset="mnist-lines",
        ),
    ),
    (ERROR, *(Column(f"gap {gap}", f"lines_{gap}", ".1%") for gap in (-2, 0, 2, 6, 10))),
)

LINES = (SECTION_VII,)
