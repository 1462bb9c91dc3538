"""Named sets of encoders, in an order in which each finds its inputs.

A profile is a base, with encoders added or left out: `embedded`, `paper`, `embedded+ddfa`,
`embedded+hubert-logmel`, `paper-bisenet`.
"""

import importlib
import importlib.util
import re
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.encoder import AUDIO, MEDIA, VIDEO, Encoder
from pipeline.errors import ProfileError, WeightError
from pipeline.features import FeatureSpec
from pipeline.profile_tables import ENCODERS, PROFILES, SIZED
from pipeline.settings import configured
from pipeline.weights.shelf import Shelf

MEDIA_VERSION = "2"
"""Changes when the same file may come out of pipeline.media* differently."""


@dataclass(frozen=True)
class Profile:
    """A set of encoders that fit together."""

    name: str
    size: int
    """Side of the frames, pixels."""
    encoders: tuple[Encoder, ...]
    """In topological order: inputs before those who read them."""

    @property
    def specs(self) -> dict[str, FeatureSpec]:
        """All features, in the order in which they are made."""
        return {spec.name: spec for encoder in self.encoders for spec in encoder.outputs}

    def encoder_of(self, feature: str) -> Encoder:
        """Who writes a feature.

        Raises:
            ProfileError: nobody does; the features there are are named.
        """
        for encoder in self.encoders:
            if any(spec.name == feature for spec in encoder.outputs):
                return encoder
        raise ProfileError(
            f"profile {self.name!r} has no feature {feature!r}; it has {', '.join(self.specs)}"
        )

    def encoder(self, name: str) -> Encoder:
        """An encoder by its own name."""
        for encoder in self.encoders:
            if encoder.name == name:
                return encoder
        known = ", ".join(encoder.name for encoder in self.encoders)
        raise ProfileError(f"profile {self.name!r} has no encoder {name!r}; it has {known}")

    def upstream(self, feature: str) -> tuple[str, ...]:
        """Features that the feature's encoder reads directly."""
        return tuple(i for i in self.encoder_of(feature).inputs if i not in MEDIA)

    def identity_of(self, feature: str) -> dict[str, Any]:
        """All that determines a feature besides the clip and its upstream features (JSON-able)."""
        encoder = self.encoder_of(feature)
        media: dict[str, Any] = {}
        if VIDEO in encoder.inputs:
            media["video"] = {"version": MEDIA_VERSION, "crop": self.encoder("crop").identity()}
        if AUDIO in encoder.inputs:
            media["audio"] = {"version": MEDIA_VERSION}
        return encoder.identity() | {"feature": feature, "media": media}

    def needed(self, wanted: Sequence[str], given: Mapping[str, Any]) -> tuple[Encoder, ...]:
        """Encoders that must run so that `wanted` exists, when `given` exists already.

        Raises:
            ProfileError: a wanted feature that nobody writes.
        """
        missing = list(wanted)
        names = set()
        while missing:
            encoder = self.encoder_of(missing.pop())
            if encoder.name not in names:
                names.add(encoder.name)
                missing += [i for i in encoder.inputs if i not in MEDIA and i not in given]
        return tuple(encoder for encoder in self.encoders if encoder.name in names)


def encoder_names(profile: str) -> tuple[str, ...]:
    """Encoders of a profile, in the table's order.

    >>> encoder_names("paper-bisenet-llama+landmarker")[-4:]
    ('ddfa', 'landmarker', 'hubert', 'emotion2vec')

    Raises:
        ProfileError: an unknown base or encoder, one added twice or left out that is not in; the
            choices are named.
    """
    base, *changes = re.split(r"([+-])", profile)
    if base not in PROFILES:
        raise ProfileError(f"no profile {base!r}; there are {', '.join(PROFILES)}")
    names = set(PROFILES[base])
    for sign, name in zip(changes[::2], changes[1::2], strict=True):
        if name not in ENCODERS:
            raise ProfileError(
                f"profile {profile!r}: no encoder {name!r}; there are {', '.join(ENCODERS)}"
            )
        if (name in names) == (sign == "+"):
            state = "already in" if sign == "+" else "not in"
            raise ProfileError(f"profile {profile!r}: {name} is {state} it")
        names ^= {name}
    return tuple(name for name in ENCODERS if name in names)


