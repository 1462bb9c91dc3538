"""A synthetic head with known cameras: an ellipsoid whose mouth opens with α, ray cast exactly."""

from collections.abc import Callable

import pytest

from benchmarks.synthetic_head import synthetic_head
from render.head_data import HeadData


@pytest.fixture(scope="session")
def make_head_data() -> Callable[[int, int], HeadData]:
    """make(n, clips): n frames of a turning, talking ellipsoid; the last clip is held out."""

    def make(n: int, clips: int) -> HeadData:
        return synthetic_head(n, clips, 48)

    return make
