"""What the rendering layer raises, grouped by what a caller would do about it."""


class RenderError(Exception):
    """Root of every error of this layer."""


class HeadDataError(RenderError, ValueError):
    """The frames, masks, cameras or coefficients do not fit together, or are too few."""


class ConfigError(RenderError, ValueError):
    """A configuration value that cannot work; the message names the value and the cure."""


class BackendError(RenderError, RuntimeError):
    """A back-end was asked for that this machine cannot run."""


class TrainingError(RenderError, RuntimeError):
    """Training could not go on; the last good state is kept where the message says."""


class HeadFolderError(RenderError, ValueError):
    """A head folder is missing, incomplete, or of another format."""


class VideoError(RenderError, RuntimeError):
    """A video could not be written."""


class MetricError(RenderError, ValueError):
    """A metric cannot be computed from what was given; the message is the reason in the table."""


class BackgroundError(RenderError, ValueError):
    """A background that is none, or does not fit the video."""


class CredentialsError(RenderError, RuntimeError):
    """A video could not be signed."""


class PortraitDataError(RenderError, ValueError):
    """Frames, sound or coefficients of a portrait model do not fit together, or are too few."""


class PortraitFolderError(RenderError, ValueError):
    """A portrait model's folder is missing, incomplete, or of another format."""


class PictureError(RenderError, ValueError):
    """A picture that no head can be made from: unreadable, no face, several faces."""
