"""Export to other formats: `lenet5.export(net, path)` and ``python -m lenet5.export RUN FILE``."""

import sys
from types import ModuleType
from typing import Any

from .write import FORMATS, export

__all__ = ["FORMATS", "export"]


class _Callable(ModuleType):
    """`lenet5.export` is this package and its function, whichever of the two was asked for first."""

    def __call__(self, *arguments: Any, **options: Any) -> None:
        """Call `export`."""
        export(*arguments, **options)


sys.modules[__name__].__class__ = _Callable
