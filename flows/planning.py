"""From a folder of videos and a profile to the cells that must be computed. Nothing is computed or
written here."""

import json
from pathlib import Path

import store
from flows.config import PreprocessConfig
from pipeline.profiles import Profile, load_profile
from pipeline.scan import ScanResult, scan
from pipeline.source import ClipSource
from store import Cache, ClipRow, EncoderKey, FeatureSchema, Plan, Snapshot, SourceKey


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
        uri=str(source.path),
        sha256=source.sha256,
        size=source.size,
        mtime_ns=source.mtime_ns,
    )


def newest(location: str) -> Snapshot | None:
    """The newest snapshot of a store, or None where there is no store yet."""
    if "://" not in location and not Path(location).is_dir():
        return None
    return Cache.open(location).snapshot()


def plan_preprocess(config: PreprocessConfig) -> tuple[ScanResult, Plan, Profile]:
    """Scan the folder and plan against the store.

    Raises:
        InputError: the folder is not there or holds no video.
    """
    profile = profile_of(config)
    scanned = scan(config.data, config.corpus)
    keys = [SourceKey(source.clip_id, source.content) for source in scanned.clips]
    wanted = encoder_keys(profile, config.features)
    plan = store.plan(newest(config.store), config.dataset, keys, wanted, config.force)
    return scanned, plan, profile


def plan_text(scanned: ScanResult, plan: Plan) -> str:
    """The plan and the refused files, in words."""
    lines = [plan.summary()]
    lines += [f"  refused: {path.name}: {reason}" for path, reason in scanned.rejected]
    return "\n".join(lines)
