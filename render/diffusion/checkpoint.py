"""A portrait model in one file, written atomically: tensors, and the JSON that explains them."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from pipeline.encoder import sha256_of
from render.diffusion.config import PortraitTraining
from render.diffusion.portrait import Portrait
from render.errors import PortraitFolderError

FORMAT = "emohead/portrait/2"
MODEL, TRAINING = "portrait.safetensors", "training.safetensors"
"""The averaged weights, to sample from; everything a killed run needs to go on."""
STATE = "state"
"""Key of the JSON inside a file's header."""


@dataclass(frozen=True)
class SavedPortrait:
    """What a file holds."""

    path: Path
    training: PortraitTraining
    state: Mapping[str, Any]
    """JSON of the run: step, curve, provenance, sizes, hashes."""
    groups: Mapping[str, Mapping[str, Tensor]]
    """Tensors: `model`, and in a training file `mean` and `adam`."""


def save(
    path: Path,
    groups: Mapping[str, Mapping[str, Tensor]],
    training: PortraitTraining,
    state: Mapping[str, Any],
) -> None:
    """Write a file; a kill at any moment leaves the old one or the new one, whole."""
    tensors = {
        f"{group}/{name}": tensor.detach().cpu().contiguous().clone()
        for group, members in groups.items()
        for name, tensor in members.items()
    }
    body = {"format": FORMAT, "training": training.to_dict(), **state}
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    save_file(tensors, part, {STATE: json.dumps(body)})
    _replace(part, path)
    part.write_text(json.dumps(body, indent=1), encoding="utf-8")
    _replace(part, path.with_suffix(".json"))  # for people; loading never reads it


def read(path: Path) -> SavedPortrait:
    """Read a file.

    Raises:
        PortraitFolderError: it is not there, torn, or of another format.
    """
    if not path.is_file():
        raise PortraitFolderError(f"{path.parent} holds no {path.name}; train a portrait model")
    try:
        with safe_open(path, framework="pt") as file:
            state = json.loads((file.metadata() or {}).get(STATE, "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, json.JSONDecodeError, OSError) as error:
        raise PortraitFolderError(f"{path} cannot be read ({error}); train again") from error
    if state.get("format") != FORMAT:
        raise PortraitFolderError(
            f"{path} is {state.get('format')!r}, this code reads {FORMAT!r}; train again"
        )
    groups: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        group, _, rest = name.partition("/")
        groups.setdefault(group, {})[rest] = tensor
    training = PortraitTraining.from_dict(state.pop("training"))
    return SavedPortrait(path, training, state, groups)


def begin_with(model: Portrait, folder: Path) -> str:
    """Give a model the weights and statistics of a finished one, which may lack its experts.

    Returns:
        sha256 of the finished one's file.

    Raises:
        PortraitFolderError: there is none, or its network is another.
    """
    saved = read(folder / MODEL)
    then, now = (asdict(n) | {"experts": None} for n in (saved.training.network, model.config))
    other = [f"{n}: {then[n]} there, {now[n]} here" for n in now if then[n] != now[n]]
    if (saved.state["audio_width"], saved.state["k"]) != (model.audio_width, model.k):
        other.append("other features")
    if not other:
        left = model.load_state_dict(dict(saved.groups["model"]), strict=False)
        missing = [name for name in left.missing_keys if not name.startswith("experts.")]
        other = [*missing, *left.unexpected_keys][:3]
    if other:
        raise PortraitFolderError(
            f"{saved.path} cannot be gone on from ({'; '.join(other)}); train the first model with "
            "the same network"
        )
    return sha256_of(saved.path)


def load_portrait(folder: Path, device: str = "cpu") -> Portrait:
    """The finished model of a folder, ready to sample from.

    Args:
        folder: where it was trained.
        device: where it will run.

    Raises:
        PortraitFolderError: no readable model, weights that do not fit, another autoencoder.
    """
    return portrait_of(read(folder / MODEL), device)


def portrait_of(saved: SavedPortrait, device: str = "cpu") -> Portrait:
    """The model that a file holds, as `load_portrait`."""
    state = saved.state
    model = Portrait(saved.training.network, state["audio_width"], state["k"], sizes=state["sizes"])
    if model.codec.hashes != state["codec_hashes"]:
        raise PortraitFolderError(
            f"{saved.path} was trained with the autoencoder {state['codec_hashes']}, "
            f"{saved.training.network.vae} holds {model.codec.hashes}; put the first there"
        )
    try:
        model.load_state_dict(dict(saved.groups["model"]))
    except RuntimeError as error:
        raise PortraitFolderError(
            f"{saved.path}: weights do not fit the model ({str(error)[:300]}); train again"
        ) from error
    model.hashes = dict(state["hashes"])
    return model.to(device).eval()


def _replace(part: Path, path: Path) -> None:
    with part.open("rb+") as file:
        os.fsync(file.fileno())
    part.replace(path)
