"""Arrays out of a pickle without running it: only NumPy's own array makers are let through."""

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import WeightError

_ALLOWED = {
    (module, name)
    for core in ("numpy.core.multiarray", "numpy._core.multiarray")
    for module, name in ((core, "_reconstruct"), (core, "scalar"))
} | {("numpy", "ndarray"), ("numpy", "dtype"), ("_codecs", "encode")}


class _ArraysOnly(pickle.Unpickler):
    """Finds nothing but what arrays are made of; a pickle that asks for more is refused."""

    def find_class(self, module: str, name: str) -> Any:
        """The allowed maker, under the name it has in the installed NumPy."""
        if (module, name) not in _ALLOWED:
            raise WeightError(f"asks for {module}.{name}; only NumPy arrays are read from pickles")
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)


def arrays_of_pickle(path: Path) -> dict[str, np.ndarray]:
    """A pickled dict of numeric arrays.

    Raises:
        WeightError: the pickle holds anything else, or is none.
    """
    try:
        told = _ArraysOnly(io.BytesIO(path.read_bytes())).load()
    except WeightError as error:
        raise WeightError(f"{path.name} {error}") from error
    except Exception as error:
        raise WeightError(f"{path.name} is no pickle of arrays: {error}") from error
    good = isinstance(told, dict) and all(
        isinstance(key, str) and isinstance(value, np.ndarray) and value.dtype.kind in "iuf"
        for key, value in told.items()
    )
    if not good:
        raise WeightError(f"{path.name} is no dict of numeric arrays")
    return told
