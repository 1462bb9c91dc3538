"""What a head carries, so that it can be drawn without the store it was trained from.

`driving.safetensors` lies beside `head.safetensors`: poses, a stretch of recorded torso with the
head taken out (lossless JPEG XL, the body's mask as fourth channel), the background, the person's
hyperplanes. `head.json` (format 3) says under `carried` whose it all is, where it comes from, and
the sha256 of every file.
"""

import hashlib
import json
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from jaxtyping import Bool, Float, Int64, UInt8
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file, save_file

from render.errors import HeadFolderError
from render.head import ARRAYS, FORMAT_CARRIED, READS, RECORD

DRIVING = "driving.safetensors"
BESIDE = ("torso.json", "torso.safetensors", "made-from.json")
"""What goes with a head where it is there: its learned torso, and which fit its units are of."""
EFFORT = 3
"""Of JPEG XL: a fifth smaller than 1 at 256², and still encoded in 20 ms; 7 saves as much again
in 110 ms."""
NEEDED = {"identity", "snapshot", "clip", "features", "hearing", "planes", "files"}
"""Of the facts; the rest is for people."""
_PLANES = "planes/"


@dataclass(frozen=True)
class Carried:
    """A stretch of one person, and what steering knows of the person."""

    cameras: Float[np.ndarray, "n 3 4"]
    """Pose in each frame of the stretch."""
    seen: Float[np.ndarray, "m 3 4"]
    """Poses in which the person was recorded."""
    plate: UInt8[np.ndarray, "s s 3"]
    """The scene without the person."""
    files: UInt8[np.ndarray, " bytes"]
    """Pictures of the stretch, one JPEG XL file after the other."""
    ends: Int64[np.ndarray, " n"]
    """Where each ends."""
    facts: dict[str, Any]
    """Whose, from where; JSON-able."""
    planes: Mapping[str, np.ndarray] = field(default_factory=dict)
    """Arrays of the person's hyperplanes and whitening, as a store keeps them."""

    @property
    def size(self) -> int:
        """Side of the pictures."""
        return len(self.plate)

    def beneath(self, row: int) -> tuple[UInt8[np.ndarray, "s s 3"], Bool[np.ndarray, "s s"]]:
        """The recorded frame without the head, and where in it the body is."""
        start = int(self.ends[row - 1]) if row else 0
        picture = imagecodecs.jpegxl_decode(self.files[start : int(self.ends[row])].tobytes())
        return np.ascontiguousarray(picture[..., :3]), picture[..., 3] > 0


def packed(
    pictures: Iterable[tuple[UInt8[np.ndarray, "s s 3"], Bool[np.ndarray, "s s"]]],
) -> tuple[UInt8[np.ndarray, " bytes"], Int64[np.ndarray, " n"]]:
    """Pictures and masks as `Carried.files` and `Carried.ends`; nothing is lost."""
    files = [
        imagecodecs.jpegxl_encode(
            np.dstack([picture, np.where(body, np.uint8(255), np.uint8(0))]),
            lossless=True,
            effort=EFFORT,
            numthreads=1,
        )
        for picture, body in pictures
    ]
    ends = np.cumsum([len(file) for file in files], dtype=np.int64)
    return np.frombuffer(b"".join(files), np.uint8), ends


def write_carried(source: Path, target: Path, carried: Carried) -> None:
    """A copy of a head's folder that carries a stretch; its JSON, written last, makes it valid.

    Raises:
        HeadFolderError: no head in `source`, or half of one.
    """
    record = head_record(source)
    target.mkdir(parents=True)
    for name in (ARRAYS, *BESIDE):
        if (source / name).is_file():
            shutil.copyfile(source / name, target / name)
    if not (target / ARRAYS).is_file():
        raise HeadFolderError(f"{source} has {RECORD} but no {ARRAYS}; copy the whole folder")
    arrays = {
        "cameras": carried.cameras,
        "seen": carried.seen,
        "plate": carried.plate,
        "files": carried.files,
        "ends": carried.ends,
        **{_PLANES + name: array for name, array in carried.planes.items()},
    }
    contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    save_file(contiguous, target / DRIVING, {"identity": str(carried.facts["identity"])})
    hashes = {path.name: _sha256(path) for path in sorted(target.iterdir())}
    whole = record | {
        "format": FORMAT_CARRIED,
        "carried": carried.facts | {"files": hashes},
    }
    (target / RECORD).write_text(json.dumps(whole, indent=1))


def read_carried(folder: Path, identity: str) -> Carried | None:
    """What the head in a folder carries; None where it carries nothing: then a store is needed.

    Raises:
        HeadFolderError: the folder is of somebody else, or half there: files that are missing, or
            are not those that were written.
    """
    record = head_record(folder)
    whose = record.get("facts", {}).get("provenance", {}).get("identity", identity)
    facts = record.get("carried")
    if facts is not None:
        whose = facts.get("identity", identity)
    if whose != identity:
        raise HeadFolderError(
            f"{folder} holds the head of {whose!r}, not of {identity!r}; give the folder its own "
            f"name back and ask for --identity {whose}, or put the head of {identity!r} there"
        )
    if facts is None:
        return None
    if record.get("format") not in READS or not set(facts) >= NEEDED:
        raise HeadFolderError(
            f"{folder} has head format {record.get('format')} and carries {', '.join(facts)}; this "
            f"version reads formats up to {READS[-1]}, with {', '.join(sorted(NEEDED))}; update "
            "emohead (a newer one wrote it), or have the head exported again"
        )
    for name, told in facts["files"].items():
        path = folder / name
        if not path.is_file():
            raise HeadFolderError(
                f"{folder} holds half a head: {name} is missing; copy the whole folder again, or "
                f"have it exported again (emohead export head --identity {identity})"
            )
        if (there := _sha256(path)) != told:
            raise HeadFolderError(
                f"{path} is not the file this head was written with ({_of(path, identity)}sha256 "
                f"{there[:12]}…, {RECORD} says {told[:12]}…); copy the whole folder again, or have "
                f"it exported again (emohead export head --identity {identity})"
            )
    arrays = load_file(folder / DRIVING)
    planes = {
        name.removeprefix(_PLANES): arrays.pop(name)
        for name in [name for name in arrays if name.startswith(_PLANES)]
    }
    return Carried(**arrays, facts=facts, planes=planes)


def head_record(folder: Path) -> dict[str, Any]:
    """The JSON of a head's folder.

    Raises:
        HeadFolderError: there is none that can be read.
    """
    if not (folder / RECORD).is_file():
        raise HeadFolderError(f"{folder} holds no head ({RECORD} is missing); train one first")
    try:
        return json.loads((folder / RECORD).read_text())
    except ValueError as error:
        raise HeadFolderError(
            f"{folder / RECORD} cannot be read ({error}); copy it again, or train again"
        ) from error


def _of(path: Path, identity: str) -> str:
    """Says so where a file is somebody else's."""
    try:
        with safe_open(path, "np") as file:
            whose = (file.metadata() or {}).get("identity", identity)
    except SafetensorError:
        return "cut off or overwritten; "
    return f"it is of {whose!r}; " if whose != identity else ""


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
