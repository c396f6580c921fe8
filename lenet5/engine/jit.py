"""Compile kernels, and the functions of layers and losses, with Numba; cache the compiled code on disk."""

import hashlib
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import platformdirs

try:
    import numba

    if getattr(numba.config, "DISABLE_JIT", 0):  # set by users to debug the NumPy methods
        numba = None  # type: ignore[assignment]
except ImportError:  # not available for this version of Python or NumPy
    numba = None  # type: ignore[assignment]

__all__ = [
    "HAVE_NUMBA", "TWINS", "Compilation", "Function", "announce", "by_precision", "compiling", "jit", "kernel",
    "layer_function", "loss_function", "part", "target", "versions",
]  # fmt: skip

T = TypeVar("T")

HAVE_NUMBA = numba is not None
TWINS: dict[str, Callable[..., Any]] = {}
_PACKAGE = Path(__file__).parents[1]
_decorating = threading.RLock()


def cache_folder() -> Path:
    """Return the folder for compiled code, within `$LENET5_CACHE` if set, otherwise within the user's cache folder.

    The source folder is not used, because an installation can be read-only, and because pip does not uninstall
    files that it has not installed.
    """
    # Numba checks only the file that defines a function, but changes in called functions must invalidate the cache too.
    files = [*sorted((_PACKAGE / "engine").glob("*.py")), *sorted((_PACKAGE / "layers").glob("*.py"))]
    sources = b"".join(path.read_bytes() for path in [*files, _PACKAGE / "losses.py"])
    base = Path(os.environ.get("LENET5_CACHE") or platformdirs.user_cache_dir("lenet5"))
    return base / f"engine-{hashlib.sha256(sources).hexdigest()[:12]}"


def _writable(folder: Path) -> bool:
    """Return whether a folder is writable; if it is not, Numba would cache compiled code next to the source."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK)


_FOLDER = cache_folder()
_CACHED = _writable(_FOLDER)
# Compiled code allocates nothing, so reference counting (_nrt) is disabled; it took a third of a convolution's time.
_OPTIONS: dict[str, Any] = {
    "nogil": True,
    "_nrt": False,
    "error_model": "numpy",
    "fastmath": {"reassoc", "contract", "nsz", "arcp"},
}


def target() -> str:
    """Return the processor type for which kernels are compiled; rounding can differ between types."""
    if not HAVE_NUMBA:
        return "NumPy"
    from llvmlite import binding
    from numba.core import config

    return getattr(config, "CPU_NAME", None) or binding.get_host_cpu_name()


def versions() -> dict[str, str]:
    """Return the version of the compiler, if available."""
    return {"numba": numba.__version__} if HAVE_NUMBA else {}


def kernel(twin: Callable[..., T]) -> Callable[[Callable[..., Any]], Callable[..., T]]:
    """Make a Numba kernel from the decorated loop; `twin` is the NumPy function that replaces it without Numba.

    The loop is compiled at its first call and releases the GIL. Floating-point sums may be
    reordered for vectorisation; NaN and infinity are handled correctly.
    """

    def choose(loop: Callable[..., Any]) -> Callable[..., T]:
        TWINS[loop.__name__] = twin
        return twin if numba is None else jit(loop)

    return choose


def part(loop: Callable[..., Any]) -> Any:
    """Make `loop` a helper that is compiled into each kernel that calls it.

    Otherwise, a function shared by several kernels would be linked from the first kernel loaded, with rounding that
    depends on that kernel's optimisation. The results of a process that compiles and of one that reads the cache could
    then differ in the last bit.
    """
    return jit(loop, forceinline=True, cache=False, no_cpython_wrapper=True, no_cfunc_wrapper=True)


def jit(loop: Callable[..., Any], *, cache: bool = True, **more: Any) -> Any:
    """Compile `loop` with Numba at its first call, and cache it on disk if the cache folder is writable."""
    if numba is None:
        return loop
    return _decorated(lambda stored: numba.njit(cache=cache and stored, **_OPTIONS, **more)(loop))


def _decorated(decorate: Callable[[bool], Any]) -> Any:
    """Call decorate(cache) while Numba uses lenet5's cache folder; `cache` is True if caching on disk is possible."""
    settings: Any = numba.config
    with _decorating:
        saved = settings.CACHE_DIR
        # Numba selects the folder when it decorates a function. Change it only then, so that other code keeps its own.
        settings.CACHE_DIR = str(_FOLDER)
        try:
            return decorate(_CACHED)
        except RuntimeError as error:  # a function defined interactively has no file that the cache could check
            if "cannot cache" not in str(error):
                raise
            return decorate(False)
        finally:
            settings.CACHE_DIR = saved


