"""The head every pose is measured against: one template for all people and clips.

Head coordinates, OpenCV axes as seen by a camera in front: x to the picture's right (the person's
left), y down, z away from the camera. The origin is the head's centre: between the eyes sideways,
at their height, as deep as the ears. The unit is the distance between the eye centres. The line
from the top of the forehead to the chin is vertical.

One template for all keeps poses of one identity comparable over its clips: templates fitted clip
by clip differed by up to 1.4 degrees of pitch between emotions of one person (MEAD M030).
"""

import functools
from pathlib import Path

import numpy as np
from jaxtyping import Float64

_FILE = Path(__file__).with_name("template.npz")


@functools.cache
def template() -> Float64[np.ndarray, "478 3"]:
    """All landmarks of the expected face in head coordinates (made by `author_template`)."""
    with np.load(_FILE) as stored:
        points = stored["points"].astype(np.float64)
    points.setflags(write=False)
    return points


def file() -> Path:
    """Where the template lies, for fingerprints."""
    return _FILE
