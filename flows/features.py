"""Which features play which part in training: the profile's names, in one place."""

from pydantic import Field

from flows.config_base import FlowConfig


class FeatureNames(FlowConfig):
    """Names of the cells that the networks read; the defaults are those of the embedded profile."""

    audio: str = Field("audio/logmel", description="What is heard")
    emotion: str = Field("emotion/prosody", description="How it is said")
    text: str = Field("text/minilm", description="What is said; clips without words are silent")
    expression: str = Field("expression/semantic", description="Coefficients the face is moved by")
    mouth: str = Field("face/mar", description="Mouth aspect ratio")
    frames: str = Field("video/rgb", description="Face crops")
    parsing: str = Field("parsing/selfie", description="19 labels a pixel")
    camera: str = Field("pose/camera", description="World to camera")
    found: str = Field("face/found", description="Whether a face was found")
