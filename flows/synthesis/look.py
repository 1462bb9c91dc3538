"""Parameters of a video's looks: what lies behind the head, where it is seen from, its marks.

Or, for a face drawn from one picture: which picture, and how it is sampled.
"""

from pathlib import Path
from typing import Literal

from pydantic import Field

from flows.config_base import FlowConfig


class Look(FlowConfig):
    """What a synthesised video looks like, besides face and voice."""

    size: int | None = Field(
        default=None,
        ge=64,
        le=2048,
        multiple_of=2,
        description="Side of the video in pixels; none: that of the stored frames",
    )
    background: str = Field(
        default="original",
        description="original, transparent (.mov, .webm), a picture, a video, or a colour",
    )
    background_fit: Literal["exact", "cover"] = Field(
        default="exact",
        description="A background of another aspect or too small: refused, or made to cover",
    )
    background_end: Literal["refuse", "loop", "hold"] = Field(
        default="refuse",
        description="A background video shorter than the speech: refused, begun again, held",
    )
    pose_from: str | None = Field(
        default=None, description="Clip of the store whose head movements are taken"
    )
    orbit: float | None = Field(
        default=None,
        gt=0,
        le=180,
        description="The head turns about over its still body: degrees to each side",
    )
    orbit_pitch: float = Field(
        default=0.0, ge=0, le=90, description="The same up and down, degrees"
    )
    orbit_seconds: float = Field(default=6.0, gt=0.5, description="One whole turn, seconds")
    visible_mark: bool = Field(
        default=True, description="The word 'synthetic' in the corner of every frame"
    )
    content_credentials: bool = Field(
        default=True, description="Sign the video (C2PA) where c2pa-python is installed"
    )


class OneShot(FlowConfig):
    """A face drawn by the video diffusion model from one picture."""

    picture: Path | None = Field(
        default=None, description="Picture of one face; none: the identity's first frame"
    )
    steps: int = Field(default=10, ge=1, le=1000, description="Sampling steps of each frame")
    solver: Literal["ddim", "dpm++"] = Field(default="ddim", description="How they are taken")
    picture_scale: float = Field(
        default=1.0, ge=0, le=20, description="Guidance by the picture; 1 is none"
    )
    audio_scale: float = Field(default=1.0, ge=0, le=20, description="Guidance by the sound")
    expression_scale: float = Field(
        default=1.0, ge=0, le=20, description="Guidance by expression and emotion"
    )
    seed: int = Field(default=0, ge=0, description="Of the noise")
