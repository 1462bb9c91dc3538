"""A trained network in one file, written atomically: tensors, and the JSON that explains them."""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from models.config import AudioExpressionConfig, TrainConfig
from models.data import TrainingData
from models.errors import CheckpointError
from models.experts.network import ExpertNetwork
from models.mouth import MouthOpening
from models.network import AudioExpressionNetwork
from models.recurrent import RecurrentGenerator
from models.transformer import PlainTransformer
from models.voices import Voices
from models.windows import Standardiser
from pipeline.hyperplane_record import from_record, to_record
from pipeline.hyperplanes import HyperplaneSet

FORMAT = "emohead/audio-expression/1"
LAST, BEST = "last.safetensors", "best.safetensors"
STATE = "state"
"""Key of the JSON inside the file's header, so that weights and words cannot part."""


class AudioExpressionModel(nn.Module):
    """The network and the statistics of its inputs: all that travels in a checkpoint."""

    def __init__(self, config: AudioExpressionConfig) -> None:
        """Make fresh weights and neutral statistics."""
        super().__init__()
        widths = config.widths
        self.config = config
        self.standard = Standardiser(widths.audio, widths.emotion, widths.text)
        self.network = network_of(config)


Network = AudioExpressionNetwork | PlainTransformer | ExpertNetwork | RecurrentGenerator


def network_of(config: AudioExpressionConfig) -> Network:
    """Fresh weights of the architecture that the config names."""
    if config.architecture == "emohead":
        return AudioExpressionNetwork(config)
    if config.architecture == "moee":
        return ExpertNetwork(config)
    if config.architecture == "recurrent":
        return RecurrentGenerator(config)
    whole = AudioExpressionNetwork(replace(config, refinement=True))
    return PlainTransformer(config, sum(p.numel() for p in whole.parameters()))


@dataclass(frozen=True)
class Checkpoint:
    """What a file holds, ready to use."""

    path: Path
    model: AudioExpressionModel
    train: TrainConfig
    planes: Mapping[str, HyperplaneSet]
    """Hyperplanes and whitening the network was trained with."""
    state: Mapping[str, Any]
    """JSON of the run: step, metrics, history, notes, provenance, data digest."""
    optimiser: Mapping[str, Tensor]
    """Adam's moments, by `<parameter>/<name>`; empty in the best checkpoint."""

    @property
    def step(self) -> int:
        """Optimiser steps done; also the sampler's position."""
        return int(self.state["step"])

    def mouth(self, identity: str) -> MouthOpening | None:
        """How an identity's coefficients open its mouth; None where that is not known."""
        found = self.state.get("mouth", {}).get(identity)
        return None if found is None else MouthOpening.from_dict(found)

    def voices(self) -> Voices:
        """Which emotion a voice carries, as the training clips tell; empty where not kept."""
        found = self.state.get("voices")
        return Voices.from_dict(found) if found else Voices({}, np.ones(1))


def save(
    path: Path,
    model: AudioExpressionModel,
    train: TrainConfig,
    planes: Mapping[str, HyperplaneSet],
    state: Mapping[str, Any],
    optimiser: Mapping[str, Tensor],
) -> None:
    """Write a checkpoint; a kill at any moment leaves the old file or the new one, whole.

    A copy of the JSON is laid beside it for people; loading never reads it.
    """
    tensors = {f"model/{name}": value for name, value in model.state_dict().items()}
    tensors |= {f"adam/{name}": value for name, value in optimiser.items()}
    records = []
    for i, scope in enumerate(sorted(planes)):
        arrays, attributes = to_record(planes[scope])
        records.append({"key": scope, **attributes})
        tensors |= {f"planes/{i}/{n}": torch.from_numpy(a) for n, a in arrays.items()}
    body = {
        "format": FORMAT,
        "network": model.config.to_dict(),
        "train": train.to_dict(),
        "planes": records,
        **state,
    }
    text = json.dumps(body)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    save_file({n: t.detach().cpu().contiguous() for n, t in tensors.items()}, part, {STATE: text})
    _replace(part, path)
    part.write_text(json.dumps(body, indent=1))
    _replace(part, path.with_suffix(".json"))


def load(folder: Path, which: str = "best") -> Checkpoint:
    """Read a checkpoint of a run's folder: `best`, or `last` (also taken where no best exists yet).

    Raises:
        CheckpointError: there is none, it is torn, or it is of another format.
    """
    names = {"best": (BEST, LAST), "last": (LAST,)}
    if which not in names:
        raise CheckpointError(f"checkpoint {which!r} is none of {sorted(names)}")
    for name in names[which]:
        if (folder / name).is_file():
            return _read(folder / name)
    raise CheckpointError(f"no checkpoint in {folder}; train the audio-expression network first")


def data_digest(data: TrainingData) -> str:
    """Hash that tells two sets of training data apart: clips, planes, origin, sampled frames."""
    # A later snapshot with the same cells is the same data: a killed run goes on from it.
    origin = {name: value for name, value in data.provenance.items() if name != "snapshot"}
    digest = hashlib.sha256(json.dumps(origin, sort_keys=True).encode())
    f = data.features
    for clip in data.clips:
        digest.update(repr(clip).encode())
        rows = [clip.first, clip.first + clip.frames // 2, clip.first + clip.frames - 1]
        for array in (f.audio, f.emotion, f.token_index, data.expression):
            digest.update(np.ascontiguousarray(array[rows]).tobytes())
    for scope in sorted(data.planes):
        arrays, _ = to_record(data.planes[scope])
        for name in sorted(arrays):
            digest.update(f"{scope}/{name}".encode())
            digest.update(np.ascontiguousarray(arrays[name]).tobytes())
    return digest.hexdigest()


def _read(path: Path) -> Checkpoint:
    try:
        with safe_open(path, framework="pt") as file:
            state = json.loads((file.metadata() or {}).get(STATE, "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, json.JSONDecodeError, OSError) as error:
        raise CheckpointError(f"{path} cannot be read ({error}); train again") from error
    if state.get("format") != FORMAT:
        raise CheckpointError(f"{path} is {state.get('format')!r}, this code reads {FORMAT!r}")
    groups: dict[str, dict[str, Tensor]] = {"model": {}, "adam": {}, "planes": {}}
    for name, tensor in tensors.items():
        group, _, rest = name.partition("/")
        groups[group][rest] = tensor
    model = AudioExpressionModel(AudioExpressionConfig.from_dict(state.pop("network")))
    model.load_state_dict(groups["model"])
    planes = {}
    for i, record in enumerate(state.pop("planes")):
        arrays = {
            name.removeprefix(f"{i}/"): tensor.numpy()
            for name, tensor in groups["planes"].items()
            if name.startswith(f"{i}/")
        }
        planes[record.pop("key")] = from_record(arrays, record)
    train = TrainConfig.from_dict(state.pop("train"))
    return Checkpoint(path, model.eval(), train, planes, state, groups["adam"])


def _replace(part: Path, path: Path) -> None:
    with part.open("rb+") as file:
        os.fsync(file.fileno())
    part.replace(path)
