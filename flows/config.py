"""Parameters of the flows: what a form asks for, with the meaning and unit beside each field."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from flows.config_base import FlowConfig
from flows.features import FeatureNames
from flows.names import HeadPreset, PortraitSystem, Preset, System
from flows.parameters import (
    Cluster,
    Corpus,
    DatasetName,
    FeatureName,
    Location,
    PlaneSettings,
    ProfileName,
)
from flows.synthesis.look import Look, OneShot

Source = Path | str
"""Where videos come from: a path here, or a URL (which a path would garble)."""
Workers = Annotated[int, Field(ge=1, le=256)]


class PreprocessConfig(FlowConfig):
    """Raw clips to valid cells."""

    data: Source = Field(
        description="Videos: a folder, searched with its sub-folders; a bucket "
        "(s3://bucket/folder); a list of URLs (a local file, or https://…)"
    )
    store: Location = Field(description="Folder or URL of the icechunk store")
    dataset: DatasetName = Field(
        default="clips", description="Group of the store the clips belong to"
    )
    corpus: Corpus = Field(
        default="auto", description="Naming scheme: auto, plain, mead, ravdess, ..."
    )
    shots: bool = Field(
        default=False, description="Make each shot of a recording with cuts a clip of its own"
    )
    profile: ProfileName = Field(
        default="embedded",
        description="Set of encoders: embedded, paper, or changed: embedded+ddfa, paper-bisenet",
    )
    overrides: dict[str, Any] = Field(
        default_factory=dict, description="Encoder settings, e.g. {'logmel': {'mels': 64}}"
    )
    features: tuple[FeatureName, ...] = Field(
        default=(), description="Features to compute; none named means all"
    )
    size: int = Field(
        default=256, ge=64, le=1024, multiple_of=2, description="Side of the face crop in pixels"
    )
    workers: Workers = Field(default=2, description="Worker processes; one thread each")
    clips_per_task: int = Field(default=8, ge=1, le=500, description="Clips of one task")
    clips_per_commit: int = Field(
        default=500, ge=1, le=100_000, description="Clips of one commit: what a crash can cost"
    )
    cluster: Cluster | None = Field(
        default=None,
        description="Dask workers: an address (tcp://host:8786), local:N, slurm:N, kubernetes:N; "
        "none: processes of this machine",
    )
    resources: dict[str, float] = Field(
        default_factory=dict,
        description="What a Dask worker must have for a task, e.g. {'GPU': 1}: one process per GPU",
    )
    wait_seconds: float = Field(
        default=3600.0,
        ge=0,
        description="How long to wait for another run that works on this store; then refused",
    )
    clip_seconds: float = Field(
        default=300.0, gt=0, description="Seconds after which a clip counts as hanging"
    )
    frame_seconds: float = Field(
        default=4.0, ge=0, description="Seconds more for each of its frames"
    )
    force: tuple[FeatureName, ...] = Field(
        default=(), description="Features to compute again though valid"
    )
    retry_failed: bool = Field(
        default=False, description="Compute again what was quarantined or met an unexpected error"
    )
    repair: bool = Field(
        default=False, description="Read every stored value, and compute again what is damaged"
    )
    prune: bool = Field(
        default=False, description="Remove clips whose source is gone from the folder"
    )
    rehash: bool = Field(
        default=False,
        description="Read every file anew, also where path, size and modification time say that "
        "it cannot have changed",
    )
    report: Path | None = Field(
        default=None, description="Write the quality page of the dataset there afterwards"
    )


class UpdateConfig(PreprocessConfig):
    """Raw clips to valid cells, their hyperplanes, and a release."""

    hyperplanes: bool = Field(default=True, description="Fit emotion hyperplanes on what changed")
    expression: str | None = Field(
        default=None,
        description="Feature the hyperplanes live in; none: the expression of the profile",
    )
    planes: PlaneSettings = Field(
        default_factory=dict, description="How hyperplanes are fitted, e.g. {'groups': 7}"
    )
    release: str | None = Field(
        default=None, description="Name of the release, e.g. 'mead-{date}'; none: make none"
    )

    def preprocess(self) -> PreprocessConfig:
        """The part of the first stage."""
        fields = PreprocessConfig.model_fields
        given: dict[str, Any] = {name: getattr(self, name) for name in fields}
        given["report"] = None  # once the hyperplanes are there
        return PreprocessConfig(**given)


class MaintainConfig(FlowConfig):
    """A store kept in order."""

    store: Location = Field(description="Folder or URL of the icechunk store")
    keep_days: float = Field(
        default=30.0, ge=1 / 24, description="Untagged snapshots older than this are forgotten"
    )
    read_data: bool = Field(default=False, description="Hold every chunk against its schema")


class HyperplaneFlowConfig(FlowConfig):
    """Valid expression cells to emotion hyperplanes."""

    store: Location = Field(description="Folder or URL of the icechunk store")
    dataset: DatasetName = Field(default="clips", description="Group of the store")
    expression: str | None = Field(
        default=None,
        description="Feature the planes live in; none: the expression of the profile that made "
        "the store",
    )
    settings: PlaneSettings = Field(
        default_factory=dict, description="How they are fitted, e.g. {'groups': 7}"
    )


class StoreReading(FlowConfig):
    """Cells of a store that a flow reads."""

    store: Location = Field(description="Folder or URL of the icechunk store")
    dataset: DatasetName = Field(default="clips", description="Group of the store")
    names: FeatureNames = Field(
        default_factory=lambda: FeatureNames(), description="Cells to read; unset: the profile's"
    )
    profile: ProfileName | None = Field(
        default=None,
        description="Profile whose features are read; none: the one that made the store",
    )
    ref: str = Field(default="main", description="Branch, tag or snapshot id to read")


class AudioExpressionFlowConfig(StoreReading):
    """Cached features to a network that predicts expression."""

    system: System = Field(default="emohead", description="Whose network: see docs/decisions/0021")
    out: Path = Field(description="Folder of the checkpoint")
    preset: Preset = Field(default="paper", description="Sizes and number of steps")
    settings: dict[str, Any] = Field(
        default_factory=dict, description="TrainConfig fields that differ from the preset"
    )


class HeadFlowConfig(StoreReading):
    """Cached frames, cameras and coefficients of one identity to its head."""

    identity: str = Field(description="Whose head")
    out: Path = Field(description="Folder of the head")
    preset: HeadPreset = Field(default="paper", description="Sizes and number of steps")
    settings: dict[str, Any] = Field(
        default_factory=dict, description="HeadConfig fields that differ from the preset"
    )
    score: int = Field(
        default=0, ge=0, description="Held-out frames scored afterwards; 0: no score"
    )


class PortraitFlowConfig(StoreReading):
    """Cached frames, sound and coefficients of many people to a video diffusion model."""

    system: PortraitSystem = Field(
        default="emodiffhead",
        description="emodiffhead: told coefficients; moee: told by emotion experts, in two stages",
    )
    identities: tuple[str, ...] = Field(
        default=(), description="People to learn from; none named means all"
    )
    out: Path = Field(description="Folder of the model")
    preset: Preset = Field(default="paper", description="Sizes and number of steps")
    settings: dict[str, Any] = Field(
        default_factory=dict,
        description="PortraitTraining fields that differ from the preset; network, noise: dicts",
    )


class SynthesizeConfig(StoreReading):
    """Sound and a timeline of emotions to a video."""

    overrides: dict[str, Any] = Field(default_factory=dict, description="Encoder settings")
    identity: str = Field(
        default="", description="Whose head speaks, or whose first frame; none needs a picture"
    )
    head: Path = Field(
        description="Folder of the head; with `one_shot` of the video diffusion model"
    )
    one_shot: OneShot | None = Field(
        default=None,
        description="Draw the face from one picture by video diffusion; none: a head is rendered",
    )
    network: Path = Field(description="Folder of the audio-expression checkpoint")
    audio: Path = Field(description="Speech: any file ffmpeg reads")
    emotion: str | None = Field(
        default=None,
        description="Timeline, e.g. 'happy@0-2, sad@3-5:0.8'; none: as the voice has it",
    )
    words: tuple[tuple[str, float, float], ...] = Field(
        default=(), description="(word, start, end) in seconds where known; none: recognised"
    )
    text: str | None = Field(
        default=None, description="What is said, where known without times; none: recognised"
    )
    timeline: Path | None = Field(
        default=None, description="The emotions as a YAML file, instead of `emotion`"
    )
    render_size: int | None = Field(
        default=None,
        ge=32,
        le=1024,
        description="Side the head is rendered at; none: the frames' side",
    )
    look: Look = Field(
        default_factory=lambda: Look(), description="Background, views, size and marks"
    )
    out: Path = Field(description="Video to write: .mp4, .mov or .webm")


class EvaluateConfig(StoreReading):
    """What was trained from a store, scored on what was held out."""

    network: Path = Field(description="Folder of the audio-expression checkpoint")
    heads: Path = Field(description="Folder of the heads, one folder an identity")
    frames: int = Field(default=12, ge=1, description="Held-out frames rendered of each head")
    clips: int | None = Field(
        default=None, ge=0, description="Held-out clips of each identity that are spoken; none: all"
    )
    system: System = Field(default="emohead", description="Whose network that is")
    portrait: Path | None = Field(
        default=None, description="Video diffusion model that draws; none: the heads do"
    )
    against: tuple[Path, ...] = Field(
        default=(), description="Evaluations of other runs, set beside this one"
    )
    ablation: tuple[Path, ...] = Field(
        default=(),
        description="Folders `emohead ablate` wrote; none named: `ablation` and `losses` beside "
        "the tables",
    )
    openface: Path | None = Field(default=None, description="OpenFace 2.2's FeatureExtraction")
    out: Path = Field(description="Folder of the tables")


class MainJobConfig(FlowConfig):
    """The whole way from videos to a talking head whose emotion changes."""

    out: Path = Field(description="Folder of everything this job writes")
    data: Source | None = Field(
        default=None, description="Your videos; none: emohead's own sample clips"
    )
    corpus: Corpus = Field(default="auto", description="Naming scheme of the videos")
    profile: ProfileName = Field(default="embedded", description="Set of encoders")
    overrides: dict[str, Any] = Field(default_factory=dict, description="Encoder settings")
    size: int = Field(
        default=256, ge=64, le=1024, multiple_of=2, description="Side of the face crop in pixels"
    )
    identity: str | None = Field(
        default=None, description="Whose head; none: the one with most frames"
    )
    audio: Path | None = Field(
        default=None, description="Speech to synthesise; none: held-out speech"
    )
    emotion: str | None = Field(default=None, description="Timeline; none: from one tag to another")
    workers: Workers = Field(default=2, description="Worker processes of preprocessing")
    render_size: int | None = Field(
        default=None,
        ge=32,
        le=1024,
        description="Side the head is rendered at; none: the frames' side",
    )
    preset: Preset = Field(default="demo", description="Sizes and number of steps")
    network_settings: dict[str, Any] = Field(
        default_factory=dict, description="TrainConfig fields that differ from the preset"
    )
    head_settings: dict[str, Any] = Field(
        default_factory=dict, description="HeadConfig fields that differ from the preset"
    )

    @property
    def store(self) -> str:
        """Where the cache of this job lies."""
        return str(self.out / "store")
