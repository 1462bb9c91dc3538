"""The picture codec: exact where it says so, close where it may be, open to plain zarr."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import zarr
from skimage.data import astronaut
from store_kit import ingest, make_clip
from zarr.storage import MemoryStore

import store


def stored(codec: store.ImageCodec, pictures: np.ndarray) -> np.ndarray:
    array = zarr.create_array(
        MemoryStore(),
        shape=pictures.shape,
        dtype="uint8",
        chunks=(1, *pictures.shape[1:]),
        shards=(4, *pictures.shape[1:]),
        serializer=codec,
        compressors=None,
        fill_value=0,
    )
    array[:] = pictures
    return np.asarray(array[:])


@pytest.fixture(scope="module")
def pictures() -> np.ndarray:
    photo = astronaut()[:256, 100:356]
    return np.stack([photo, photo[::-1], photo[:, ::-1]])


def test_jpegxl_gives_back_every_bit(pictures: np.ndarray) -> None:
    np.testing.assert_array_equal(stored(store.ImageCodec("jpegxl"), pictures), pictures)


@pytest.mark.parametrize(("quality", "least"), [(95, 40), (98, 44)])
def test_jpeg_is_close(pictures: np.ndarray, quality: int, least: float) -> None:
    error = stored(store.ImageCodec(quality=quality), pictures).astype(float) - pictures
    psnr = 10 * np.log10(255**2 / np.mean(error**2))
    assert psnr > least
    assert abs(error.mean()) < 0.5  # no shift of brightness or channel order


def test_the_frames_of_a_shard_are_pictures_of_their_own(pictures: np.ndarray) -> None:
    """Writing one frame leaves the others' bytes alone: JPEG is never encoded twice."""
    array = zarr.create_array(
        MemoryStore(),
        shape=(4, *pictures.shape[1:]),
        dtype="uint8",
        chunks=(1, *pictures.shape[1:]),
        shards=(4, *pictures.shape[1:]),
        serializer=store.ImageCodec(),
        compressors=None,
        fill_value=0,
    )
    array[0:3] = pictures
    before = np.asarray(array[0:3])
    for _ in range(3):
        array[3:4] = pictures[:1]
    np.testing.assert_array_equal(np.asarray(array[0:3]), before)


def test_damaged_bytes_are_named() -> None:
    with pytest.raises(store.CorruptionError, match="4 stored bytes are not a jpeg picture"):
        store.ImageCodec().decode_picture(b"junk")
    with pytest.raises(store.SchemaError, match="quality 0"):
        store.ImageCodec(quality=0)


PLAIN = """
import sys, icechunk, numpy, zarr
storage = icechunk.local_filesystem_storage(sys.argv[1])
session = icechunk.Repository.open(storage).readonly_session("main")
demo = zarr.open_group(session.store, path="demo", mode="r")
row = list(demo["clips/clip_id"][:]).index("b")
first, frames = int(demo["clips/first_frame"][row]), int(demo["clips/frames"][row])
numpy.save(sys.argv[2], demo["frames/audio/logmel"][first : first + frames])
assert demo["frames/video/rgb"][first : first + frames].shape == (frames, 16, 16, 3)
"""


def test_plain_zarr_reads_a_store(cache: store.Cache, tmp_path: Path) -> None:
    """In a process that never imports `store`: zarr finds the codec by its entry point."""
    ingest(cache, {"a": 5, "b": 30})
    out = tmp_path / "out.npy"
    command = [sys.executable, "-W", "error", "-c", PLAIN, cache.location, str(out)]
    subprocess.run(command, check=True, timeout=120)
    np.testing.assert_array_equal(np.load(out), make_clip("b", 30).arrays["audio/logmel"])


def test_an_array_keeps_the_codec_it_was_made_with(cache: store.Cache) -> None:
    """A store of before another default, or one that was asked for a codec, is written on in its
    own; only who names another codec is refused."""
    schema = store.FeatureSchema("video/rgb", (16, 16, 3), "uint8", 0, codec="image")
    old = replace(schema, image_quality=95)
    assert schema.settled().image_quality == 98
    for asked, clip in ((old, "a"), (schema, "b")):
        with cache.write("demo", {"video/rgb": asked}, "x") as session:
            session.allocate([store.ClipRow(clip, clip, 5, {"video/rgb": "f"})])
            session.write_clip(make_clip(clip, 5, 0, ["video/rgb"]))
        assert cache.snapshot().features("demo")["video/rgb"].image_quality == 95
    lossless = replace(schema, image_format="jpegxl")
    with (
        pytest.raises(store.SchemaError, match=r"jpeg quality 95.*jpegxl"),
        cache.write("demo", {"video/rgb": lossless}, "x"),
    ):
        pass
    with cache.write("demo", {"video/rgb": lossless}, "x", replace=["video/rgb"]) as session:
        session.allocate([store.ClipRow("a", "a", 5, {"video/rgb": "g"})])
        session.write_clip(make_clip("a", 5, 0, ["video/rgb"]))
    there = cache.snapshot().read("demo", "video/rgb", "a")
    np.testing.assert_array_equal(there, make_clip("a", 5).arrays["video/rgb"])
