"""Which features of a store play which part: those of the profile that made it, unless told.

A store may hold several encoders beside each other. Of the features of the profile that last wrote
into the dataset an encoder of the paper comes before its embedded stand-in, then the one with more
valid cells.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from flows.config_base import FlowConfig
from flows.errors import FlowError
from flows.features import FeatureNames
from pipeline.profile_tables import PROFILES
from pipeline.profiles import Profile, encoder_names, load_profile
from store import Cache, Snapshot
from store.encoders import stored_encoders
from store.layout import open_dataset

Config = TypeVar("Config", bound=FlowConfig)

CHOICES = {
    "audio": "audio/",
    "emotion": "emotion/",
    "text": "text/",
    "expression": "expression/",
    "parsing": "parsing/",
}
"""Part -> how the names of the features begin that may play it. The other parts have one name."""

NOT_HEARD = ("audio/waveform",)
"""The sound itself: no encoder's reading of it."""

LATEST = 200
"""Commits looked through for the profile that made a dataset."""


def profile_of_store(cache: Cache, ref: str, dataset: str) -> str | None:
    """The profile that last wrote into a dataset; None where the history does not say."""
    for entry in cache.log(ref, LATEST):
        told = entry.metadata
        if told.get("flow") == "preprocess" and told.get("dataset", dataset) == dataset:
            return str(told["profile"]) if told.get("profile") else None
    return None


def made_by(snapshot: Snapshot, dataset: str, feature: str) -> dict[str, Any]:
    """Identity of the newest encoder of a feature; empty where none is recorded."""
    found = stored_encoders(open_dataset(snapshot.root, dataset), feature)
    return dict(found[-1].identity) if found else {}


def names_in(
    snapshot: Snapshot, dataset: str, profile: str | None, told: FeatureNames | None = None
) -> FeatureNames:
    """Names of the features that play each part.

    Args:
        snapshot: where they lie.
        dataset: group of the store.
        profile: whose features; None: whatever the store holds.
        told: the fields set in it are taken as they are.

    Raises:
        ProfileError: no such profile.
    """
    names = told.model_dump(include=told.model_fields_set) if told else {}
    if not snapshot.has_dataset(dataset):
        return FeatureNames(**names)  # whoever reads says what is missing
    cells = snapshot.cells(dataset)
    mine = set(encoder_names(profile)) if profile else set()
    for part, prefix in CHOICES.items():
        there = [f for f in cells.columns if f.startswith(prefix) and f not in NOT_HEARD]
        by = {f: str(made_by(snapshot, dataset, f).get("encoder", "")) for f in there}
        asked = [f for f in there if by[f] in mine] or there
        if asked and part not in names:
            valid = {f: sum(fingerprint != "" for fingerprint in cells[f]) for f in asked}
            paper = set(PROFILES["paper"])
            names[part] = max(sorted(asked), key=lambda f: (valid[f] > 0, by[f] in paper, valid[f]))
    return FeatureNames(**names)


def named(config: Config, cache: Cache, snapshot: Snapshot) -> Config:
    """A flow's config with the names of the features it reads.

    Fields of `names` that are set stay. Else a profile that is set decides; else the network that
    the flow uses, which says what it was trained from; else the profile that made the store.
    """
    told: Any = config
    given = told.names if "names" in config.model_fields_set else None
    network: Path | None = getattr(told, "network", None)
    if given is None and told.profile is None and network is not None and network.is_dir():
        from models import load

        features = load(network).state["provenance"].get("features", {})
        given = FeatureNames(**features) if features else None
    ref = getattr(told, "ref", "main")
    profile = told.profile or profile_of_store(cache, ref, told.dataset)
    return config.model_copy(update={"names": names_in(snapshot, told.dataset, profile, given)})


def expression_of(
    cache: Cache, dataset: str, asked: str | None = None, profile: str | None = None
) -> str:
    """The expression feature asked for, else that of the profile that made the newest snapshot."""
    if asked:
        return asked
    made = profile or profile_of_store(cache, "main", dataset)
    return names_in(cache.snapshot(), dataset, made).expression


def listening_profile(
    snapshot: Snapshot,
    dataset: str,
    names: FeatureNames,
    profile: str | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> Profile:
    """Encoders that hear as those did that made the speech features of a store.

    Without `profile` they are these very encoders, with the settings they had then, and no others:
    to speak, nobody needs the weights of a face parser.

    Raises:
        FlowError: the weights here are not those that made the store.
        WeightError: weights that are missing, with the command that brings them.
    """
    if profile is not None:
        return load_profile(profile, **(overrides or {}))
    return profile_heard(heard_by(snapshot, dataset, names), overrides)


def heard_by(snapshot: Snapshot, dataset: str, names: FeatureNames) -> dict[str, dict[str, Any]]:
    """Speech feature -> identity of the encoder that made it; empty where none is recorded."""
    return {name: made_by(snapshot, dataset, name) for name in spoken_features(names)}


def spoken_features(names: FeatureNames) -> tuple[str, str, str]:
    """What the network hears of speech."""
    return (names.audio, names.emotion, names.text)


def profile_heard(
    encoders: Mapping[str, Mapping[str, Any]], overrides: Mapping[str, Any] | None = None
) -> Profile:
    """Encoders by their identities (feature -> identity), as `heard_by` tells them.

    Raises:
        FlowError: the weights here are not those of then.
        WeightError: weights that are missing, with the command that brings them.
    """
    profile, settings, weights = "embedded", {}, {}
    for feature, identity in encoders.items():
        if encoder := identity.get("encoder"):
            profile += "" if encoder in PROFILES["embedded"] else f"+{encoder}"
            settings[encoder] = dict(identity.get("config", {}))
            if heard := identity.get("recogniser", {}).get("name"):
                settings[encoder]["recogniser"] = heard
            weights[feature] = identity.get("weights", {})
    for encoder, changes in (overrides or {}).items():
        settings[encoder] = settings.get(encoder, {}) | changes
    loaded = load_profile(profile, **settings)
    for feature, then in weights.items():
        now = loaded.identity_of(feature).get("weights", {})
        if then != now:
            raise FlowError(
                f"{feature} of the store was made with weights {then}, here are {now}: the network "
                "would hear something else; bring the same weights (`emohead weights check`), or "
                "preprocess and train again"
            )
    return loaded
