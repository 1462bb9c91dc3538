"""Real spherical harmonics of view directions, as tiny-cuda-nn orders them.

NVlabs/tiny-cuda-nn at 6ee3546: include/tiny-cuda-nn/encodings/spherical_harmonics.h. There
directions arrive in [0, 1] and are mapped to 2x - 1; here they arrive as unit vectors.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from render.errors import ConfigError

MAX_DEGREE = 4


def spherical_harmonics(d: Float[Tensor, "points 3"], degree: int) -> Float[Tensor, "points sh"]:
    """The degree^2 real harmonics of unit directions, bands 0 to degree - 1.

    Raises:
        ConfigError: degree outside 1 to 4.
    """
    if not 1 <= degree <= MAX_DEGREE:
        raise ConfigError(f"spherical harmonics: degree = {degree}, must be 1 to {MAX_DEGREE}")
    x, y, z = d.unbind(1)
    out = [torch.full_like(x, 0.28209479177387814)]
    if degree > 1:
        out += [
            -0.48860251190291987 * y,
            0.48860251190291987 * z,
            -0.48860251190291987 * x,
        ]
    if degree > 2:
        out += [
            1.0925484305920792 * x * y,
            -1.0925484305920792 * y * z,
            0.94617469575755997 * z * z - 0.31539156525251999,
            -1.0925484305920792 * x * z,
            0.54627421529603959 * (x * x - y * y),
        ]
    if degree > 3:
        out += [
            0.59004358992664352 * y * (-3.0 * x * x + y * y),
            2.8906114426405538 * x * y * z,
            0.45704579946446572 * y * (1.0 - 5.0 * z * z),
            0.3731763325901154 * z * (5.0 * z * z - 3.0),
            0.45704579946446572 * x * (1.0 - 5.0 * z * z),
            1.4453057213202769 * z * (x * x - y * y),
            0.59004358992664352 * x * (-x * x + 3.0 * y * y),
        ]
    return torch.stack(out, 1)
