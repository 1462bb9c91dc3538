"""The decorator of every CPU kernel: compiled, GIL-free, cached by the digest of all kernels.

numba's own cache looks only at the file of the function itself, so a changed callee in another
file would be ignored silently. Here the cache folder's name is the digest of every kernel's source.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import numba.core.config

# Sums may be reordered and vectorised, but a NaN stays a NaN: a diverged run must be seen as one,
# and must never become a table index.
_FASTMATH = {"nsz", "arcp", "contract", "afn", "reassoc"}
_OPTIONS: dict[str, Any] = {
    "nogil": True,
    "fastmath": _FASTMATH,
    "error_model": "numpy",
    "cache": True,
    "no_cfunc_wrapper": True,
}
_HERE = Path(__file__).resolve().parent


def _digest() -> str:
    digest = hashlib.sha256(numba.__version__.encode())
    for path in sorted(_HERE.glob("*.py")):
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


_CACHE = _HERE / "__pycache__" / f"kernels-{_digest()}"


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a kernel on first use.

    Put `@no_type_check` under it: numba must see the bare function, not one wrapped by the
    run-time shape checker of the test suite.
    """
    settings: Any = numba.core.config
    before = settings.CACHE_DIR
    # Read once, when the dispatcher makes its cache; other libraries' caches stay where they are.
    settings.CACHE_DIR = str(_CACHE)
    try:
        return numba.njit(**_OPTIONS)(function)
    finally:
        settings.CACHE_DIR = before
