"""Whether a checkpoint and a store speak of the same things: widths, whitening, hyperplanes."""

from collections.abc import Mapping

import numpy as np

from models.checkpoint import Checkpoint
from models.config import AudioExpressionConfig
from models.data import TrainingData
from models.errors import CheckpointError
from pipeline.hyperplanes import HyperplaneSet

TOLERANCE = 1e-6
"""Relative difference of statistics that counts as equal: another machine's last bits."""

SHOWN = 4
"""Differences that a message names; the rest are counted."""


def check_store(checkpoint: Checkpoint, data: TrainingData) -> None:
    """Refuse a store that a checkpoint does not belong to.

    Raises:
        CheckpointError: input widths, coefficients, features, whitening or hyperplanes differ; says
            how.
    """
    found = schema_differences(checkpoint.model.config, data)
    then, now = (dict(x.get("features", {})) for x in (checkpoint.state["provenance"],
                                                       data.provenance))  # fmt: skip
    found += [
        f"{part} is {now[part]} in the store, {then[part]} in the checkpoint"
        for part in sorted(then.keys() & now.keys())
        if then[part] != now[part]
    ]
    if not found:  # planes of other coefficients cannot be compared
        found = plane_differences(checkpoint.planes, data.planes)
    if found:
        more = [f"and {len(found) - SHOWN} differences more"] if len(found) > SHOWN else []
        snapshot = checkpoint.state["provenance"].get("snapshot", "unknown")
        raise CheckpointError(
            f"{checkpoint.path} was trained on another store: {'; '.join(found[:SHOWN] + more)}; "
            f"train again in another folder, or read the snapshot it was trained on ({snapshot})"
        )


def schema_differences(network: AudioExpressionConfig, data: TrainingData) -> list[str]:
    """Channels of inputs and outputs, in words."""
    pairs = [
        (f"{name} has {{}} channels", getattr(data.widths, name), getattr(network.widths, name))
        for name in ("audio", "emotion", "text")
    ]
    pairs.append(("the expression has {} coefficients", data.k, network.k))
    return [
        f"{text.format(now)} in the store, {then} in the checkpoint"
        for text, now, then in pairs
        if now != then
    ]


def plane_differences(
    then: Mapping[str, HyperplaneSet], now: Mapping[str, HyperplaneSet]
) -> list[str]:
    """Whitening and hyperplanes of the checkpoint's identities, in words.

    Identities that only the store knows are no difference: they can be predicted too.
    """
    found = []
    for scope in sorted(then):
        if scope not in now:
            found.append(f"identity {scope!r} is in the checkpoint, not in the store")
            continue
        a, b = then[scope], now[scope]
        for name in ("mean", "std"):
            was, is_ = getattr(a.whitening, name), getattr(b.whitening, name)
            if not np.allclose(was, is_, rtol=TOLERANCE, atol=TOLERANCE):
                i = int(np.argmax(np.abs(was - is_)))
                found.append(
                    f"whitening of {scope!r}: {name} of coefficient {i} is {is_[i]:.4g} in the "
                    f"store, {was[i]:.4g} in the checkpoint"
                )
        if a.planes.keys() != b.planes.keys():
            found.append(
                f"hyperplanes of {scope!r}: {', '.join(sorted(b.planes)) or 'none'} in the store, "
                f"{', '.join(sorted(a.planes)) or 'none'} in the checkpoint"
            )
            continue
        for tag in sorted(a.planes):
            cosine = float(a.planes[tag].w @ b.planes[tag].w)
            if cosine < 1 - TOLERANCE:
                found.append(f"hyperplane {tag!r} of {scope!r} is turned (cosine {cosine:.4f})")
    return found
