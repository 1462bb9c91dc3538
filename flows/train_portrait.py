"""Flow `train-portrait`.

Cached frames, sound and coefficients of many people to EMOdiffhead's video diffusion model.
"""

from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import UInt8
from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from pydantic import Field

from flows import reuse
from flows.config_base import FlowConfig
from flows.errors import FlowError, NothingToDo
from flows.features import FeatureNames
from flows.fit_hyperplanes import planes_key, read_planes
from flows.orchestra import call
from flows.progress import step
from flows.reading import cells_key, clips_with
from flows.store_features import named
from flows.train_audio_expression import splits_of
from models import read_steps
from pipeline.datasets.emotions import CANONICAL
from render.diffusion.config import PortraitTraining
from render.diffusion.data import PortraitClip, PortraitData, shrink
from store import Cache, Snapshot

PRESETS: dict[str, dict[str, Any]] = {
    "demo": {"seconds": 300.0, "learning_rate": 1e-3, "network": {"block": 8}},
    "paper": {},
}
"""PortraitTraining fields that differ from their defaults."""


class PortraitFlowConfig(FlowConfig):
    """Cached frames, sound and coefficients to a video diffusion model."""

    store: str = Field(description="Folder or URL of the icechunk store")
    dataset: str = Field(default="clips", description="Group of the store")
    names: FeatureNames = Field(
        default_factory=lambda: FeatureNames(), description="Cells to read; unset: the profile's"
    )
    profile: str | None = Field(
        default=None,
        description="Profile whose features are read; none: the one that made the store",
    )
    ref: str = Field(default="main", description="Branch, tag or snapshot id to train from")
    identities: tuple[str, ...] = Field(
        default=(), description="People to learn from; none named means all"
    )
    out: Path = Field(description="Folder of the model")
    preset: Literal["demo", "paper"] = Field(
        default="paper", description="Sizes and number of steps"
    )
    settings: dict[str, Any] = Field(
        default_factory=dict,
        description="PortraitTraining fields that differ from the preset; network, noise: dicts",
    )


def portrait_data(
    snapshot: Snapshot,
    dataset: str,
    names: FeatureNames,
    size: int,
    frames: Path,
    identities: tuple[str, ...] = (),
) -> PortraitData:
    """Clips with frames, sound and a face; coefficients whitened by each person's statistics.

    Args:
        snapshot: where they lie.
        dataset: group of the store.
        names: cells to read.
        size: side of the frames.
        frames: folder the small frames are kept in, memory-mapped; may be deleted.
        identities: people; none named means all.

    Raises:
        NothingToDo: there is no such clip; says who has some.
    """
    needed = (names.frames, names.audio, names.expression)
    table = snapshot.clips(dataset)
    planes = read_planes(snapshot, dataset, names.expression)
    usable = [c for c in clips_with(snapshot, dataset, needed) if table.identity[c] in planes]
    chosen = [c for c in usable if not identities or table.identity[c] in identities]
    if not chosen:
        known = ", ".join(sorted({table.identity[c] for c in usable})) or "none"
        raise NothingToDo(
            f"no clip of {', '.join(identities) or 'anybody'} has frames, sound and a moving face; "
            f"people who do: {known}"
        )
    splits = splits_of(snapshot, dataset, chosen)
    cells = snapshot.cells(dataset)
    clips = []
    for clip_id in chosen:
        identity, emotion = table.identity[clip_id], table.emotion[clip_id]
        clips.append(
            PortraitClip(
                clip_id,
                identity,
                emotion if emotion in CANONICAL else "",
                _small(
                    snapshot, dataset, names.frames, clip_id, size,
                    frames / f"{cells[names.frames][clip_id][:16]}-{size}.npy",
                ),
                read_steps(snapshot.read(dataset, names.audio, clip_id)).astype(np.float32),
                planes[identity].whitening.whiten(
                    snapshot.read(dataset, names.expression, clip_id)
                ),
                splits[clip_id],
            )
        )  # fmt: skip
    provenance = {
        "snapshot": snapshot.id,
        "dataset": dataset,
        "features": names.model_dump(),
        "cells": cells_key(snapshot, dataset, chosen, needed),
        "hyperplanes": planes_key(snapshot, dataset, names.expression),
    }
    return PortraitData(tuple(clips), provenance)


def portrait_settings(preset: str, changes: dict[str, Any]) -> PortraitTraining:
    """A preset and what the user changes in it; asked for steps, no time budget ends it.

    `network.size` stands for `size` in `network`.

    Raises:
        FlowError: a setting that is none, or a value of the wrong kind.
    """
    merged = dict(PRESETS[preset])
    for name, value in changes.items():
        part, dot, rest = name.partition(".")
        if dot:
            merged[part] = merged.get(part, {}) | {rest: value}
        else:
            merged[name] = merged.get(name, {}) | value if isinstance(value, dict) else value
    if "steps" in changes and "seconds" not in changes:
        merged.pop("seconds", None)
    try:
        return PortraitTraining.from_dict(merged)
    except (TypeError, ValueError) as error:
        raise FlowError(f"portrait settings {changes}: {error}") from error


@task(name="train portrait", cache_policy=NO_CACHE, persist_result=False)
def train(data: PortraitData, config: PortraitTraining, out: Path) -> None:
    """The loop itself; goes on where a killed run stopped."""
    try:
        from render.diffusion.trainer import train_portrait as fit
    except ModuleNotFoundError as error:
        raise FlowError(
            f"{error.name} is not installed; `pip install 'emohead[diffusion]'` brings it"
        ) from error

    with step("train portrait", total=config.steps, unit="steps") as bar:

        def seen(done: int, total: int, metrics: dict[str, float]) -> None:
            bar.update(done, note=f"loss {metrics['loss']:.4f}")

        fit(data, config, out, seen)


@flow(name="train-portrait", flow_run_name="train-portrait {config.dataset}", persist_result=False)
def train_portrait(config: PortraitFlowConfig) -> dict[str, Any]:
    """Train from a snapshot, or reuse a model trained on these very cells with these settings.

    Raises:
        NothingToDo: no clip has frames, sound and a face.
        FlowError: settings that are none; diffusers is not installed.
    """
    cache = Cache.open(config.store)
    snapshot = cache.snapshot(config.ref)
    config = named(config, cache, snapshot)
    settings = portrait_settings(config.preset, config.settings)
    data = portrait_data(
        snapshot, config.dataset, config.names, settings.network.size,
        config.out.with_name(f"{config.out.name}-frames"), config.identities,
    )  # fmt: skip
    key = {
        "cells": data.provenance["cells"],
        "planes": data.provenance["hyperplanes"],
        "settings": asdict(settings),
    }
    reused = reuse.is_finished(config.out, key)
    if not reused:
        reuse.start(config.out, key)
        call(train, data, settings, config.out)
        reuse.finish(config.out, key)
    return {
        "clips": len(data.clips),
        "identities": sorted({clip.identity for clip in data.clips}),
        "labelled": sum(bool(clip.emotion) for clip in data.clips),
        "reused": reused,
        "snapshot": snapshot.id,
    }


def _small(
    snapshot: Snapshot, dataset: str, feature: str, clip_id: str, size: int, path: Path
) -> UInt8[np.ndarray, "frames s s 3"]:
    """Small frames of a clip, made once."""
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(".draft")
        with draft.open("wb") as file:
            np.save(file, shrink(snapshot.read(dataset, feature, clip_id), size))
        draft.replace(path)
    return np.asarray(np.load(path, mmap_mode="r"))
