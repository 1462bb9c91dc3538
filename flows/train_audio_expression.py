"""Flow `train-audio-expression`.

Cached features of many clips to a network that predicts expression.
"""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from flows import reuse
from flows.config import AudioExpressionFlowConfig
from flows.errors import NothingToDo
from flows.features import FeatureNames
from flows.fit_hyperplanes import planes_key, read_planes
from flows.orchestra import call, note_table
from flows.presets import configured, network_settings
from flows.progress import step
from flows.reading import cells_key, clips_with
from models import (
    LabelledClip,
    SpeechFeatures,
    SplitKey,
    TrainConfig,
    TrainingData,
    assign_splits,
    join_clips,
    read_steps,
)
from models.data import Split
from pipeline.hyperplanes import POOLED, HyperplaneSet
from store import Cache, Snapshot


def splits_of(snapshot: Snapshot, dataset: str, clip_ids: list[str]) -> dict[str, Split]:
    """Part of every clip; one rule for the network, the head and the evaluation."""
    rows = snapshot.clips(dataset).loc[clip_ids]
    return assign_splits(
        [
            SplitKey(str(r.clip_id), r.identity, r.emotion, r.sentence or None, r.split or None)
            for r in rows.itertuples()
        ]
    )


def speech_cells(
    snapshot: Snapshot, dataset: str, clip_id: str, names: FeatureNames
) -> SpeechFeatures:
    """Speech features of one clip; a clip without words is silent text, not an error."""
    audio = read_steps(snapshot.read(dataset, names.audio, clip_id))
    emotion = read_steps(snapshot.read(dataset, names.emotion, clip_id))
    if snapshot.state(dataset, clip_id, names.text) == "valid":
        tokens = snapshot.tokens(dataset, names.text, clip_id)
        index = snapshot.read(dataset, names.text, clip_id)
    else:
        width = snapshot.features(dataset)[names.text].token_dim or 0
        tokens = np.zeros((0, width), np.float32)
        index = np.full(len(audio), -1, np.int32)
    return SpeechFeatures(audio, emotion, tokens, index)


def training_data(snapshot: Snapshot, dataset: str, names: FeatureNames) -> TrainingData:
    """All clips with sound and a face.

    Raises:
        NothingToDo: there is none.
    """
    needed = (names.audio, names.emotion, names.expression)
    clip_ids = clips_with(snapshot, dataset, needed)
    planes = read_planes(snapshot, dataset, names.expression)
    table = snapshot.clips(dataset)
    clip_ids = [c for c in clip_ids if table.identity[c] in planes]
    if not clip_ids:
        silent = Counter(
            why
            for clip_id in table.index
            for feature, why in snapshot.rejected(dataset, clip_id).items()
            if feature in needed
        )
        reasons = "; ".join(f"{why} ({n} cells)" for why, n in silent.most_common(3))
        raise NothingToDo(
            f"no clip has both sound and a face ({reasons or 'the cells are absent'}); add clips "
            "with speech"
        )
    splits = splits_of(snapshot, dataset, clip_ids)
    clips = [
        LabelledClip(
            clip_id=clip_id,
            identity=table.identity[clip_id],
            emotion=known_tag(planes, table.identity[clip_id], table.emotion[clip_id]),
            features=speech_cells(snapshot, dataset, clip_id, names),
            expression=snapshot.read(dataset, names.expression, clip_id),
            sentence=table.sentence[clip_id] or None,
            split=splits[clip_id],
        )
        for clip_id in clip_ids
    ]
    provenance = {
        "snapshot": snapshot.id,
        "dataset": dataset,
        "features": names.model_dump(),
        "cells": cells_key(snapshot, dataset, clip_ids, (*needed, names.text)),
    }
    return join_clips(clips, planes, provenance)


def known_tag(planes: Mapping[str, HyperplaneSet], identity: str, tag: str) -> str:
    """The tag, or "" where too few clips carry it for a hyperplane: such a clip is not refined."""
    scopes = [planes[scope] for scope in (identity, POOLED) if scope in planes]
    return tag if any(tag in scope.planes for scope in scopes) else ""


@task(name="train network", cache_policy=NO_CACHE, persist_result=False)
def train(data: TrainingData, config: TrainConfig, out: Path) -> Any:
    """The loop itself; goes on where a killed run stopped."""
    from models import train_audio_expression as fit

    with step("train audio-expression network", total=config.steps, unit="steps") as bar:

        def seen(done: int, total: int, metrics: dict[str, float]) -> None:
            bar.update(done, note=f"loss {metrics['loss']:.3f}")

        return fit(data, config, out, seen)


@flow(
    name="train-audio-expression",
    flow_run_name="train-audio-expression {config.dataset}",
    persist_result=False,
)
def train_audio_expression(config: AudioExpressionFlowConfig) -> dict[str, Any]:
    """Train from a snapshot, or reuse a network trained on these very cells with these settings.

    Raises:
        NothingToDo: no clip has both sound and a face.
    """
    snapshot = Cache.open(config.store).snapshot(config.ref)
    data = training_data(snapshot, config.dataset, config.names)
    settings = configured(TrainConfig, network_settings(config.preset), config.settings, "network")
    key = {
        "cells": data.provenance["cells"],
        "planes": planes_key(snapshot, config.dataset, config.names.expression),
        "settings": settings.to_dict(),
    }
    reused = reuse.is_finished(config.out, key)
    if not reused:
        reuse.start(config.out, key)
        call(train, data, settings, config.out)
        reuse.finish(config.out, key)
    summary = evaluate(data, config.out)
    note_table("audio-expression", summary["table"])
    return {**summary, "reused": reused, "snapshot": snapshot.id}


def evaluate(data: TrainingData, out: Path) -> dict[str, Any]:
    """Held-out RMSE of the best checkpoint beside two baselines."""
    from models import load
    from models.compare import compare

    checkpoint = load(out)
    rows = compare(checkpoint, data)
    return {
        "table": rows,
        "history": checkpoint.state["history"],
        "notes": checkpoint.state["notes"],
    }
