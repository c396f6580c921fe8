"""Configuration of a run: frozen dataclasses, read from TOML or JSON, with dotted overrides."""

from .reading import describe, from_dict, from_text, keys, nearest, read, to_dict
from .run import TrainConfig
from .sections import DistortConfig, LossConfig, ModelConfig, OptimizerConfig, ScheduleConfig

__all__ = [
    "DistortConfig",
    "LossConfig",
    "ModelConfig",
    "OptimizerConfig",
    "ScheduleConfig",
    "TrainConfig",
    "describe",
    "from_dict",
    "from_text",
    "keys",
    "nearest",
    "read",
    "to_dict",
]