def load_profile(
    name: str = "embedded",
    size: int = 256,
    *,
    weights: Path | None = None,
    **overrides: Mapping[str, Any],
) -> Profile:
    """Build a profile; no model is loaded yet.

    Args:
        name: `embedded`, which runs from PyPI wheels alone, or `paper`, which needs weights;
            encoders may be added and left out: `embedded+ddfa`, `paper-bisenet`.
        size: side of the stored frames, pixels.
        weights: folder of weights; None: $EMOHEAD_WEIGHTS or the platform's cache.
        overrides: settings by encoder name, e.g. `pose={"cutoff": 3.0}`.

    Raises:
        ProfileError: an unknown profile, encoder or setting; the choices are named.
        WeightError: weights and libraries that are not there: all of them, each with the command
            that brings it.
    """
    known = encoder_names(name)
    for encoder in overrides:
        if encoder not in known:
            raise ProfileError(
                f"profile {name!r} has no encoder {encoder!r} to override; "
                f"it has {', '.join(known)}"
            )
    shelf = Shelf.usual() if weights is None else Shelf(weights)
    makers: dict[str, tuple[type, Any]] = {}
    for encoder in known:
        given = dict(overrides.get(encoder, {}))
        if encoder in SIZED:
            if given.get("size", size) != size:
                raise ProfileError(
                    f"{encoder}.size = {given['size']} but frames are {size} px; set the "
                    "profile's size, which all visual encoders share"
                )
            given["size"] = size
        module, stem = ENCODERS[encoder]
        loaded = importlib.import_module(module)
        config = configured(getattr(loaded, f"{stem}Config"), given, encoder)
        makers[encoder] = (getattr(loaded, f"{stem}Encoder"), config)
    _all_weights(name, shelf, makers)
    encoders = [
        kind(config, shelf) if hasattr(kind, "needs") else kind(config)
        for kind, config in makers.values()
    ]
    return Profile(name, size, _ordered(encoders))


def _all_weights(name: str, shelf: Shelf, makers: Mapping[str, tuple[type, Any]]) -> None:
    """Hold shelf and installation against what the encoders need, before any of them is built.

    Raises:
        WeightError: everything that is missing, and the profile that does without it.
    """
    lacking: dict[str, list[str]] = {}
    for encoder, (kind, config) in makers.items():
        for library in getattr(kind, "libraries", lambda _: ())(config):
            if importlib.util.find_spec(library) is None:
                reason = f"{library} is not installed: `pip install 'emohead[paper]'`"
                lacking.setdefault(encoder, []).append(reason)
        for weight, of in getattr(kind, "needs", lambda _: ())(config):
            reason = shelf.missing(weight, of)
            if reason:
                lacking.setdefault(encoder, []).append(reason)
    if lacking:
        lines = [f"  {encoder}: {why}" for encoder, whys in lacking.items() for why in whys]
        raise WeightError(
            f"profile {name!r} needs what is not there:\n" + "\n".join(lines) + "\n"
            f"Without these encoders it is {_without(name, lacking)!r}."
        )


def _without(profile: str, encoders: Container[str]) -> str:
    """The name of a profile that leaves some encoders out."""
    base, *changes = re.split(r"([+-])", profile)
    kept = [s + n for s, n in zip(changes[::2], changes[1::2], strict=True) if n not in encoders]
    left_out = [f"-{name}" for name in PROFILES[base] if name in encoders]
    return base + "".join(kept + left_out)


def _ordered(encoders: Sequence[Encoder]) -> tuple[Encoder, ...]:
    """Topological order, stable otherwise.

    Raises:
        ProfileError: inputs that nobody makes, or a circle.
    """
    ready: set[str] = set(MEDIA)
    left, out = list(encoders), []
    while left:
        runnable = [e for e in left if ready.issuperset(e.inputs)]
        if not runnable:
            stuck = {e.name: sorted(set(e.inputs) - ready) for e in left}
            raise ProfileError(f"encoders without their inputs: {stuck}; has one been left out?")
        out.append(runnable[0])
        left.remove(runnable[0])
        ready.update(spec.name for spec in runnable[0].outputs)
    return tuple(out)
