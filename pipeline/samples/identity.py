"""What makes the two identities two: shape and colours."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from pipeline.errors import InputError
from pipeline.samples.colours import darken_brows, redden_lips, repaint
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


def _smooth(t: np.ndarray) -> np.ndarray:
    t = np.clip(t, 0, 1)
    return t * t * (3 - 2 * t)


def _longer_face(head: Float[np.ndarray, "vertices 3"]) -> Float[np.ndarray, "vertices 3"]:
    """A longer, squarer face: wide jaw, long nose, wide-set eyes, low brows, flat hair."""
    x, y = head[:, 0], head[:, 1]
    band = np.exp(-0.5 * ((y - 40) / 16) ** 2)
    cheeks = np.exp(-0.5 * ((y - 2) / 14) ** 2)
    inside = np.exp(-0.5 * (np.maximum(np.abs(x) - 44, 0) / 8) ** 2)
    hair = _smooth((np.abs(x) - 46) / 14) * _smooth((22 - y) / 14)
    crown = _smooth((-52 - y) / 36)
    out = head.copy()
    out[:, 0] += x * (0.09 * band - 0.05 * cheeks) * inside - 0.13 * hair * x
    out[:, 0] += 2.2 * (_bump(head, 19.0, -15.0, 10.0, 7.0) - _bump(head, -19.0, -15.0, 10.0, 7.0))
    out[:, 0] += 0.16 * x * _bump(head, 0.0, 11.0, 9.0, 7.0)
    out[:, 1] += 6.0 * _smooth((y + 4) / 60) * (1 - _smooth((y - 62) / 24)) * inside
    out[:, 1] += 2.6 * _bump(head, 0.0, 10.0, 12.0, 9.0) + 1.8 * _bump(head, 0.0, -28.0, 34.0, 6.0)
    out[:, 1] += 9.0 * crown
    out[:, 2] -= 3.0 * _bump(head, 0.0, 9.0, 8.0, 12.0)
    return out


def _as_photographed(portrait: Portrait) -> Portrait:
    reddened = redden_lips(portrait, (0.92, 0.75, 0.78))
    return darken_brows(reddened, strength=0.35, widen=0.8, seed=1)


def _dark_and_tanned(portrait: Portrait) -> Portrait:
    painted = repaint(
        redden_lips(portrait, (0.92, 0.78, 0.80)),
        skin=(0.80, 0.71, 0.63),
        hair=(0.62, 0.56, 0.55),
        hair_gamma=1.5,
        background=(0.50, 0.66, 0.70),
    )
    return darken_brows(painted, strength=0.85, widen=1.25, seed=2)


_LOOKS = {
    "iris": Looks(False, MouthShape(), _same, _as_photographed),
    "milo": Looks(
        True,
        MouthShape(half_width=19.5, upper=5.4, lower=7.0),
        _longer_face,
        _dark_and_tanned,
    ),
}


def looks_of(identity: str) -> Looks:
    """The recipe of an identity; InputError when there is no such person."""
    if identity not in _LOOKS:
        raise InputError(f"no sample identity {identity!r}; there are {', '.join(_LOOKS)}")
    return _LOOKS[identity]