class Compilation:
    """Base class of listeners that report compilation; pass an instance to `compiling`."""

    def begin(self, functions: int) -> None:
        """Called before functions are compiled or read from the cache; `functions` is their number."""

    def done(self, name: str, *, cached: bool) -> None:
        """Called when a function is ready; `cached` is True if it was read from the cache."""


_listener = Compilation()


def compiling(listener: Compilation) -> Compilation:
    """Set the listener that is notified of compilation; return the previous one."""
    global _listener
    before, _listener = _listener, listener
    return before


class Function:
    """A function that compiled code calls by its address. It is compiled when its address is first requested.

    Parameters
    ----------
    code : callable
        Function to compile.
    signature : callable
        Function that returns the Numba type for (dtype, lanes); lanes = 0 means any number of interleaved patterns.
    """

    def __init__(self, code: Callable[..., Any], signature: Callable[..., Any]) -> None:
        self.code, self.signature = code, signature
        self._lanes_code: Callable[..., Any] | None = None
        self._compiled: dict[tuple[np.dtype, int], Any] = {}

    def side_by_side(self, code: Callable[..., Any]) -> Callable[..., Any]:
        """Add a version for interleaved patterns; the original is then compiled for one pattern only (`lanes` = 1)."""
        self._lanes_code = code
        return code

    def address(self, dtype: np.dtype, lanes: int = 0) -> int:
        """Return the address of the function for a dtype and a number of interleaved patterns."""
        key = self._key(dtype, lanes)
        if key not in self._compiled:
            code = self._lanes_code if self._lanes_code is not None and lanes > 1 else self.code
            signature = self.signature(key[0], key[1] if key[1] == 1 else 0)
            found = _decorated(lambda stored: numba.cfunc(signature, cache=stored, **_OPTIONS)(code))
            self._compiled[key] = found
            module = code.__module__.rpartition(".")[2]
            _listener.done(f"{module}{code.__qualname__}", cached=found.cache_hits > 0)
        return self._compiled[key].address

    def missing(self, dtype: np.dtype, lanes: int = 0) -> bool:
        """Return whether the function must still be compiled or read from the cache."""
        return self._key(dtype, lanes) not in self._compiled

    def _key(self, dtype: np.dtype, lanes: int) -> tuple[np.dtype, int]:
        return np.dtype(dtype), lanes if self._lanes_code is not None else 0


def announce(functions: "list[Function]", dtype: np.dtype, lanes: int = 0) -> None:
    """Report to the listener how many of `functions` must still be compiled or read from the cache."""
    missing = sum(function.missing(dtype, lanes) for function in dict.fromkeys(functions))
    if missing:
        _listener.begin(missing)


def layer_function(code: Callable[..., Any]) -> Function:
    """Make a layer's compiled forward or backward function from code(call, lanes); see `engine.call`.

    The decorator ``@function.side_by_side`` adds a version for interleaved patterns, which is compiled separately.
    """
    from .call import signature_of_layers

    return Function(code, signature_of_layers)


def loss_function(code: Callable[..., Any]) -> Function:
    """Make a loss's compiled function for one pattern from code(call); see `engine.call`."""
    from .call import signature_of_losses

    return Function(code, signature_of_losses)


def by_precision(single: Callable[[Any], Any], double: Callable[[Any], Any]) -> Any:
    """Return a scalar function for use in kernels: `single` for float32, `double` for float64."""
    if numba is None:
        return double

    def pick(x: Any) -> Any:
        raise NotImplementedError("only compiled code can call this function")

    from numba.extending import overload

    @overload(pick, jit_options={"forceinline": True})
    def choose(x):  # type: ignore[no-untyped-def]
        return single if x == numba.float32 else double

    return pick
