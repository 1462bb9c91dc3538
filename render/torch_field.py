"""The field on any device: one flat parameter vector, rendering, and whole training steps.

The counterpart of `render.fused.FusedField`: the same vector in the same order, so that a state
moves between the two.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from render.cameras import Box, centre_of
from render.errors import BackendError
from render.field import Field
from render.torch_march import march, part_of
from render.torch_rays import shade

CHUNK = 1 << 16
"""Rays rendered at a time: their lattice takes about 100 MB."""
WAVE = 8
"""Samples of a ray that are rendered before it is asked whether more would be seen."""
STOP = 1e-3
"""Transmittance below which nothing more is seen."""
MATRICES_OF = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def device_of(name: str) -> torch.device:
    """`auto`: CUDA where there is one, else the CPU.

    Raises:
        BackendError: a device that this machine or this PyTorch does not have.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise BackendError(
            f"device {name!r} cannot be used: {reason}; choose cpu or auto"
        ) from error
    return device


class TorchField:
    """A `Field` whose parameters and gradients are views of two flat vectors on a device."""

    def __init__(
        self,
        field: Field,
        device: torch.device | str = "cpu",
        precision: str = "float32",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        """Take over the field's parameters (they move to the device).

        precision: of the matrices' products; dtype: of parameters and everything else.
        """
        self.device = torch.device(device)
        self.field = field
        self.precision = precision
        parameters = list(field.parameters())
        flat = [p.detach().reshape(-1).to(self.device, dtype) for p in parameters]
        self.theta = torch.cat(flat)
        self.grad = torch.zeros_like(self.theta)
        self.segments: dict[str, tuple[int, int]] = {}
        at = 0
        for name, p in field.named_parameters():
            end = at + p.numel()
            self.segments[name] = (at, end)
            p.data = self.theta[at:end].view(p.shape)
            p.grad = self.grad[at:end].view(p.shape)
            at = end
        self.module: nn.Module = field
        """What is called: the field, or what torch.compile made of it."""

    @contextmanager
    def mixed(self) -> Iterator[None]:
        """Where matrices are multiplied in the chosen precision."""
        kind = MATRICES_OF[self.precision]
        # No cache of cast matrices: each is used once a step, and a captured graph must cast anew.
        with torch.autocast(
            self.device.type, kind, enabled=kind != torch.float32, cache_enabled=False
        ):
            yield

    def codes_of(self, frame: Tensor) -> Tensor | None:
        """Appearance code of each ray's frame; None where the field has none."""
        return None if self.field.codes is None else self.field.codes[frame]

    @torch.no_grad()
    def picture(
        self,
        camera: Float[np.ndarray, "3 4"],
        alpha: Float[np.ndarray, " k"],
        size: int,
        focal_factor: float,
        box: Box,
        occupied: Bool[np.ndarray, "z y x"],
        step: float,
        theta: Float[np.ndarray, " n"] | None = None,
        coloured_from: Float[np.ndarray, "3 4"] | None = None,
    ) -> tuple[Float[np.ndarray, "s s 3"], Float[np.ndarray, "s s"]]:
        """Colour over black and opacity of a size x size picture; its rays are made on the device.

        theta: other parameters than the field's own; coloured_from: see `Head.render`.
        """
        kept = self.theta.clone() if theta is not None else None
        if theta is not None:
            self.theta.copy_(torch.from_numpy(theta))
        mask = torch.from_numpy(np.ascontiguousarray(occupied)).to(self.device)
        o, d = picture_rays(camera, size, focal_factor, box, self.theta)
        a = torch.from_numpy(np.ascontiguousarray(alpha)).to(self.theta)
        tones = d
        if coloured_from is not None:
            _, tones = picture_rays(coloured_from, size, focal_factor, box, self.theta)
        out, _ = self.render_tensors(o, d, a.expand(len(d), -1), mask, step, tones)
        if kept is not None:
            self.theta.copy_(kept)
        image = out.view(size, size, 4).float().cpu().numpy()
        return np.ascontiguousarray(image[..., :3]), np.ascontiguousarray(image[..., 3])

    @torch.no_grad()
    def render_tensors(
        self,
        origins: Float[Tensor, "rays 3"],
        directions: Float[Tensor, "rays 3"],
        alpha: Float[Tensor, "rays k"],
        occupied: Bool[Tensor, "z y x"],
        step: float,
        tones: Float[Tensor, "rays 3"] | None = None,
    ) -> tuple[Float[Tensor, "rays 4"], int]:
        """The same on the device, in chunks of rays; tones: directions colours are asked in."""
        parts, count = [], 0
        seen = directions if tones is None else tones
        for begin in range(0, len(origins), CHUNK):
            o, d, a, s = (x[begin : begin + CHUNK] for x in (origins, directions, alpha, seen))
            rgba, samples = self._in_waves(o, d, a, occupied, step, s)
            parts.append(rgba)
            count += samples
        return torch.cat(parts), count

    def _in_waves(
        self, o: Tensor, d: Tensor, alpha: Tensor, occupied: Tensor, step: float, tones: Tensor
    ) -> tuple[Float[Tensor, "rays 4"], int]:
        """Rays advance together, WAVE samples at a time; those that are opaque cost no more."""
        every = march(o, d, torch.full_like(o[:, 0], 0.5), occupied, step, max_samples=1 << 30)
        place = torch.arange(len(every.t), device=o.device) - every.first[every.ray]
        out = o.new_zeros(len(o), 4)
        left = o.new_ones(len(o))
        code, count = self._mean_code(len(o)), 0
        for begin in range(0, int(place.max()) + 1 if len(place) else 0, WAVE):
            now = (place >= begin) & (place < begin + WAVE) & (left[every.ray] > STOP)
            samples = part_of(every, now)
            if len(samples.t) == 0:
                break
            with self.mixed():
                shaded = shade(self.module, samples, o, d, alpha, step, code, tones)
            out += left[:, None] * torch.cat([shaded.rgb, shaded.opacity[:, None]], 1)
            left *= 1 - shaded.opacity
            count += len(samples.t)
        return out, count

    def shade_chunk(
        self, o: Tensor, d: Tensor, alpha: Tensor, occupied: Tensor, step: float
    ) -> Float[Tensor, "rays 4"]:
        """Rays without jitter, with the mean appearance; differentiable."""
        middle = torch.full_like(o[:, 0], 0.5)
        samples = march(o, d, middle, occupied, step, max_samples=1 << 30)
        with self.mixed():
            shaded = shade(self.module, samples, o, d, alpha, step, self._mean_code(len(o)))
        return torch.cat([shaded.rgb, shaded.opacity[:, None]], 1)

    def _mean_code(self, rays: int) -> Tensor | None:
        if self.field.codes is None:
            return None
        return self.field.codes.mean(0, keepdim=True).expand(rays, -1)


def picture_rays(
    camera: Float[np.ndarray, "3 4"], size: int, focal_factor: float, box: Box, like: Tensor
) -> tuple[Float[Tensor, "rays 3"], Float[Tensor, "rays 3"]]:
    """Origins and unit directions, box coordinates, of all pixels row by row; see `camera_rays`."""
    centre = torch.arange(size, device=like.device, dtype=like.dtype) + 0.5
    y, x = torch.meshgrid(centre, centre, indexing="ij")
    focal = focal_factor * size
    d = torch.stack([(x - size / 2) / focal, (y - size / 2) / focal, torch.ones_like(x)], -1)
    rotation = torch.from_numpy(np.ascontiguousarray(camera[:, :3])).to(like)
    d = torch.nn.functional.normalize(d.view(-1, 3) @ rotation, dim=1)
    origin = torch.from_numpy(box.to_box(centre_of(camera.astype(np.float64)))).to(like)
    return origin.expand(len(d), -1), d
