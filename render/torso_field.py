"""A learned torso: a picture plane that bends with the head's pose.

An option beside `render.backdrop.TorsoLayers`, which shows the torso of a recorded frame: this one
answers to any camera, also to one that no frame has. After RAD-NeRF (arXiv 2211.12368; ashawkey/
RAD-NeRF: nerf/network.py): a deformation of the plane and a two-dimensional hash grid, both told
where three points that are fixed to the head fall in the picture.
"""

import json
from dataclasses import asdict, dataclass
from dataclasses import field as made
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from render.backdrop import background_plate
from render.cameras import Box, project
from render.errors import ConfigError, HeadFolderError
from render.hash_grid import HashGrid
from render.hash_grid_config import HashGridConfig
from render.head_data import HeadData
from render.masks import head_mask, person_mask

ANCHORS = 3
_WAVES = 4
_REACH = 0.1
"""Picture sides per unit of deformation."""
_JSON, _ARRAYS, _PLATE = "torso.json", "torso.safetensors", "plate"
FORMAT = 1


@dataclass(frozen=True)
class TorsoConfig:
    """Shape and training of the torso."""

    grid: HashGridConfig = made(
        default_factory=lambda: HashGridConfig(8, 2, 14, 16, 1.45, dimensions=2)
    )
    width: int = 32
    """Hidden width of both networks."""
    steps: int = 1500
    """Adam steps."""
    pixels: int = 2048
    """Pixels a step."""
    rate: float = 5e-3
    """Learning rate; falls to a tenth, linearly."""
    opacity_weight: float = 0.2
    """Weight of the squared error of opacity beside that of colour."""
    stillness: float = 1e-3
    """Weight of the squared deformation."""

    def __post_init__(self) -> None:
        """Refuse what cannot run."""
        if self.grid.dimensions != 2:
            raise ConfigError(
                f"torso: the grid has {self.grid.dimensions} dimensions, a picture has 2"
            )
        if self.steps < 1 or self.pixels < 1 or self.width < 1:
            raise ConfigError(
                f"torso: steps = {self.steps}, pixels = {self.pixels}, width = {self.width}; each "
                "must be at least 1"
            )


class TorsoField(nn.Module):
    """The networks; `pose_mean` and `pose_spread` bring anchors to like sizes."""

    pose_mean: Tensor
    pose_spread: Tensor

    def __init__(self, config: TorsoConfig, seed: int = 0) -> None:
        """Hash table as tiny-cuda-nn starts it; no deformation."""
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.grid = HashGrid(config.grid, generator=generator)
        pose = 2 * ANCHORS
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.bend = _layers(2 + 4 * _WAVES + pose, config.width, 2)
            self.paint = _layers(config.grid.width + pose, config.width, 4)
        last = self.bend[-1]
        if isinstance(last, nn.Linear):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)
        self.register_buffer("pose_mean", torch.zeros(pose))
        self.register_buffer("pose_spread", torch.ones(pose))

    def forward(
        self, x: Float[Tensor, "pixels 2"], pose: Float[Tensor, "pixels pose"]
    ) -> tuple[Float[Tensor, "pixels 3"], Float[Tensor, " pixels"], Float[Tensor, "pixels 2"]]:
        """Colour, opacity and deformation at places x in [0, 1]²."""
        told = (pose - self.pose_mean) / self.pose_spread
        angles = [x * (np.pi * 2**i) for i in range(_WAVES)]
        waves = [f(a) for a in angles for f in (torch.sin, torch.cos)]
        moved = self.bend(torch.cat([x, *waves, told], 1))
        at = (x + _REACH * moved).clamp(0, 1)
        out = self.paint(torch.cat([self.grid(at), told], 1)).sigmoid()
        return out[:, :3], out[:, 3], moved


def _layers(taken: int, width: int, made_: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(taken, width),
        nn.ReLU(),
        nn.Linear(width, width),
        nn.ReLU(),
        nn.Linear(width, made_),
    )


@dataclass
class LearnedTorso:
    """Torso of one identity over its background plate."""

    field: TorsoField
    config: TorsoConfig
    box: Box
    focal_factor: float
    """Focal length divided by the picture's size."""
    plate: UInt8[np.ndarray, "s s 3"]

    @torch.no_grad()
    def layer(self, camera: Float[np.ndarray, "3 4"]) -> UInt8[np.ndarray, "s s 3"]:
        """What lies behind the head when it is seen by this camera."""
        size = len(self.plate)
        pose = anchors(camera[None], self.box, self.focal_factor)
        centres = (torch.arange(size) + 0.5) / size
        y, x = torch.meshgrid(centres, centres, indexing="ij")
        places = torch.stack([x.reshape(-1), y.reshape(-1)], 1)
        told = torch.from_numpy(pose).expand(len(places), -1)
        colour, opacity, _ = self.field(places, told)
        a = opacity[:, None].numpy()
        under = self.plate.reshape(-1, 3).astype(np.float32)
        out = a * colour.numpy() * 255 + (1 - a) * under
        return (np.clip(out, 0, 255) + 0.5).astype(np.uint8).reshape(size, size, 3)

    def save(self, folder: Path) -> None:
        """Beside the head, the JSON last."""
        folder.mkdir(parents=True, exist_ok=True)
        tensors = {k: v.contiguous() for k, v in self.field.state_dict().items()}
        save_file(tensors | {_PLATE: torch.from_numpy(self.plate)}, folder / _ARRAYS)
        record = {
            "format": FORMAT,
            "config": asdict(self.config),
            "box": asdict(self.box),
            "focal_factor": self.focal_factor,
        }
        draft = folder / (_JSON + ".draft")
        draft.write_text(json.dumps(record, indent=1))
        draft.replace(folder / _JSON)


