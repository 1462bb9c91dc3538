"""Which features play which part in training: the profile's names, in one place."""

from pydantic import Field

from flows.config_base import FlowConfig


class FeatureNames(FlowConfig):
    """Names of the cells that the networks read; the defaults are those of the embedded profile."""

    audio: str = Field(default="audio/logmel", description="What is heard")
    emotion: str = Field(default="emotion/prosody", description="How it is said")
    text: str = Field(
        default="text/minilm", description="What is said; clips without words are silent"
    )
    expression: str = Field(
        default="expression/semantic", description="Coefficients the face is moved by"
    )
    mouth: str = Field(default="face/mar", description="Mouth aspect ratio")
    frames: str = Field(default="video/rgb", description="Face crops")
    parsing: str = Field(default="parsing/selfie", description="19 labels a pixel")
    camera: str = Field(default="pose/camera", description="World to camera")
    found: str = Field(default="face/found", description="Whether a face was found")
