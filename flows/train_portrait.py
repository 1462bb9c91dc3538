"""Flow `train-portrait`.

Cached frames, sound and coefficients of many people to EMOdiffhead's video diffusion model.
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from flows import reuse
from flows.config import PortraitFlowConfig
from flows.errors import FlowError, NothingToDo
from flows.features import FeatureNames
from flows.fit_hyperplanes import planes_key, read_planes
from flows.names import PortraitSystem
from flows.orchestra import call
from flows.presets import with_value
from flows.progress import step
from flows.reading import cells_key, clips_with
from flows.store_features import named
from flows.synthesis.one_shot import MODEL
from flows.synthesis.provenance import file_hash
from flows.train_audio_expression import splits_of
from models import read_steps
from models.labels import label_vector
from pipeline.datasets.emotions import CANONICAL
from render.diffusion.config import FREE, ExpertsConfig, PortraitTraining
from render.diffusion.data import PortraitClip, PortraitData, moving_parts, shrink
from render.diffusion.experts import told
from store import Cache, Snapshot

PRESETS: dict[str, dict[str, Any]] = {
    "demo": {"seconds": 300.0, "learning_rate": 1e-3, "network": {"block": 8}},
    "paper": {},
}
"""PortraitTraining fields that differ from their defaults."""

SYSTEMS: dict[PortraitSystem, dict[str, Any]] = {
    "emodiffhead": {},
    "moee": {"frozen": True, "network": {"coefficients": False, "experts": {}}},
}
"""PortraitTraining fields that make the model that of a system."""


def portrait_data(
    snapshot: Snapshot,
    dataset: str,
    names: FeatureNames,
    size: int,
    frames: Path,
    identities: tuple[str, ...] = (),
    moving: bool = False,
) -> PortraitData:
    """Clips with frames, sound and a face; coefficients whitened by each person's statistics.

    Args:
        snapshot: where they lie.
        dataset: group of the store.
        names: cells to read.
        size: side of the frames.
        frames: folder the small frames are kept in, memory-mapped; may be deleted.
        identities: people; none named means all.
        moving: also where expression shows, from the parsing.

    Raises:
        NothingToDo: there is no such clip; says who has some.
    """
    needed = (names.frames, names.audio, names.expression)
    needed = (*needed, names.parsing) if moving else needed
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

    def small(feature: str, clip_id: str, made: Callable[..., np.ndarray]) -> np.ndarray:
        path = frames / f"{cells[feature][clip_id][:16]}-{size}.npy"
        return _kept(path, lambda: made(snapshot.read(dataset, feature, clip_id), size))

    clips = []
    for clip_id in chosen:
        identity, emotion = table.identity[clip_id], table.emotion[clip_id]
        clips.append(
            PortraitClip(
                clip_id,
                identity,
                emotion if emotion in CANONICAL else "",
                small(names.frames, clip_id, shrink),
                read_steps(snapshot.read(dataset, names.audio, clip_id)).astype(np.float32),
                planes[identity].whitening.whiten(
                    snapshot.read(dataset, names.expression, clip_id)
                ),
                splits[clip_id],
                moving=small(names.parsing, clip_id, moving_parts) if moving else None,
            )
        )
    provenance = {
        "snapshot": snapshot.id,
        "dataset": dataset,
        "features": names.model_dump(),
        "cells": cells_key(snapshot, dataset, chosen, needed),
        "hyperplanes": planes_key(snapshot, dataset, names.expression),
    }
    return PortraitData(tuple(clips), provenance)


def portrait_settings(
    preset: str, changes: dict[str, Any], system: PortraitSystem = "emodiffhead"
) -> PortraitTraining:
    """A preset and what the user changes in it; asked for steps, no time budget ends it.

    `network.size` stands for `size` in `network`.

    Raises:
        FlowError: a setting that is none, or a value of the wrong kind.
    """
    merged: dict[str, Any] = {}
    for name, value in [*_flat(PRESETS[preset]), *_flat(SYSTEMS[system]), *_flat(changes)]:
        merged = with_value(merged, name.split("."), value)
    if "steps" in changes and "seconds" not in changes:
        merged.pop("seconds", None)
    try:
        return PortraitTraining.from_dict(merged)
    except (TypeError, ValueError) as error:
        raise FlowError(f"portrait settings {changes}: {error}") from error


def _flat(settings: dict[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Values by dotted names; an empty dict is a value."""
    for name, value in settings.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", value