def load_torso(folder: Path) -> LearnedTorso | None:
    """The torso of a head folder; None where none was learned.

    Raises:
        HeadFolderError: one of a newer format, or torn.
    """
    if not (folder / _JSON).is_file():
        return None
    record = json.loads((folder / _JSON).read_text())
    if record.get("format") != FORMAT:
        raise HeadFolderError(
            f"{folder} has torso format {record.get('format')}, this version reads {FORMAT}; "
            "update emohead or train the head again"
        )
    shape = dict(record["config"])
    config = TorsoConfig(**{**shape, "grid": HashGridConfig(**shape["grid"])})
    tensors = load_file(folder / _ARRAYS)
    plate = tensors.pop(_PLATE).numpy()
    field = TorsoField(config)
    try:
        field.load_state_dict(tensors)
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise HeadFolderError(f"{folder}: {_ARRAYS} does not fit {_JSON}: {reason}") from error
    low = record["box"]["low"]
    box = Box((low[0], low[1], low[2]), record["box"]["side"])
    return LearnedTorso(field, config, box, record["focal_factor"], plate)


def anchors(
    cameras: Float[np.ndarray, "frames 3 4"], box: Box, focal_factor: float
) -> Float[np.ndarray, "frames 6"]:
    """Where three points fixed to the head fall in pictures of side 1."""
    middle = np.asarray(box.low) + box.side / 2
    reach = box.side / 4
    points = middle + reach * np.array([[-1.0, 0, 0], [1.0, 0, 0], [0, 1.0, -1.0]])
    flat = [project(points, c.astype(np.float64), focal_factor, 1).reshape(-1) for c in cameras]
    return np.array(flat, np.float32)


def train_torso(data: HeadData, box: Box, config: TorsoConfig, seed: int = 0) -> LearnedTorso:
    """Learn from the training frames what is neither head nor hidden by it.

    A pixel near the head is left out: its label is least certain there.
    """
    import cv2

    size = data.size
    plate = background_plate(data)
    near = np.ones((5, 5), np.uint8)
    free = [cv2.dilate(head_mask(x).astype(np.uint8), near) == 0 for x in data.labels]
    usable = np.flatnonzero(np.array([f.any() for f in free]))
    poses = anchors(data.cameras, box, data.focal / size)
    field = TorsoField(config, seed)
    field.pose_mean.copy_(torch.from_numpy(poses.mean(0)))
    field.pose_spread.copy_(torch.from_numpy(poses.std(0) + 1e-3))
    torso = LearnedTorso(field, config, box, data.focal / size, plate)
    if len(usable) == 0:
        return torso
    optimiser = torch.optim.Adam(field.parameters(), config.rate, betas=(0.9, 0.99), eps=1e-15)
    for step in range(config.steps):
        for group in optimiser.param_groups:
            group["lr"] = config.rate * (1 - 0.9 * step / config.steps)
        rng = np.random.default_rng((seed, step))
        i = rng.choice(usable, config.pixels)
        y, x = rng.integers(0, size, (2, config.pixels))
        seen = np.array([free[f][b, a] for f, b, a in zip(i, y, x, strict=True)])
        i, y, x = i[seen], y[seen], x[seen]
        if len(i) == 0:
            continue
        places = torch.from_numpy((np.stack([x, y], 1) + 0.5).astype(np.float32) / size)
        colour, opacity, moved = field(places, torch.from_numpy(poses[i]))
        under = torch.from_numpy(plate[y, x].astype(np.float32) / np.float32(255))
        truth = torch.from_numpy(data.frames[i, y, x].astype(np.float32) / np.float32(255))
        person = torch.from_numpy(person_mask(data.labels[i, y, x]).astype(np.float32))
        shown = opacity[:, None] * colour + (1 - opacity[:, None]) * under
        loss = ((shown - truth) ** 2).mean()
        loss = loss + config.opacity_weight * ((opacity - person) ** 2).mean()
        loss = loss + config.stillness * (moved**2).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return torso
