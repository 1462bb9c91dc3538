"""What can go wrong between a file and its arrays.

    PipelineError
    ├── InputError      the request cannot be served: a folder that is not there, a table that lies
    ├── SourceAway      a server that does not answer, or answers otherwise than before: try again
    ├── MediaError      this file (or stream) is unusable: the reason is shown beside the clip
    │   └── MissingInput    one input of an encoder is not in this clip (no sound, no transcript)
    ├── RejectedClip    the media are sound but hold nothing to work on (no face)
    ├── ClockError      two lengths that must agree do not
    └── ProfileError    an encoder, feature or setting that does not exist
        └── WeightError     weights that are not there, or not what they are said to be

`MediaError` and `RejectedClip` become reasons in the store; the others stop the run. Every message
names the item, the values that disagree and, where there is one, the cure.
"""


class PipelineError(Exception):
    """Root of every error this layer raises on purpose."""


class InputError(PipelineError, ValueError):
    """The caller's folder, table or request cannot be used."""


class SourceAway(PipelineError, OSError):
    """What is not on this machine could not be brought here; the next try may succeed."""


class MediaError(PipelineError):
    """A media file or one of its streams cannot be used; the text is the reason to show."""


class MissingInput(MediaError):
    """A clip lacks an input that an encoder needs."""


class RejectedClip(PipelineError):
    """A decodable clip that holds nothing to work on; the text is the reason to show."""


class ClockError(PipelineError, ValueError):
    """Lengths on the common clock disagree; both are named."""


class ProfileError(PipelineError, ValueError):
    """An unknown profile, feature or setting; the choices are named."""


class WeightError(ProfileError):
    """Weights that are missing or are not what they should be; the cure is a command."""
