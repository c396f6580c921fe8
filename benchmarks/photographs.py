"""Accuracy on simulated photographs and scans of digits: ``python -m benchmarks.photographs``.

Each of the first 300 test images of MNIST is drawn with dark ink on light paper, 112 pixels high, disturbed in each of
20 ways, and read with the shipped weights. Without MNIST, the embedded digits are used. ``--json FILE`` writes the
results. With PYTHONPATH=DIR, the version of the library in DIR is measured.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

import lenet5
from lenet5 import datasets
from lenet5.errors import LenetError

SIDE, MARGIN = 112, 30
PAPER, INK = 235.0, 40.0
Kind = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def page(ink: np.ndarray, *, paper: float = PAPER, tone: float = INK) -> np.ndarray:
    """Draw ink (H, W), given from 0 to 1, on paper; return grey levels."""
    return paper + (tone - paper) * ink


def shadow(ink: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Darken the page towards one side."""
    rows, columns = np.mgrid[-1 : 1 : ink.shape[0] * 1j, -1 : 1 : ink.shape[1] * 1j]
    angle = rng.uniform(0, 2 * np.pi)
    return page(ink) * (0.75 + 0.25 * (np.cos(angle) * rows + np.sin(angle) * columns) / 1.42)


def rules(ink: np.ndarray, rng: np.random.Generator, *, tilt: float = 0.0) -> np.ndarray:
    """Draw the digit on lined paper, turned by up to `tilt` degrees."""
    picture, step, thick = np.full(ink.shape, PAPER), int(rng.integers(18, 34)), int(rng.integers(1, 3))
    for row in range(int(rng.integers(step)), len(ink), step):
        picture[row : row + thick] = rng.integers(110, 200)
    if tilt:
        image = Image.fromarray(picture.astype(np.uint8))
        turned = image.rotate(rng.uniform(-tilt, tilt), resample=Image.Resampling.BICUBIC, fillcolor=int(PAPER))
        picture = np.asarray(turned, float)
    return np.minimum(picture, page(ink))


def squares(ink: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw the digit on squared paper."""
    return np.minimum(rules(ink, rng), rules(ink.T * 0, rng).T)


def frame(ink: np.ndarray, rng: np.random.Generator, *, sides: int = 4) -> np.ndarray:
    """Add a scanner's dark border around the page, or along one side."""
    picture, wide = page(ink), rng.integers(2, 15, 4)
    picture[:, : wide[0]] = 20
    if sides == 4:
        picture[:, -wide[1] :] = picture[: wide[2]] = picture[-wide[3] :] = 20
    return picture


def box(ink: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw the box of a form around the digit."""
    picture, at = page(ink), int(rng.integers(5, 14))
    for line in (slice(at, at + 3), slice(-at - 3, -at)):
        picture[line, at:-at] = picture[at:-at, line] = 60
    return picture


def filtered(ink: np.ndarray, how: Callable[[Image.Image], Image.Image]) -> np.ndarray:
    """Draw the digit on paper, and apply a function to the Pillow image."""
    return np.asarray(how(Image.fromarray(page(ink).astype(np.uint8))), float)


def jpeg(ink: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Compress the page as a JPEG of quality 15."""
    with tempfile.TemporaryFile() as file:
        Image.fromarray(page(ink).astype(np.uint8)).save(file, "JPEG", quality=15)
        return np.asarray(Image.open(file), float)


def resized(side: int) -> Kind:
    """Return a disturbance that scales the page to `side` pixels."""
    return lambda ink, rng: filtered(ink, lambda p: p.resize((side, side), Image.Resampling.BOX))


def turned(ink: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Rotate the page by up to 10 degrees."""
    return filtered(ink, lambda p: p.rotate(rng.uniform(-10, 10), Image.Resampling.BICUBIC, fillcolor=int(PAPER)))


def specks(ink: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Add dust: one pixel in five hundred is dark."""
    return np.where(rng.random(ink.shape) < 0.002, 60, page(ink))


def coloured(paper: tuple[int, int, int], tone: tuple[int, int, int]) -> Kind:
    """Return a disturbance that draws coloured ink on coloured paper, (H, W, 3)."""
    return lambda ink, rng: np.array(paper) + (np.array(tone) - np.array(paper)) * ink[..., None]


KINDS: dict[str, Kind] = {
    "plain": lambda ink, rng: page(ink),
    "light on dark": lambda ink, rng: page(ink, paper=25, tone=230),
    "pale pencil": lambda ink, rng: page(ink, tone=170),
    "grey paper": lambda ink, rng: page(ink, paper=140, tone=30),
    "shadow": shadow,
    "lined paper": rules,
    "lined paper, tilted": lambda ink, rng: rules(ink, rng, tilt=3),
    "squared paper": squares,
    "dark frame": frame,
    "dark edge": lambda ink, rng: frame(ink, rng, sides=1),
    "box of a form": box,
    "blurred": lambda ink, rng: filtered(ink, lambda p: p.filter(ImageFilter.GaussianBlur(3))),
    "noisy": lambda ink, rng: page(ink) + rng.normal(0, 20, ink.shape),
    "specks": specks,
    "JPEG at quality 15": jpeg,
    "28 pixels": resized(28),
    "40 pixels": resized(40),
    "1,000 pixels": resized(1000),
    "turned": turned,
    "blue on yellow": coloured((250, 240, 160), (30, 40, 150)),
}


def measure(count: int) -> tuple[str, dict[str, float]]:
    """Return the name of the data set, and for each disturbance the fraction of digits that are read correctly."""
    _, test, _ = datasets.load_auto(download=False)
    net, results = lenet5.pretrained(), {}
    for number, (kind, draw) in enumerate(KINDS.items()):
        rng, right = np.random.default_rng([0, number]), 0
        for image, label in zip(test.images[:count], test.labels[:count], strict=True):
            large = Image.fromarray(image).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
            picture = draw(np.pad(np.asarray(large, float) / 255, MARGIN), rng)
            picture = np.clip(picture + rng.normal(0, 3, picture.shape), 0, 255).astype(np.uint8)
            try:
                right += int(net.predict(lenet5.prepare_digit(picture))[0] == label)
            except LenetError:
                pass  # an image that is refused counts as misread
        results[kind] = right / min(count, len(test))
        print(f"{kind:<22} {results[kind]:.1%}", flush=True)
    return test.name, results


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("-n", type=int, default=300, metavar="N", help="number of digits (default: 300)")
    parser.add_argument("--json", metavar="FILE", help="write the results to FILE")
    options = parser.parse_args()
    name, results = measure(options.n)
    if options.json:
        record = {"dataset": name, "digits": options.n, "right": results, "version": lenet5.__version__}
        try:
            from lenet5.run.build import circumstances

            record["circumstances"] = circumstances()
        except ImportError:  # older versions
            pass
        Path(options.json).write_text(json.dumps(record, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
