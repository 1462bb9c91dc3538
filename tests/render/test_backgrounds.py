"""What lies behind: taken as it is where it fits, refused with both values where it does not."""

from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from render.backgrounds import fitted, open_background
from render.errors import BackgroundError
from render.video import VideoWriter


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten frames of 32 px; brightness tells the number."""
    path = tmp_path_factory.mktemp("background") / "ten.mp4"
    with VideoWriter(path, 32) as writer:
        for i in range(10):
            writer.write(np.full((32, 32, 3), 20 * i + 10, np.uint8))
    return path


def picture(path: Path, width: int, height: int, mode: str = "RGB") -> Path:
    ramp = np.tile(np.arange(width, dtype=np.uint8)[None, :, None], (height, 1, len(mode)))
    Image.fromarray(ramp).save(path)  # three values a pixel are RGB, four RGBA
    return path


def numbers(told: Path, start: int, count: int, **more: str) -> list[int]:
    background = open_background(str(told), 32, 1, **more)  # type: ignore[arg-type]
    frames = islice(background.frames(start), count)
    return [round((float(frame.mean()) - 10) / 20) for frame in frames]


@pytest.mark.parametrize(
    ("told", "colour"),
    [("#20a060", (32, 160, 96)), ("white", (255,) * 3), ("rgb(1,2,3)", (1, 2, 3))],
)
def test_a_colour(told: str, colour: tuple[int, int, int]) -> None:
    frame = next(open_background(told, 16, 100).frames(7))
    assert frame.shape == (16, 16, 3)
    assert (frame == colour).all()


def test_what_is_neither_file_nor_colour() -> None:
    with pytest.raises(BackgroundError, match="'beige-ish': no file of that name, and no colour"):
        open_background("beige-ish", 16, 1)
    with pytest.raises(BackgroundError, match="opacity 128 of 255"):
        open_background("#20a06080", 16, 1)


def test_a_picture_of_another_aspect_is_refused_or_cut_evenly(tmp_path: Path) -> None:
    wide = picture(tmp_path / "wide.png", 100, 40)
    with pytest.raises(BackgroundError, match=r"100x40 px is not square, .* 32x32.*cover"):
        open_background(str(wide), 32, 1)
    frame = next(open_background(str(wide), 40, 1, "cover").frames(0))
    np.testing.assert_array_equal(frame[0, :, 0], np.arange(30, 70))  # the middle, not scaled


def test_a_picture_too_small_is_refused_or_enlarged(tmp_path: Path) -> None:
    small = picture(tmp_path / "small.png", 20, 20)
    with pytest.raises(BackgroundError, match=r"20x20 px, the video is 32x32.*--size"):
        open_background(str(small), 32, 1)
    assert next(open_background(str(small), 32, 1, "cover").frames(0)).shape == (32, 32, 3)
    large = picture(tmp_path / "large.png", 64, 64)
    assert next(open_background(str(large), 32, 1).frames(0)).shape == (32, 32, 3)


def test_a_transparent_picture_and_one_that_is_none(tmp_path: Path) -> None:
    clear = picture(tmp_path / "clear.png", 32, 32, "RGBA")
    with pytest.raises(BackgroundError, match="transparent in places"):
        open_background(str(clear), 32, 1)
    (tmp_path / "broken.png").write_bytes(b"\x89PNG but no more")
    with pytest.raises(BackgroundError, match=r"broken\.png: cannot be read as a picture"):
        open_background(str(tmp_path / "broken.png"), 32, 1)


def test_a_video_is_walked_through_from_any_frame(video: Path) -> None:
    assert numbers(video, 0, 10) == list(range(10))
    assert numbers(video, 4, 3) == [4, 5, 6]


def test_a_video_that_ends_early_is_refused_or_goes_on(video: Path) -> None:
    with pytest.raises(BackgroundError, match=r"0\.40 s, the speech lasts 0\.60 s.*loop or hold"):
        open_background(str(video), 32, 15)
    assert numbers(video, 8, 4, end="loop") == [8, 9, 0, 1]
    assert numbers(video, 23, 3, end="loop") == [3, 4, 5]
    assert numbers(video, 8, 4, end="hold") == [8, 9, 9, 9]
    assert numbers(video, 23, 2, end="hold") == [9, 9]


def test_a_video_too_small(video: Path) -> None:
    with pytest.raises(BackgroundError, match=r"ten\.mp4: 32x32 px, the video is 64x64"):
        open_background(str(video), 64, 5)


def test_fitted_takes_the_middle() -> None:
    tall = np.zeros((9, 3, 3), np.uint8)
    tall[3:6] = 7
    assert (fitted(tall, 3) == 7).all()
