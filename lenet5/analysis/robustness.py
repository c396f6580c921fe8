"""Robustness to noise and geometric distortions (section III-E and Fig. 13 of the paper)."""

import numpy as np

from ..datasets import noise, transform
from ..datasets.base import Dataset
from ..network import Sequential

__all__ = ["CHANGES", "robustness"]

# Type of change -> values at which the error is measured: fraction of inverted pixels, rotation in degrees, scale
# factor, downward shift in pixels, height factor (the width changes inversely).
CHANGES: dict[str, tuple[float, ...]] = {
    "noise": (0.0, 0.05, 0.1, 0.2, 0.3),
    "rotation": (-40, -30, -20, -10, 0, 10, 20, 30, 40),
    "scale": (0.5, 0.7, 0.85, 1.0, 1.2, 1.4, 1.6),
    "down": (-6, -4, -2, 0, 2, 4, 6),
    "squeeze": (0.7, 0.85, 1.0, 1.2, 1.4),
}


def robustness(net: Sequential, data: Dataset) -> dict[str, dict[float, float]]:
    """Measure the error on noisy, rotated, scaled, shifted and squeezed images.

    Parameters
    ----------
    net : Sequential
    data : Dataset

    Returns
    -------
    dict of str to dict of float to float
        Error (a fraction) by type of change and value, as in `CHANGES`.
    """
    data = net.relabelled(data)
    # Pad the images to the size of the input field, so that enlarged, rotated and shifted digits are not cut off.
    missing = [max(0, own - side) for own, side in zip(net.in_shape[1:], data.images.shape[1:3], strict=True)]
    frame = [(0, 0), *((m // 2, m - m // 2) for m in missing), (0, 0)][: data.images.ndim]
    field = np.pad(data.images, frame)

    def changed(kind: str, step: float) -> np.ndarray:
        if kind == "noise":
            return noise(data.images, np.random.default_rng(0), share=step)
        return transform(field, **{kind: step})

    return {
        kind: {step: float((net.predict(changed(kind, step)) != data.labels).mean()) for step in steps}
        for kind, steps in CHANGES.items()
    }
