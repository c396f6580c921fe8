"""Compile loops with Numba: kernels with a NumPy twin, and the functions of layers and losses, cached on disk."""

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

    if getattr(numba.config, "DISABLE_JIT", 0):  # a debugger's switch: the readable methods are what it is for
        numba = None  # type: ignore[assignment]
except ImportError:  # a Python or NumPy newer than any Numba: NumPy alone carries the library
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
    """Return the folder of compiled code: `$LENET5_CACHE`, else the user's cache.

    Never beside the source: an installation may be read-only, and files that pip did not put
    there would outlive an uninstall.
    """
    # Numba looks at the file of a function alone; a change in one that it calls must show as well.
    files = [*sorted((_PACKAGE / "engine").glob("*.py")), *sorted((_PACKAGE / "layers").glob("*.py"))]
    sources = b"".join(path.read_bytes() for path in [*files, _PACKAGE / "losses.py"])
    base = Path(os.environ.get("LENET5_CACHE") or platformdirs.user_cache_dir("lenet5"))
    return base / f"engine-{hashlib.sha256(sources).hexdigest()[:12]}"


def _writable(folder: Path) -> bool:
    """Whether compiled code can be cached in a folder; otherwise Numba caches beside the source."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK)


_FOLDER = cache_folder()
_CACHED = _writable(_FOLDER)
# Nothing is allocated in compiled code, so views need not be counted (_nrt): that took a third of a convolution.
_OPTIONS: dict[str, Any] = {
    "nogil": True,
    "_nrt": False,
    "error_model": "numpy",
    "fastmath": {"reassoc", "contract", "nsz", "arcp"},
}


def target() -> str:
    """Return the family of processors that kernels are compiled for: another one rounds other last bits."""
    if not HAVE_NUMBA:
        return "NumPy"
    from llvmlite import binding
    from numba.core import config

    return getattr(config, "CPU_NAME", None) or binding.get_host_cpu_name()


def versions() -> dict[str, str]:
    """Return the version of the compiler, if there is one."""
    return {"numba": numba.__version__} if HAVE_NUMBA else {}


def kernel(twin: Callable[..., T]) -> Callable[[Callable[..., Any]], Callable[..., T]]:
    """Make a Numba kernel of the decorated loop; `twin` is the same map written in NumPy.

    The loop is compiled at its first call, without the interpreter lock. Floating-point sums may be
    reordered so that they vectorise; NaN and infinity keep their meaning.
    """

    def choose(loop: Callable[..., Any]) -> Callable[..., T]:
        TWINS[loop.__name__] = twin
        return twin if numba is None else jit(loop)

    return choose


def part(loop: Callable[..., Any]) -> Any:
    """Make `loop` a part of the kernels that call it: compiled into each of them, never called on its own.

    A function that several kernels share would be linked from whichever of them was loaded first, and rounded
    as that one was optimised: a process that has just compiled and one that reads the cache would
    differ in the last bit.
    """
    return jit(loop, forceinline=True, cache=False, no_cpython_wrapper=True, no_cfunc_wrapper=True)


def jit(loop: Callable[..., Any], *, cache: bool = True, **more: Any) -> Any:
    """Compile `loop` with Numba at its first call, cached on disk if a folder can be written."""
    if numba is None:
        return loop
    return _decorated(lambda stored: numba.njit(cache=cache and stored, **_OPTIONS, **more)(loop))


def _decorated(decorate: Callable[[bool], Any]) -> Any:
    """Return decorate(whether to cache), with Numba's cache in our folder."""
    settings: Any = numba.config
    with _decorating:
        saved = settings.CACHE_DIR
        # Numba picks the folder when it decorates; set only for that moment, so other users of Numba keep theirs.
        settings.CACHE_DIR = str(_FOLDER)
        try:
            return decorate(_CACHED)
        except RuntimeError as error:  # a function typed at a prompt has no file for a cache to watch
            if "cannot cache" not in str(error):
                raise
            return decorate(False)
        finally:
            settings.CACHE_DIR = saved


class Compilation:
    """Observer of compilation, not of cache hits: subclass it, and pass it to `compiling`."""

    def begin(self, functions: int) -> None:
        """Take notice that the next `functions` functions are needed."""

    def done(self, name: str, *, cached: bool) -> None:
        """Take notice that one is ready."""


_listener = Compilation()


def compiling(listener: Compilation) -> Compilation:
    """Tell `listener` from now on; return the one before."""
    global _listener
    before, _listener = _listener, listener
    return before


class Function:
    """A function that compiled code calls by its address; compiled when an address is first asked for.

    Parameters
    ----------
    code : callable
        What Numba compiles.
    signature : callable
        (dtype, lanes) -> its Numba type; `lanes` 0 leaves it open how many patterns lie side by side.
    """

    def __init__(self, code: Callable[..., Any], signature: Callable[..., Any]) -> None:
        self.code, self.signature = code, signature
        self._lanes_code: Callable[..., Any] | None = None
        self._compiled: dict[tuple[np.dtype, int], Any] = {}

    def side_by_side(self, code: Callable[..., Any]) -> Callable[..., Any]:
        """Take other code for patterns side by side; in that for one pattern `lanes` is a constant. A decorator."""
        self._lanes_code = code
        return code

    def address(self, dtype: np.dtype, lanes: int = 0) -> int:
        """Return the address of the function for this dtype and this many patterns side by side."""
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
        """Whether `address` would have to compile or read the cache."""
        return self._key(dtype, lanes) not in self._compiled

    def _key(self, dtype: np.dtype, lanes: int) -> tuple[np.dtype, int]:
        return np.dtype(dtype), lanes if self._lanes_code is not None else 0


def announce(functions: "list[Function]", dtype: np.dtype, lanes: int = 0) -> None:
    """Tell the listener how many of these functions are not ready yet."""
    missing = sum(function.missing(dtype, lanes) for function in dict.fromkeys(functions))
    if missing:
        _listener.begin(missing)


def layer_function(code: Callable[..., Any]) -> Function:
    """Make of code(call, lanes) a layer's compiled forward or reverse function: see `engine.call`.

    The decorator ``@function.side_by_side`` adds other code for patterns side by side, which is compiled on its own.
    """
    from .call import signature_of_layers

    return Function(code, signature_of_layers)


def loss_function(code: Callable[..., Any]) -> Function:
    """Make of code(call) a loss's compiled function of one pattern: see `engine.call`."""
    from .call import signature_of_losses

    return Function(code, signature_of_losses)


def by_precision(single: Callable[[Any], Any], double: Callable[[Any], Any]) -> Any:
    """Return a function of one number for use in kernels: `single` for float32, `double` for float64."""
    if numba is None:
        return double

    def pick(x: Any) -> Any:
        raise NotImplementedError("for kernels only")

    from numba.extending import overload

    @overload(pick, jit_options={"forceinline": True})
    def choose(x):  # type: ignore[no-untyped-def]
        return single if x == numba.float32 else double

    return pick
