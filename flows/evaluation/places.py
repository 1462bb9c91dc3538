"""Where an evaluation keeps the videos of a clip; light, for everybody who looks for them."""

import hashlib
from pathlib import Path


def file_name(clip_id: str) -> str:
    """A clip's id as a file name: readable, and one name for one id."""
    plain = "".join(c if c.isalnum() or c in "-_" else "-" for c in clip_id)[:60]
    return f"{plain}-{hashlib.sha256(clip_id.encode()).hexdigest()[:8]}"


def generated_in(folder: Path, clip_id: str) -> Path:
    """Where an evaluation keeps what it made of a clip."""
    return folder / "clips" / file_name(clip_id) / "generated.mp4"


def recorded_in(folder: Path, clip_id: str) -> Path:
    """The true video of the same frames."""
    return generated_in(folder, clip_id).with_name("reference.mp4")
