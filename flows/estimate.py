"""How long a plan will take, from what earlier runs on this store measured."""

from collections.abc import Sequence
from dataclasses import dataclass

from flows.rounds import expected_frames, stored_frames
from pipeline.profiles import Profile
from pipeline.source import ClipSource
from store import Cache, Plan

PROBED = 200
"""Clips whose length is looked up; of a larger plan this many, evenly spread."""

WHOLE_CLIP = ("download", "probe", "video", "audio", "quality", "store")
"""Stages every clip passes, whatever of it is computed."""


@dataclass(frozen=True)
class Estimate:
    """Seconds of one worker, and what they stand on."""

    seconds: float | None
    """None: nothing was measured yet."""
    frames: int
    unmeasured: tuple[str, ...]
    """Encoders of the plan no run has timed."""

    def text(self, workers: int) -> str:
        """In words."""
        from flows.progress import clock_text

        length = f"{self.frames / 25:.0f} s of video"
        if self.seconds is None:
            return f"  {length}; time not measured yet: the first run of this store measures it"
        more = f", without {', '.join(self.unmeasured)}: not timed yet" if self.unmeasured else ""
        wall = clock_text(self.seconds / workers)
        return f"  {length}; about {wall} on {workers} workers{more}"


def measured_rates(cache: Cache | None) -> dict[str, float]:
    """Stage -> seconds per frame, the newest measurement of each."""
    found: dict[str, float] = {}
    for entry in cache.log(limit=200) if cache is not None else ():
        rates = entry.metadata.get("rates")
        if isinstance(rates, dict):
            found = {**rates, **found}
    return found


def estimate(
    plan: Plan, sources: Sequence[ClipSource], profile: Profile, cache: Cache | None
) -> Estimate:
    """Frames of the planned clips times the rates of what is planned for each."""
    before = cache.snapshot() if cache is not None else None
    by_id = {source.clip_id: source for source in sources}
    clip_ids = list(plan.by_clip)
    step = max(1, len(clip_ids) // PROBED)
    probed = clip_ids[::step]
    encoder_of = {
        spec.name: encoder.name for encoder in profile.encoders for spec in encoder.outputs
    }
    rates = measured_rates(cache)
    seconds, frames = 0.0, 0
    unmeasured: set[str] = set()
    for clip_id in probed:
        source = by_id[clip_id]
        length = stored_frames(before, plan.dataset, source) or expected_frames(source)
        frames += length
        stages = {encoder_of[feature] for feature in plan.cells_of(clip_id)}
        unmeasured |= stages - set(rates)
        seconds += length * sum(rates.get(stage, 0.0) for stage in (*stages, *WHOLE_CLIP))
    scale = len(clip_ids) / max(1, len(probed))
    known = bool(rates) or not clip_ids
    return Estimate(
        seconds * scale if known else None, round(frames * scale), tuple(sorted(unmeasured))
    )
