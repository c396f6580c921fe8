"""Log scalars, histograms and images of every epoch for TensorBoard (extra ``tensorboard``)."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ConfigError
from ..layers import Conv2D
from .trainer import Callback, Phase, Trainer

__all__ = ["TensorBoard"]


class TensorBoard(Callback):
    """Write event files for ``tensorboard --logdir DIR``.

    Place this callback after those whose values it should log. A resumed run adds an event file, which
    continues the curves.

    Parameters
    ----------
    folder : path-like
    config : dict, optional
        Configuration to show as text.
    image : ndarray, optional
        Image whose feature maps are shown, in a format that ``net.predict`` accepts.

    Raises
    ------
    ConfigError
        If tensorboardX is not installed.
    """

    phase = Phase.REPORT

    def __init__(
        self, folder: str | Path, *, config: dict[str, Any] | None = None, image: np.ndarray | None = None
    ) -> None:
        try:
            from tensorboardX import SummaryWriter
        except ImportError as error:
            raise ConfigError("TensorBoard needs tensorboardX: pip install 'lenet5-numpy[tensorboard]'.") from error
        self.folder, self.config, self.image = Path(folder), config, image
        self._make = SummaryWriter
        self._writer: Any = None

    def on_train_begin(self, trainer: Trainer) -> None:
        """Open an event file and write the configuration."""
        # Files are named after the current second: a run resumed within the same second must not overwrite a file.
        self._writer = self._make(str(self.folder), flush_secs=10, filename_suffix=f".epoch-{trainer.epoch}")
        if self.config is not None and trainer.epoch == 0:
            self._writer.add_text("configuration", "    " + json.dumps(self.config, indent=2).replace("\n", "\n    "))

    def on_epoch_end(self, trainer: Trainer) -> None:
        """Write the epoch's results, histograms and images."""
        record, step = trainer.history[-1], trainer.epoch
        for name, value in record.items():
            if isinstance(value, int | float) and name != "epoch":
                self._writer.add_scalar(name, value, step)
        rates = trainer.optimizer.rates if trainer.optimizer.curvature_patterns else None
        for name, part in trainer.net.parameters().slices().items():
            self._writer.add_histogram(f"values/{name}", trainer.net.theta[part], step)
            if rates is not None:
                self._writer.add_histogram(f"rates_log10/{name}", np.log10(np.maximum(rates[part], 1e-30)), step)
        for name, picture in self._pictures(trainer):
            self._writer.add_image(name, picture, step, dataformats="HW")
        self._writer.flush()

    def on_train_end(self, trainer: Trainer) -> None:
        """Close the event file."""
        if self._writer is not None:
            self._writer.close()

    def _pictures(self, trainer: Trainer) -> "list[tuple[str, np.ndarray]]":
        from ..plots.style import tiles  # imported here, because it loads Matplotlib

        pictures = []
        for layer in trainer.net.sublayers():
            if isinstance(layer, Conv2D) and layer.out_shape[1] > 1:
                kernels = layer.weight.value.reshape(-1, *layer.kernel_size)
                pictures.append((f"kernels/{layer.name}", tiles(kernels, 10)))
        if self.image is not None:
            for stage, maps in trainer.net.feature_maps(self.image).items():
                if maps.ndim == 3 and maps.shape[1] > 1:
                    pictures.append((f"feature_maps/{stage}", tiles(maps, 8)))
        return [(name, _grey(picture)) for name, picture in pictures]


def _grey(picture: np.ndarray) -> np.ndarray:
    """Convert a picture to uint8, enlarged four times; the smallest value and the gaps between tiles are black."""
    low, high = np.nanmin(picture), np.nanmax(picture)
    scaled = (picture - low) / (high - low or 1.0)
    return np.kron(np.nan_to_num(255 * scaled).astype(np.uint8), np.ones((4, 4), np.uint8))
