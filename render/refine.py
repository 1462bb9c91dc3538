"""The second stage of training: losses that only a whole rendered head can answer to.

L_refine = λ_cord (-E_I(I_r)ᵀ E_T(emo)) + λ_shape |β - β̂|₂ (equation 16). The head is rendered
without gradients, the losses give the gradient of every pixel, and the engine renders once more to
carry that to its parameters: memory for one picture's gradients is never needed at once.
"""

from dataclasses import dataclass, field

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from pipeline.errors import WeightError
from pipeline.weights import Shelf
from render.backdrop import background_plate
from render.cameras import Box, camera_rays, pixel_grid
from render.clip_rn50 import Clip, load_clip, tokens_of
from render.engine_types import PictureEngine, PictureRays
from render.head_config import HeadConfig, RefineConfig
from render.head_data import HeadData
from render.masks import head_mask
from render.sh import spherical_harmonics
from render.shape_reader import ShapeReader, face_square
from render.torch_field import device_of

NO_TAG = "L_cord left out: no frame has an emotion tag"


@dataclass
class Refiner:
    """What is left of the stage on this machine: a loss without weights is left out, and said."""

    config: RefineConfig | None
    data: HeadData
    box: Box
    sh_degree: int = 3
    seed: int = 0
    clip: Clip | None = None
    emotions: dict[str, Tensor] = field(default_factory=dict)
    """Unit text vector of each tag."""
    shapes: ShapeReader | None = None
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    notes: list[str] = field(default_factory=list)
    _plate: UInt8[np.ndarray, "s s 3"] | None = None

    @staticmethod
    def of(config: HeadConfig, data: HeadData, box: Box, shelf: Shelf | None = None) -> "Refiner":
        """Load what the shelf has (None: the usual shelf)."""
        out = Refiner(config.refine, data, box, config.field.sh_degree, config.seed)
        if config.refine is None:
            return out
        out.device = device_of(config.device)
        shelf = shelf or Shelf.usual()
        if config.refine.cord:
            out._bring_clip(config.refine, shelf)
        if config.refine.shape:
            try:
                out.shapes = ShapeReader.of(config.refine.regressor, shelf, out.device)
            except WeightError as error:
                out.notes.append(f"L_shape left out: {error}")
        return out

    def _bring_clip(self, config: RefineConfig, shelf: Shelf) -> None:
        tags = sorted({tag for tag in self.data.tags if tag})
        if not tags:
            self.notes.append(NO_TAG)
            return
        try:
            folder = shelf.open(config.clip, "clip")
            clip = load_clip(folder).to(self.device)
            tokens = tokens_of([config.prompt.format(emotion=tag) for tag in tags], folder)
        except WeightError as error:
            self.notes.append(f"L_cord left out: {error}")
            return
        with torch.no_grad():
            vectors = clip.read(tokens.to(self.device))
        self.clip, self.emotions = clip, dict(zip(tags, vectors, strict=True))

    @staticmethod
    def missing(config: HeadConfig, data: HeadData, shelf: Shelf | None = None) -> list[str]:
        """What this machine and these frames lack for the losses of a config."""
        c, shelf = config.refine, shelf or Shelf.usual()
        if c is None:
            return []
        out = []
        if c.cord:
            if not any(data.tags):
                out.append(NO_TAG)
            elif reason := shelf.missing(c.clip, "clip"):
                out.append(f"L_cord left out: {reason}")
        if c.shape and (reason := shelf.missing(c.regressor, "3ddfa")):
            out.append(f"L_shape left out: {reason}")
        return out

    def due(self, step: int, done: float) -> bool:
        """Whether a whole head is rendered beside this step."""
        c = self.config
        if c is None or (self.clip is None and self.shapes is None):
            return False
        return done >= c.start and step % c.every == 0

    def pull(self, engine: PictureEngine, step: int, march_step: float) -> dict[str, float]:
        """Render a training frame's head, add the gradients of its losses; returns the losses."""
        c = self.config
        if c is None:
            return {}
        i = int(np.random.default_rng((self.seed, step, 2)).integers(len(self.data.frames)))
        rays, truth = self.rays(i, c.size)
        shown = engine.picture(rays, march_step).reshape(c.size, c.size, 3)
        picture = torch.from_numpy(np.ascontiguousarray(shown)).to(self.device).requires_grad_()
        loss, told = self.losses(picture.permute(2, 0, 1), truth, i)
        if loss is None:
            return told
        loss.backward()
        if picture.grad is not None:
            gradient = picture.grad.reshape(-1, 3).float().cpu().numpy() * np.float32(c.every)
            engine.pull(rays, gradient, march_step)
        return told

    def losses(
        self, picture: Float[Tensor, "3 s s"], truth: Float[Tensor, "3 s s"], i: int
    ) -> tuple[Tensor | None, dict[str, float]]:
        """λ-weighted sum (None: nothing applies to this frame), and each term by itself."""
        c = self.config
        parts: list[Tensor] = []
        told: dict[str, float] = {}
        tag = self.data.tags[i] if self.data.tags else ""
        if c is not None and self.clip is not None and tag in self.emotions:
            cord = -(self.clip.see(picture[None])[0] @ self.emotions[tag])
            parts.append(c.cord * cord)
            told["cord"] = float(cord.detach())
        square = face_square(self.data.labels[i])
        if c is not None and self.shapes is not None and square is not None:
            square = square * (picture.shape[1] / self.data.size)
            with torch.no_grad():
                wanted = self.shapes.read(truth, square)
            shape = torch.linalg.vector_norm(self.shapes.read(picture, square) - wanted)
            parts.append(c.shape * shape)
            told["shape"] = float(shape.detach())
        return (torch.stack(parts).sum() if parts else None), told

    def rays(self, i: int, size: int) -> tuple[PictureRays, Float[Tensor, "3 s s"]]:
        """Rays of frame i's picture over what lies behind its head, and the true picture."""
        data = self.data
        if self._plate is None:
            self._plate = background_plate(data)
        mask = head_mask(data.labels[i])[..., None]
        under = _small(np.where(mask, self._plate, data.frames[i]), size)
        truth = _small(data.frames[i], size)
        origins, directions = camera_rays(
            data.cameras[i], data.focal * size / data.size, size, self.box, pixel_grid(size)
        )
        harmonics = spherical_harmonics(torch.from_numpy(directions), self.sh_degree).numpy()
        alpha = np.broadcast_to(data.alpha[i].astype(np.float32), (size * size, len(data.alpha[i])))
        rays = PictureRays(
            origins,
            directions,
            np.ascontiguousarray(harmonics),
            np.ascontiguousarray(alpha),
            under.reshape(-1, 3),
        )
        return rays, torch.from_numpy(truth.transpose(2, 0, 1).copy()).to(self.device)


def _small(image: UInt8[np.ndarray, "s s 3"], size: int) -> Float[np.ndarray, "t t 3"]:
    """In [0, 1] at another size."""
    out = cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA)
    return np.asarray(out, np.float32) / np.float32(255)