def told_emotions(data: PortraitData, experts: ExpertsConfig) -> PortraitData:
    """The same clips, each of whose frames tells the clip's label; none where nobody knows it."""
    clips = []
    for clip in data.clips:
        n = len(clip.frames)
        label = (
            np.tile(label_vector(clip.emotion, experts.labels), (n, 1)) if clip.emotion else None
        )
        clips.append(replace(clip, asked=told(n, label, None, experts)))
    return replace(data, clips=tuple(clips))


@dataclass(frozen=True)
class Stage:
    """One training; MoEE's model takes two."""

    out: Path
    settings: PortraitTraining
    data: PortraitData
    first: Path | None = None
    """Model it begins with."""

    def key(self, without: tuple[str, ...] = ()) -> dict[str, Any]:
        """All that its result depends on, but for some settings."""
        settings = asdict(self.settings)
        return {
            "cells": self.data.provenance["cells"],
            "planes": self.data.provenance["hyperplanes"],
            "first": file_hash(self.first / MODEL) if self.first else "",
            "settings": {n: value for n, value in settings.items() if n not in without},
        }


def stages(out: Path, settings: PortraitTraining, data: PortraitData) -> list[Stage]:
    """Without experts one; with experts one without them, and one that begins with it.

    The first stage of two lies beside the model, in `<out>-first`.
    """
    experts = settings.network.experts
    if experts is None:
        return [Stage(out, settings, data)]
    before = out.with_name(f"{out.name}-first")
    plain = replace(settings, network=replace(settings.network, experts=None), frozen=False)
    return [
        Stage(before, plain, data),
        Stage(out, settings, told_emotions(data, experts), before),
    ]


def left(found: list[Stage]) -> list[Stage]:
    """Once the second stage has begun, the first stays as it is, also where more steps are asked
    for: the second would have begun with another model."""
    *_, last = found
    begun = last.first is not None and (last.first / MODEL).is_file()
    return [last] if begun and reuse.is_started(last.out, last.key(FREE)) else found


@task(name="train portrait", cache_policy=NO_CACHE, persist_result=False)
def train(stage: Stage) -> None:
    """The loop itself; goes on where a killed run stopped."""
    try:
        from render.diffusion.trainer import train_portrait as fit
    except ModuleNotFoundError as error:
        raise FlowError(
            f"{error.name} is not installed; `pip install 'emohead[diffusion]'` brings it"
        ) from error

    what = "train portrait" if stage.first is None else "train experts of the portrait"
    with step(what, total=stage.settings.steps, unit="steps") as bar:

        def seen(done: int, total: int, metrics: dict[str, float]) -> None:
            bar.update(done, note=f"loss {metrics['loss']:.4f}")

        fit(stage.data, stage.settings, stage.out, seen, stage.first)


def trained(stage: Stage) -> bool:
    """Train a stage, or go on with it; True if that had been done before."""
    if reuse.is_finished(stage.out, stage.key()):
        return True
    reuse.start(stage.out, stage.key(FREE), keep=True)
    call(train, stage)
    reuse.finish(stage.out, stage.key())
    return False


@flow(name="train-portrait", flow_run_name="train-portrait {config.dataset}", persist_result=False)
def train_portrait(config: PortraitFlowConfig) -> dict[str, Any]:
    """Train from a snapshot, or reuse a model trained on these very cells with these settings.

    With more steps or seconds, training goes on; a model of other cells or settings is kept
    beside, under the time.

    Raises:
        NothingToDo: no clip has frames, sound and a face.
        FlowError: settings that are none; diffusers is not installed.
    """
    cache = Cache.open(config.store)
    snapshot = cache.snapshot(config.ref)
    config = named(config, cache, snapshot)
    settings = portrait_settings(config.preset, config.settings, config.system)
    data = portrait_data(
        snapshot, config.dataset, config.names, settings.network.size,
        config.out.with_name(f"{config.out.name}-frames"), config.identities,
        bool(settings.moving_weight),
    )  # fmt: skip
    done = [trained(stage) for stage in left(stages(config.out, settings, data))]
    return {
        "clips": len(data.clips),
        "identities": sorted({clip.identity for clip in data.clips}),
        "labelled": sum(bool(clip.emotion) for clip in data.clips),
        "reused": all(done),
        "snapshot": snapshot.id,
    }


def _kept(path: Path, make: Callable[[], np.ndarray]) -> np.ndarray:
    """What was made once, memory-mapped."""
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(".draft")
        with draft.open("wb") as file:
            np.save(file, make())
        draft.replace(path)
    return np.asarray(np.load(path, mmap_mode="r"))
