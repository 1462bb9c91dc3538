"""Weights of the measuring networks: from the shelf, hash-checked, into exactly their own keys."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import WeightError
from pipeline.weights import KNOWN, Shelf
from pipeline.weights.loading import fill, torch_state
from pipeline.weights.registry import Kind
from pipeline.weights.shelf import cure
from render.errors import MetricError

if TYPE_CHECKING:
    import torch


def shelved(shelf: Shelf, name: str, kind: Kind) -> tuple[Path, str]:
    """Folder of a weight whose files were just hashed, and the hashes in short.

    Raises:
        MetricError: it is not there, or not as it came; the text says the cure.
    """
    if shelf.record(name) is None:
        raise MetricError(absent(name))
    try:
        hashes = shelf.hashes(name, kind)
        for file, digest in hashes.items():
            _as_named(file, digest)
        folder = shelf.open(name, kind)
    except WeightError as error:
        raise MetricError(str(error)) from error
    return folder, ", ".join(f"{file} {digest[:12]}" for file, digest in sorted(hashes.items()))


def absent(name: str) -> str:
    """Why a metric has no number: its weights are missing, and the command that brings them."""
    return f"weights {name!r} are not here: get {KNOWN[name].source}, then `{cure(name)}`"


def _as_named(file: str, digest: str) -> None:
    """PyTorch's own files carry the first eight digits of their sha256 in their name.

    Raises:
        WeightError: the name promises another hash.
    """
    ending = Path(file).stem.rpartition("-")[2]
    promised = len(ending) == 8 and set(ending) <= set("0123456789abcdef")
    if promised and not digest.startswith(ending):
        raise WeightError(
            f"{file} has sha256 {digest[:12]}…, its name promises {ending}…; fetch it again"
        )


def fill_counted(network: "torch.nn.Module", state: dict[str, Any], where: str) -> None:
    """`fill`, for files older than the batch counters of PyTorch's normalisation layers.

    Raises:
        WeightError: anything else is missing, surplus or misshapen.
    """
    own = network.state_dict()
    counters = {k: v for k, v in own.items() if k.endswith("num_batches_tracked")}
    fill(network, counters | state, where)
    network.eval().requires_grad_(False)


def state_of(folder: Path, *patterns: str) -> dict[str, Any]:
    """Tensors of the first file that fits a pattern.

    Raises:
        WeightError: none does, or it holds more than tensors.
    """
    for pattern in patterns:
        for path in sorted(folder.glob(pattern)):
            return torch_state(path)
    raise WeightError(f"{folder} holds none of {', '.join(patterns)}")
