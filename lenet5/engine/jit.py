"""Compile a loop with Numba, keep its readable NumPy twin beside it."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import platformdirs

try:
    import numba
except ImportError:  # a Python or NumPy newer than any Numba: the twins alone carry the library
    numba = None  # type: ignore[assignment]

__all__ = ["HAVE_NUMBA", "TWINS", "by_precision", "cold", "jit", "kernel", "part", "woven"]

HAVE_NUMBA = numba is not None
TWINS: dict[str, Callable[..., None]] = {}


def cache_folder() -> Path:
    """Return the folder of compiled kernels: `$LENET5_CACHE`, else the user's cache.

    Never beside the source: an installation may be read-only, and files that pip did not put
    there would outlive an uninstall.
    """
    # Numba looks at the file of a kernel alone; a change in one that it calls must show as well.
    sources = b"".join(path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py")))
    base = Path(os.environ.get("LENET5_CACHE") or platformdirs.user_cache_dir("lenet5"))
    return base / f"kernels-{hashlib.sha256(sources).hexdigest()[:12]}"


def _writable(folder: Path) -> bool:
    """Whether kernels can be cached there; else Numba would put them beside the source."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK)


_FOLDER = cache_folder()
_CACHED = _writable(_FOLDER)


def cold(name: str) -> bool:
    """Whether the first call of kernel `name` of `program` will have to compile."""
    try:
        return HAVE_NUMBA and not any(_FOLDER.rglob(f"program.{name}*.nbi"))
    except OSError:  # a folder that cannot be read holds nothing for us
        return HAVE_NUMBA


def target() -> str:
    """Return the family of processors that kernels are compiled for: another one rounds other last bits."""
    if not HAVE_NUMBA:
        return "NumPy"
    from llvmlite import binding
    from numba.core import config

    return getattr(config, "CPU_NAME", None) or binding.get_host_cpu_name()


def versions() -> dict[str, str]:
    """Return the version of the compiler, where there is one."""
    return {"numba": numba.__version__} if HAVE_NUMBA else {}


def kernel(twin: Callable[..., None]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Make a Numba kernel of the decorated loop; `twin` is the same map written in NumPy.

    The loop is compiled at its first call, without the interpreter lock. Floating-point sums may be
    reordered so that they vectorise; NaN and infinity keep their meaning.
    """

    def choose(loop: Callable[..., None]) -> Callable[..., None]:
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


def woven(loop: Callable[..., Any]) -> Any:
    """Make `loop` a part whose source is put into the kernels' before anything is compiled.

    For what returns an array, and for large parts of one kernel, which would else be compiled twice.
    """
    return jit(loop, inline="always", cache=False)


def jit(loop: Callable[..., Any], *, cache: bool = True, **more: Any) -> Any:
    """Compile `loop` with Numba, cached on disk where a folder can be written."""
    if numba is None:
        return loop
    # Nothing is allocated in kernels, so views need not be counted (_nrt): that took a third of a convolution.
    options: Any = {
        "nogil": True,
        "_nrt": False,
        "error_model": "numpy",
        "fastmath": {"reassoc", "contract", "nsz", "arcp"},
        **more,
    }
    settings: Any = numba.config
    saved = settings.CACHE_DIR
    # Numba picks the folder when it decorates; set only for that moment, so other users of Numba keep theirs.
    settings.CACHE_DIR = str(_FOLDER)
    try:
        return numba.njit(cache=cache and _CACHED, **options)(loop)  # not cached: compiled afresh in every process
    finally:
        settings.CACHE_DIR = saved


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
