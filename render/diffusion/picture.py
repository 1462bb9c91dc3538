"""The identity picture: read, checked for exactly one face, cut as the frames of clips are."""

from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps, UnidentifiedImageError

from pipeline.errors import RejectedClip
from pipeline.face import models
from pipeline.face.crop import CropConfig, CropFinder
from render.errors import PictureError

_SEARCH_SIDE = 640
"""Longest side of the picture faces are searched in, pixels; clips' frames are, too."""


def identity_picture(
    path: Path, size: int, crop: CropConfig | None = None
) -> UInt8[np.ndarray, "size size 3"]:
    """The face of a picture file, upright, cut and scaled.

    Raises:
        PictureError: no picture, no face, several, or one too small; says what to do.
    """
    try:
        with Image.open(path) as image:
            pixels = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise PictureError(
            f"{path} cannot be read as a picture ({error}); give a JPEG, PNG or WebP file"
        ) from error
    return cut_face(pixels, size, path.name, crop)


def cut_face(
    pixels: UInt8[np.ndarray, "height width 3"],
    size: int,
    name: str = "the picture",
    crop: CropConfig | None = None,
) -> UInt8[np.ndarray, "size size 3"]:
    """The one face of a picture, as `identity_picture`.

    Raises:
        PictureError: no face, several, or one too small.
    """
    height, width = pixels.shape[:2]
    shrunk = min(1.0, _SEARCH_SIDE / max(height, width))
    small = cv2.resize(
        pixels, (round(width * shrunk), round(height * shrunk)), interpolation=cv2.INTER_AREA
    )
    faces = count_faces(small)
    if faces != 1:
        what = "no face was found" if faces == 0 else f"{faces} faces were found"
        cure = (
            "give one in which a single face is seen from the front, well lit, at least a tenth "
            "of the picture wide"
            if faces == 0
            else "cut out the one that is meant"
        )
        raise PictureError(f"{name} ({width}x{height}): {what}; {cure}")
    config = crop or CropConfig(smallest=min(CropConfig.smallest, size // 2))
    try:
        square = CropFinder(config)([small], (width, height))
    except RejectedClip as error:
        raise PictureError(
            f"{name} ({width}x{height}): {error}; give a larger picture of the face"
        ) from error
    if square.side < 2:
        raise PictureError(f"{name} ({width}x{height}): too small to cut a face out of it")
    cut = pixels[square.y : square.y + square.side, square.x : square.x + square.side]
    way = cv2.INTER_AREA if square.side >= size else cv2.INTER_CUBIC
    return np.ascontiguousarray(cv2.resize(cut, (size, size), interpolation=way))


def count_faces(pixels: UInt8[np.ndarray, "height width 3"]) -> int:
    """Faces that either of the two detectors (near, far) finds: the larger count."""
    counts = []
    for full_range in (False, True):
        with models.using(models.face_detection(full_range)) as detector:
            counts.append(len(detector.process(np.ascontiguousarray(pixels)).detections or []))
    return max(counts)
