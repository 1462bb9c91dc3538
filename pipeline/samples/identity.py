"""What makes the two identities two: shape and colours."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from pipeline.errors import InputError
from pipeline.samples.neutral import MouthShape
from pipeline.samples.portrait import Portrait


@dataclass(frozen=True)
class Looks:
    """How an identity is made from the portrait."""

    mirrored: bool
    """Whether it starts from the mirror image."""
    mouth: MouthShape
    reshape: Callable[[Float[np.ndarray, "vertices 3"]], Float[np.ndarray, "vertices 3"]]
    """Warp of head coordinates."""
    recolour: Callable[[Portrait], Portrait]


def _same(head: np.ndarray) -> np.ndarray:
    return head


def _bump(head: np.ndarray, x: float, y: float, sx: float, sy: float) -> np.ndarray:
    return np.exp(-0.5 * (((head[:, 0] - x) / sx) ** 2 + ((head[:, 1] - y) / sy) ** 2))


def _mara_shape(head: Float[np.ndarray, "vertices 3"]) -> Float[np.ndarray, "vertices 3"]:
    return head


_LOOKS = {
    "iris": Looks(False, MouthShape(), _same, lambda portrait: portrait),
    "mara": Looks(True, MouthShape(), _mara_shape, lambda portrait: portrait),
}


def looks_of(identity: str) -> Looks:
    """The recipe of an identity; InputError when there is no such person."""
    if identity not in _LOOKS:
        raise InputError(f"no sample identity {identity!r}; there are {', '.join(_LOOKS)}")
    return _LOOKS[identity]
