"""A trained head: renders a camera and expression; lives in a folder of safetensors and JSON."""

import json
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from safetensors.numpy import load_file, save_file

from render.cameras import Box, camera_rays, pixel_grid
from render.errors import HeadFolderError, RenderError
from render.field import Field, FieldConfig
from render.fused import FusedField
from render.hash_grid_config import HashGridConfig
from render.sh import spherical_harmonics
from render.torch_field import TorchField, device_of

FORMAT = 2
"""Of a trained head; 2 knows appearance codes."""
FORMAT_CARRIED = 3
"""Of a head that also carries what drawing it needs (`render.carried`)."""
READS = (1, 2, 3)
RECORD = "head.json"
ARRAYS = "head.safetensors"


RayRenderer = FusedField | TorchField
"""What renders rays: compiled for the CPU, or PyTorch on any device."""


@dataclass
class Head:
    """The field of one identity with all that rendering needs."""

    renderer: RayRenderer
    box: Box
    occupied: Bool[np.ndarray, "z y x"]
    focal_factor: float
    """Focal length divided by the picture's size; the same at every size."""
    march_step: float
    """Distance between samples, box sides."""
    facts: dict[str, Any]
    """Provenance and measured numbers, JSON-able."""

    def render(
        self,
        camera: Float[np.ndarray, "3 4"],
        alpha: Float[np.ndarray, " k"],
        size: int,
        theta: Float[np.ndarray, " n"] | None = None,
        coloured_from: Float[np.ndarray, "3 4"] | None = None,
    ) -> tuple[Float[np.ndarray, "s s 3"], Float[np.ndarray, "s s"]]:
        """Colour over black (premultiplied) and opacity of a size x size picture.

        Args:
            camera: where it is looked at from.
            alpha: expression.
            size: side of the picture.
            theta: other parameters than the head's own (the running mean during training).
            coloured_from: another camera, in whose directions the field is asked for its colours
                (`render.views.within`); None: in those of `camera`.

        Raises:
            RenderError: a camera or α that is not finite, or α of another length than the head's.
        """
        k = self.renderer.field.config.coefficients
        if len(alpha) != k:
            raise RenderError(f"render: α has {len(alpha)} coefficients, this head reads {k}")
        if not (np.isfinite(camera).all() and np.isfinite(alpha).all()):
            raise RenderError(
                f"render: camera {camera.tolist()} or α {alpha.tolist()} is not finite; leave out "
                "frames without a face"
            )
        if isinstance(self.renderer, TorchField):
            return self.renderer.picture(
                camera,
                alpha,
                size,
                self.focal_factor,
                self.box,
                self.occupied,
                self.march_step,
                theta,
                coloured_from,
            )
        order = _pixel_order(size)
        pixels = pixel_grid(size)[order]
        origins, directions = camera_rays(camera, self.focal_factor * size, size, self.box, pixels)
        tones = directions
        if coloured_from is not None:
            focal = self.focal_factor * size
            _, tones = camera_rays(coloured_from, focal, size, self.box, pixels)
        degree = self.renderer.field.config.sh_degree
        harmonics = spherical_harmonics(torch.from_numpy(tones), degree).numpy()
        alphas = np.broadcast_to(alpha.astype(np.float32), (len(pixels), len(alpha)))
        out, _ = self.renderer.render(
            origins,
            directions,
            np.ascontiguousarray(harmonics),
            np.ascontiguousarray(alphas),
            self.occupied,
            self.march_step,
            theta,
        )
        picture = np.empty_like(out)
        picture[order] = out
        picture = picture.reshape(size, size, 4)
        return np.ascontiguousarray(picture[..., :3]), np.ascontiguousarray(picture[..., 3])

    def save(self, folder: Path) -> None:
        """Write head.json and head.safetensors; the JSON, written last, makes the folder valid."""
        folder.mkdir(parents=True, exist_ok=True)
        arrays = {
            name: p.detach().cpu().numpy() for name, p in self.renderer.field.named_parameters()
        }
        arrays["occupied"] = np.packbits(self.occupied)
        save_file(arrays, folder / ARRAYS)
        record = {
            "format": FORMAT,
            "field": asdict(self.renderer.field.config),
            "box": asdict(self.box),
            "occupancy_resolution": len(self.occupied),
            "focal_factor": self.focal_factor,
            "march_step": self.march_step,
            "facts": self.facts,
        }
        draft = folder / (RECORD + ".draft")
        draft.write_text(json.dumps(record, indent=1))
        draft.replace(folder / RECORD)


def load_head(folder: Path, threads: int | None = None, device: str = "auto") -> Head:
    """Read a head folder, of this format or an older one.

    device: `cpu` (compiled, with so many threads), `cuda`, or auto: CUDA where there is one.

    Raises:
        HeadFolderError: no head there, a torn one, or one of a newer format.
        BackendError: the device is not there.
    """
    if not (folder / RECORD).is_file():
        raise HeadFolderError(f"{folder} holds no head ({RECORD} is missing); train one first")
    try:
        record = json.loads((folder / RECORD).read_text())
    except ValueError as error:
        raise HeadFolderError(f"{folder / RECORD} cannot be read ({error}); train again") from error
    if record.get("format") not in READS:
        raise HeadFolderError(
            f"{folder} has head format {record.get('format')}, this version reads {READS[0]} to "
            f"{READS[-1]}; update emohead (a newer one wrote it) or train the head again"
        )
    if not (folder / ARRAYS).is_file():
        raise HeadFolderError(f"{folder} has {RECORD} but no {ARRAYS}; copy the whole folder")
    shape = dict(record["field"])
    field = Field(FieldConfig(**{**shape, "grid": HashGridConfig(**shape["grid"])}))
    arrays = load_file(folder / ARRAYS)
    resolution = int(record["occupancy_resolution"])
    bits = arrays.pop("occupied")
    wanted = {name: tuple(p.shape) for name, p in field.named_parameters()}
    got = {name: tuple(a.shape) for name, a in arrays.items()}
    if wanted != got:
        raise HeadFolderError(
            f"{folder}: {ARRAYS} holds {got}, {RECORD} describes {wanted}; the files are of "
            "different heads"
        )
    with torch.no_grad():
        for name, p in field.named_parameters():
            p.copy_(torch.from_numpy(arrays[name]))
    box = record["box"]
    low = box["low"]
    where = device_of(device)
    renderer = FusedField(field, threads) if where.type == "cpu" else TorchField(field, where)
    return Head(
        renderer,
        Box((low[0], low[1], low[2]), box["side"]),
        np.unpackbits(bits, count=resolution**3).astype(bool).reshape((resolution,) * 3),
        record["focal_factor"],
        record["march_step"],
        record["facts"],
    )


@lru_cache(maxsize=8)
def _pixel_order(size: int) -> np.ndarray:
    """Pixels in 8 x 8 blocks (near rays share table entries), blocks dealt out to two halves.

    Rendering threads take contiguous stretches; dealing gives each its share of the face.
    """
    index = np.arange(size * size)
    y, x = index // size, index % size
    across = (size + 7) // 8
    block = (y // 8) * across + x // 8
    dealt = (block * 7919) % 16
    return np.lexsort((x % 8, y % 8, block, dealt))
