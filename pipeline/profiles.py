"""Named sets of encoders, in an order in which each finds its inputs."""

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.encoder import AUDIO, MEDIA, VIDEO, Encoder
from pipeline.errors import ProfileError
from pipeline.features import FeatureSpec
from pipeline.settings import configured

MEDIA_VERSION = "2"
"""Changes when the same file may come out of pipeline.media* differently."""

_SIZED = ("crop", "pose", "selfie")
"""Encoders whose config has the frames' side in pixels."""

_PROFILES: dict[str, tuple[tuple[str, str, str], ...]] = {
    "embedded": (
        ("crop", "pipeline.face.rgb", "Rgb"),
        ("facemesh", "pipeline.face.landmarks", "FaceMesh"),
        ("mar", "pipeline.face.mar", "Mar"),
        ("pose", "pipeline.face.pose", "Pose"),
        ("semantic", "pipeline.face.semantic", "Semantic"),
        ("selfie", "pipeline.face.parsing", "Selfie"),
        ("waveform", "pipeline.speech.waveform", "Waveform"),
        ("logmel", "pipeline.speech.logmel", "LogMel"),
        ("prosody", "pipeline.speech.prosody", "Prosody"),
        ("minilm", "pipeline.speech.minilm", "MiniLM"),
    ),
}
"""Profile to (encoder name, module, class stem): `<stem>Encoder` with a `<stem>Config`."""


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


def load_profile(
    name: str = "embedded", size: int = 256, **overrides: Mapping[str, Any]
) -> Profile:
    """Build a profile; no model is loaded yet.

    Args:
        name: `embedded`, which runs from PyPI wheels alone.
        size: side of the stored frames, pixels.
        overrides: settings by encoder name, e.g. `pose={"cutoff": 3.0}`.

    Raises:
        ProfileError: an unknown profile, encoder or setting; the choices are named.
    """
    if name not in _PROFILES:
        raise ProfileError(f"no profile {name!r}; there are {', '.join(_PROFILES)}")
    known = [encoder for encoder, _, _ in _PROFILES[name]]
    for encoder in overrides:
        if encoder not in known:
            raise ProfileError(
                f"profile {name!r} has no encoder {encoder!r} to override; "
                f"it has {', '.join(known)}"
            )
    encoders = []
    for encoder, module, stem in _PROFILES[name]:
        given = dict(overrides.get(encoder, {}))
        if encoder in _SIZED:
            if given.get("size", size) != size:
                raise ProfileError(
                    f"{encoder}.size = {given['size']} but frames are {size} px; set the "
                    "profile's size, which all visual encoders share"
                )
            given["size"] = size
        loaded = importlib.import_module(module)
        config = configured(getattr(loaded, f"{stem}Config"), given, encoder)
        encoders.append(getattr(loaded, f"{stem}Encoder")(config))
    return Profile(name, size, _ordered(encoders))


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
