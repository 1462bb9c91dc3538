"""One sample clip: recipe, truth, frames, files."""

import hashlib
import json
import os
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from pipeline.clock import FPS
from pipeline.samples.deform import NAMES
from pipeline.samples.emotions import INTENSITY
from pipeline.samples.encode import encode
from pipeline.samples.frame import FOCAL_FACTOR
from pipeline.samples.paint import Painter
from pipeline.samples.person import Person, build_person
from pipeline.samples.script import Script, write_script
from pipeline.samples.sentences import SENTENCES
from pipeline.samples.speech_files import Reading, load_reading

_CONVENTION = (
    "camera = rotation @ head + translation; OpenCV axes (x right, y down, z forward); lengths in "
    "eye distances (between the midpoints of the eyes); pixel = focal * xy / z + size / 2. The "
    "head's axes are those of the portrait's landmarks: x to the person's left, y to the chin."
)


@lru_cache(maxsize=2)
def _person(identity: str) -> Person:
    return build_person(identity)


@lru_cache(maxsize=1)
def _code() -> str:
    """Hash of everything the clips are made by: this folder's modules and data."""
    digest = hashlib.sha256()
    here = Path(__file__).parent
    for path in sorted([*here.glob("*.py"), *here.glob("*.npz")]):
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def recipe(identity: str, emotion: str, sentence: str, size: int) -> str:
    """Hash of all that determines the clip: code, portrait facts, speech, size."""
    reading = load_reading(identity, emotion, sentence)
    parts = [_code(), identity, emotion, sentence, str(size), json.dumps(reading.phonemes)]
    digest = hashlib.sha256("\n".join(parts).encode())
    digest.update(reading.samples.tobytes())
    return digest.hexdigest()[:16]


def script_of(identity: str, emotion: str, sentence: str) -> tuple[Person, Reading, Script]:
    """Person, speech and truth of a clip."""
    person = _person(identity)
    reading = load_reading(identity, emotion, sentence)
    name = f"{identity}_{emotion}_{sentence}"
    return person, reading, write_script(person, reading, emotion, name)


def frames_of(
    person: Person, script: Script, size: int
) -> Iterator[UInt8[np.ndarray, "size size 3"]]:
    """The clip's pictures, RGB."""
    painter = Painter(person, size)
    steps = zip(script.coefficients, script.rotation, script.translation, script.gaze, strict=True)
    for coefficients, rotation, translation, looking in steps:
        yield painter.paint(coefficients, rotation, translation, looking)


def _truth(person: Person, script: Script, size: int) -> dict:
    def listed(array: np.ndarray, digits: int) -> list:
        return np.round(array, digits).tolist()

    return {
        "names": list(NAMES),
        "coefficients": listed(script.coefficients, 5),
        "mouth_open": listed(script.mouth_open, 5),
        "pose": {
            "rotation": listed(script.rotation, 6),
            "translation": listed(script.translation / person.unit, 5),
            "focal": FOCAL_FACTOR * size,
            "convention": _CONVENTION,
        },
        "blink": listed(script.blink, 4),
        "gaze": listed(script.gaze, 4),
    }


def write_clip(folder: Path, identity: str, emotion: str, sentence: str, size: int) -> bool:
    """Write `<identity>_<emotion>_<sentence>.mp4` and its sidecar; False when it was already there.

    Both appear under their names only when whole; the sidecar with the recipe comes last.
    """
    path = folder / f"{identity}_{emotion}_{sentence}.mp4"
    sidecar = path.with_suffix(".json")
    wanted = recipe(identity, emotion, sentence, size)
    if path.is_file() and _recipe_in(sidecar) == wanted:
        return False
    person, reading, script = script_of(identity, emotion, sentence)
    partial = path.with_name(f".{path.stem}.{os.getpid()}.part.mp4")
    try:
        encode(partial, frames_of(person, script, size), size, reading.path)
        facts = {
            "identity": identity,
            "emotion": emotion,
            "intensity": INTENSITY[emotion],
            "sentence": sentence,
            "split": SENTENCES[sentence].split,
            "transcript": reading.transcript,
            "frames": reading.frames,
            "fps": FPS,
            "words": reading.words,
            "phonemes": reading.phonemes,
            "truth": _truth(person, script, size),
            "recipe": wanted,
        }
        sidecar.unlink(missing_ok=True)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    draft = partial.with_suffix(".json")
    draft.write_text(json.dumps(facts))
    draft.replace(sidecar)
    return True


def _recipe_in(sidecar: Path) -> str | None:
    try:
        return json.loads(sidecar.read_text()).get("recipe")
    except (OSError, ValueError):
        return None  # absent or torn: the clip is made again
