"""What made a video: hashes of models and inputs, for its marks and for going on after a kill."""

import hashlib
import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

TOOL = ("emohead", version("emohead"))


def file_hash(path: Path) -> str:
    """sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def provenance(models: Mapping[str, Path], store_snapshot: str) -> dict[str, str]:
    """What a video says of where it comes from; no names, no paths.

    Args:
        models: file of each model it was made with, by what the model is.
        store_snapshot: id of the snapshot that was read.
    """
    hashes = {what: f"sha256:{file_hash(path)}" for what, path in models.items()}
    return hashes | {"snapshot": store_snapshot}


def key_of(*parts: Any) -> str:
    """Hash of JSON-able parts and arrays: equal keys, equal frames."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            digest.update(f"{part.dtype}{part.shape}".encode())
            digest.update(np.ascontiguousarray(part).tobytes())
        else:
            digest.update(json.dumps(part, sort_keys=True, default=str).encode())
    return digest.hexdigest()


def disagreements(head: Path, network: Path) -> list[str]:
    """What head (or video diffusion model) and network were trained on apart, in words; empty if
    nothing is known.

    The head reads coefficients in the units of the fit it was trained on; the network speaks in
    those of its own.
    """
    fits = []
    for folder in (head, network):
        made = folder / "made-from.json"
        fits.append(json.loads(made.read_text()).get("planes") if made.is_file() else None)
    if None in fits or fits[0] == fits[1]:
        return []
    return [
        f"{head} was trained on hyperplanes {fits[0]}, the network on {fits[1]}: where the face "
        "moves too much or too little, train the older of the two again"
    ]
