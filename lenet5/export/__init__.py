"""Export to other formats: `lenet5.export(net, path)` and ``python -m lenet5.export RUN FILE``."""

import sys
from types import ModuleType
from typing import Any

from .write import FORMATS, export

__all__ = ["FORMATS", "export"]


class _Callable(ModuleType):
    """Make the package itself callable, so that `lenet5.export` is both package and function."""

    def __call__(self, *arguments: Any, **options: Any) -> None:
        """Call `export`."""
        export(*arguments, **options)


sys.modules[__name__].__class__ = _Callable
