"""Where poses, torso and background of a person come from: the head's own folder, or a store.

A head that carries a stretch of its person (`emohead export head`) is drawn from that, whatever
store lies beside it: the same head makes the same video everywhere. Only the poses of another clip
are read from a store even then.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from jaxtyping import Float32

from flows.config import SynthesizeConfig
from flows.errors import FlowError
from flows.features import FeatureNames
from flows.reading import cells_key
from flows.store_features import listening_profile, named, profile_heard, spoken_features
from flows.synthesis.driving import Driving, driving, own_course
from flows.synthesis.provenance import file_hash
from flows.synthesis.staging import Stage, frame_size, set_stage, staged
from flows.train_head import head_clips, head_features
from models.checkpoint import Checkpoint
from pipeline.profiles import Profile, load_profile
from render.backgrounds import Background
from render.carried import DRIVING, Carried
from store import Cache, Snapshot
from store.errors import NoStoreError


class Recordings(Protocol):
    """What was recorded of a person."""

    @property
    def config(self) -> SynthesizeConfig:
        """What is asked for, with the names of the features that are read."""
        ...

    @property
    def origin(self) -> str:
        """Id of the snapshot that all of it comes from."""
        ...

    @property
    def side(self) -> int:
        """Side of the video."""
        ...

    def listening(self) -> Profile:
        """Encoders that hear as those did whose features the network learned from."""
        ...

    def course(self, frames: int) -> Driving:
        """Poses of a video, and the torso under each."""
        ...

    def stage(
        self,
        alpha: Float32[np.ndarray, "frames k"],
        course: Driving,
        background: Background | None = None,
    ) -> Stage:
        """The scene; see `flows.synthesis.staging.staged`."""
        ...

    def key(self, course: Driving) -> dict[str, Any]:
        """Equal keys, equal torso, background and poses."""
        ...


@dataclass(frozen=True)
class InStore:
    """Clips of a store."""

    config: SynthesizeConfig
    snapshot: Snapshot

    @staticmethod
    def open(config: SynthesizeConfig) -> "InStore":
        """Open the store.

        Raises:
            FlowError: there is none; says what needs it, and what would not.
        """
        try:
            cache = Cache.open(config.store)
        except NoStoreError as error:
            raise FlowError(f"{needing_a_store(config)}, and {error}") from error
        snapshot = cache.snapshot(config.ref)
        return InStore(named(config, cache, snapshot), snapshot)

    @property
    def origin(self) -> str:
        """See `Recordings`."""
        return self.snapshot.id

    @property
    def side(self) -> int:
        """See `Recordings`."""
        return frame_size(self.config, self.snapshot)

    def listening(self) -> Profile:
        """See `Recordings`."""
        config = self.config
        return listening_profile(
            self.snapshot, config.dataset, config.names, config.profile, config.overrides
        )

    def course(self, frames: int) -> Driving:
        """See `Recordings`."""
        config = self.config
        return driving(
            self.snapshot, config.dataset, config.identity, config.names, frames, config.look
        )

    def stage(
        self,
        alpha: Float32[np.ndarray, "frames k"],
        course: Driving,
        background: Background | None = None,
    ) -> Stage:
        """See `Recordings`."""
        return staged(self.config, self.snapshot, alpha, course, background)

    def key(self, course: Driving) -> dict[str, Any]:
        """See `Recordings`."""
        dataset, names = self.config.dataset, self.config.names
        own = head_clips(self.snapshot, dataset, self.config.identity, names)
        posed = sorted({*own, *filter(None, (course.poses_of, course.body_of))})
        more = names.model_dump()
        return {
            "cells": cells_key(self.snapshot, dataset, posed, (names.camera,), names=more),
            "pictures": cells_key(self.snapshot, dataset, own, head_features(names)),
        }


@dataclass(frozen=True)
class InFolder:
    """What the head itself carries."""

    config: SynthesizeConfig
    carried: Carried

    @property
    def origin(self) -> str:
        """See `Recordings`."""
        return str(self.carried.facts["snapshot"])

    @property
    def side(self) -> int:
        """See `Recordings`."""
        return self.config.look.size or self.carried.size

    def listening(self) -> Profile:
        """See `Recordings`.

        Raises:
            FlowError: the network hears features that neither head nor store know.
        """
        config, told = self.config, self.carried.facts["hearing"]
        if config.profile is not None:
            return load_profile(config.profile, **config.overrides)
        heard = spoken_features(config.names)
        if unknown := [name for name in heard if name not in told]:
            try:
                return InStore.open(config).listening()
            except FlowError as error:
                raise FlowError(
                    f"the network in {config.network} hears {unknown[0]}, and {config.head} does "
                    f"not say how that is made (it knows {', '.join(told)}); take the network that "
                    "the head was given with, name the profile (--profile), or give the store the "
                    "network was trained from (--store)"
                ) from error
        return profile_heard({name: told[name] for name in heard}, config.overrides)

    def course(self, frames: int) -> Driving:
        """See `Recordings`."""
        carried = self.carried
        return own_course(carried.cameras, carried.facts["clip"], 0, frames, self.config.look)

    def stage(
        self,
        alpha: Float32[np.ndarray, "frames k"],
        course: Driving,
        background: Background | None = None,
    ) -> Stage:
        """See `Recordings`."""
        carried = self.carried
        return set_stage(
            self.config, alpha, course, carried.plate, carried.beneath, carried.seen, background
        )

    def key(self, course: Driving) -> dict[str, Any]:
        """See `Recordings`."""
        return {"carried": file_hash(self.config.head / DRIVING)}


def recordings_of(
    config: SynthesizeConfig, checkpoint: Checkpoint, carried: Carried | None
) -> Recordings:
    """What the head carries, where it carries anything and that is enough; else the store.

    Raises:
        FlowError: a store is needed, and there is none.
    """
    if carried is None or config.look.pose_from is not None:
        return InStore.open(config)
    names = carried.facts["features"]
    if "names" in config.model_fields_set:
        names = names | config.names.model_dump(include=config.names.model_fields_set)
    else:
        names = names | checkpoint.state.get("provenance", {}).get("features", {})
    return InFolder(config.model_copy(update={"names": FeatureNames(**names)}), carried)


def needing_a_store(config: SynthesizeConfig) -> str:
    """Why a store is read, and how to do without."""
    if config.one_shot is not None:
        return "the video diffusion model hears and is sized as a store says (--store)"
    if config.look.pose_from is not None:
        return (
            f"--pose-from {config.look.pose_from} names a clip of a store (--store; without the "
            "option a head that was exported moves as its own recording does)"
        )
    return (
        f"the head in {config.head} carries no recording of its person, so that one is read from "
        "the store (--store; a head made by `emohead export head` needs none)"
    )
