"""From a folder of videos and a profile to the cells that must be computed. Nothing is computed or
written here."""

import json
from dataclasses import replace

import store
from flows.config import PreprocessConfig
from pipeline.profiles import Profile, load_profile
from pipeline.remote_scan import scan_source
from pipeline.scan import ScanResult
from pipeline.source import ClipSource
from store import (
    Cache,
    ClipRow,
    EncoderKey,
    FeatureSchema,
    NoStoreError,
    Plan,
    Snapshot,
    SourceKey,
)
from store.validate import validate

QUARANTINED = "quarantined: "
"""How the reason of a clip begins that kills its worker."""

SHOWN = 20
"""Changed labels a plan lists one by one."""

BUG = "unexpected "
"""How a reason begins that is a fault of emohead or of a decoder, not of the clip."""


def profile_of(config: PreprocessConfig) -> Profile:
    """The profile with its overrides."""
    return load_profile(config.profile, config.size, **config.overrides)


def feature_schemas(profile: Profile) -> dict[str, FeatureSchema]:
    """The profile's features as the store declares them."""
    return {
        name: FeatureSchema(
            name=name,
            shape=spec.shape,
            dtype=spec.dtype,
            fill=spec.fill,
            kind=spec.kind,
            codec=spec.codec,
            token_dim=spec.token_dim,
        )
        for name, spec in profile.specs.items()
    }


def with_upstream(profile: Profile, features: tuple[str, ...]) -> list[str]:
    """The named features (none: all) and whatever they read."""
    names = list(features) or list(profile.specs)
    seen: list[str] = []
    while names:
        name = names.pop(0)
        if name not in seen:
            seen.append(name)
            names += profile.upstream(name)
    return [name for name in profile.specs if name in seen]


def encoder_keys(profile: Profile, features: tuple[str, ...]) -> dict[str, EncoderKey]:
    """What the plan must know of each wanted feature's encoder."""
    return {
        name: EncoderKey(name, profile.identity_of(name), profile.upstream(name))
        for name in with_upstream(profile, features)
    }


def clip_row(source: ClipSource, frames: int, cells: dict[str, str]) -> ClipRow:
    """A source as a row of the clip table."""
    return ClipRow(
        clip_id=source.clip_id,
        content=source.content,
        frames=frames,
        cells=cells,
        identity=source.identity,
        emotion=source.emotion or "",
        intensity=source.intensity,
        view=source.view or "",
        sentence=source.sentence or "",
        split=source.split or "",
        transcript=json.dumps(source.transcript.text) if source.transcript else "",
        uri=source.uri,
        sha256=source.sha256,
        size=source.size,
        mtime_ns=source.mtime_ns,
    )


def store_of(location: str) -> Cache | None:
    """The store, or None where there is none yet."""
    try:
        return Cache.open(location)
    except NoStoreError:
        return None


def newest(location: str) -> Snapshot | None:
    """The newest snapshot of a store, or None where there is no store yet."""
    cache = store_of(location)
    return cache.snapshot() if cache is not None else None


def known_files(snapshot: Snapshot | None, dataset: str) -> dict[tuple[str, int, int], str]:
    """(path, size, mtime_ns) -> sha256 of the files whose clips the store has."""
    if snapshot is None or not snapshot.has_dataset(dataset):
        return {}
    columns = snapshot.table(dataset).columns
    parts = (columns[name].tolist() for name in ("uri", "size", "mtime_ns", "sha256"))
    return {
        (uri, size, mtime): sha256
        for uri, size, mtime, sha256 in zip(*parts, strict=True)
        if sha256 and mtime >= 0
    }


def known_clips(snapshot: Snapshot | None, dataset: str) -> dict[str, str]:
    """Clip id -> content of the clips the store has."""
    if snapshot is None or not snapshot.has_dataset(dataset):
        return {}
    columns = snapshot.table(dataset).columns
    pairs = zip(columns["clip_id"].tolist(), columns["content"].tolist(), strict=True)
    return {clip_id: content for clip_id, content in pairs if clip_id}


def failed_cells(snapshot: Snapshot | None, dataset: str) -> list[tuple[str, str]]:
    """(clip, feature) of the cells that were rejected for no fault of the clip's own."""
    if snapshot is None or not snapshot.has_dataset(dataset):
        return []
    return [
        (str(clip_id), feature)
        for clip_id, text in snapshot.clips(dataset).rejected.items()
        for feature, reason in json.loads(text).items()
        if reason.startswith((QUARANTINED, BUG))
    ]


def damaged_cells(snapshot: Snapshot | None, dataset: str) -> list[tuple[str, str]]:
    """(clip, feature) of the cells that cannot be read back; reads every value of the store."""
    if snapshot is None or not snapshot.has_dataset(dataset):
        return []
    problems = validate(snapshot, read_data=True).problems
    found = [(p.clip_id, p.feature) for p in problems if p.dataset == dataset]
    return list(dict.fromkeys((clip, feature) for clip, feature in found if clip and feature))


def plan_preprocess(config: PreprocessConfig) -> tuple[ScanResult, Plan, Profile]:
    """Scan the folder and plan against the store.

    Raises:
        InputError: the folder is not there or holds no video.
    """
    profile = profile_of(config)
    before = newest(config.store)
    scanned = scan_source(
        config.data,
        config.corpus,
        shots=config.shots,
        known=known_files(before, config.dataset),
        clips=known_clips(before, config.dataset),
        rehash=config.rehash,
    )
    keys = [SourceKey(source.clip_id, source.content) for source in scanned.clips]
    wanted = encoder_keys(profile, config.features)
    force: list[str | tuple[str, str]] = list(config.force)
    here = {key.clip_id for key in keys}
    again = failed_cells(before, config.dataset) if config.retry_failed else []
    again += damaged_cells(before, config.dataset) if config.repair else []
    force += [(clip, feature) for clip, feature in again if clip in here and feature in wanted]
    plan = store.plan(before, config.dataset, keys, wanted, force)
    if before is not None and before.has_dataset(config.dataset):
        told = [clip_row(source, 0, {}) for source in scanned.clips]
        changes = store.row_changes(before.table(config.dataset), told)
        plan = replace(plan, rows=tuple(changes))
        if scanned.away:  # what cannot be seen today has not left
            table = before.table(config.dataset)
            stays = [table.value("uri", table.row_of[c]) in scanned.away for c in plan.removed]
            gone = [c for c, kept in zip(plan.removed, stays, strict=True) if not kept]
            plan = replace(plan, removed=tuple(gone))
    return scanned, plan, profile


def plan_text(scanned: ScanResult, plan: Plan) -> str:
    """The plan and the refused files, in words."""
    lines = [plan.summary()]
    lines += [
        f"  label: {r.clip_id}: {r.column} {r.before!r} → {r.after!r}" for r in plan.rows[:SHOWN]
    ]
    if len(plan.rows) > SHOWN:
        lines.append(f"  and {len(plan.rows) - SHOWN} more labels")
    lines += [f"  refused: {path.name}: {reason}" for path, reason in scanned.rejected]
    return "\n".join(lines)
