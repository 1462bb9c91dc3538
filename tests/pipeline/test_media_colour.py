"""Colours mean what the file says; high dynamic range becomes standard range."""

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from pipeline import media
from pipeline.geometry import Square
from pipeline.media_colour import HLG, PQ, WHITE, table, to_linear, to_sdr
from pipeline.media_video import read_video

RED = (200, 40, 60)


@pytest.mark.parametrize(
    ("code", "meant", "width", "matrix"),
    [
        (1, 1, 256, "bt709"),
        (6, 5, 1280, "smpte170m"),
        (2, 5, 256, "smpte170m"),  # unsaid and small: as old cameras
        (2, 1, 1280, "bt709"),  # unsaid and large: as players do
    ],
)
def test_a_colour_comes_back_through_its_matrix(
    tmp_path: Path, code: int, meant: int, width: int, matrix: str
):
    path = tmp_path / "clip.mp4"
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = width, 128, "yuv444p"
        stream.options = {"crf": "1"}
        stream.codec_context.colorspace = code
        picture = np.zeros((128, width, 3), np.uint8)
        picture[:] = RED
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        frame = frame.reformat(format="yuv444p", dst_colorspace=meant)
        frame.pts, frame.colorspace = 0, code
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    info = media.probe(path)
    assert info.video.matrix == matrix
    seen = read_video(info, 64, lambda *_: Square(0, 0, 128)).frames[0, 32, 32].astype(int)
    assert np.abs(seen - RED).max() <= 2


def test_pq_and_hlg_have_the_light_of_their_standard():
    # BT.2100: PQ 0.5081 is 100 nits, 0.5807 is 203; HLG 0.75 is 203 nits on a 1000-nit screen
    grey = np.array([[0.5081] * 3, [0.5807] * 3])
    assert to_linear(grey, PQ)[:, 0] == pytest.approx([100, 203], rel=0.01)
    assert to_linear(np.array([[0.75] * 3]), HLG)[0, 0] == pytest.approx(203, rel=0.01)
    assert to_linear(np.array([[1.0] * 3]), HLG)[0, 0] == pytest.approx(1000, rel=0.01)


@pytest.mark.parametrize("kind", [PQ, HLG])
def test_tone_mapping_is_monotonic_keeps_greys_grey_and_ends_at_one(kind: str):
    ramp = np.linspace(0, 1, 200)[:, None] * np.ones(3)
    out = to_sdr(ramp, kind)
    assert np.all(np.diff(out[:, 0]) >= 0)
    assert np.ptp(out, axis=1).max() < 2e-3
    assert 0.98 < out[-1, 0] <= 1
    page = np.interp(WHITE, to_linear(ramp, kind)[:, 0], out[:, 0])
    assert 0.85 < page < 0.97


def test_the_table_is_as_good_as_the_formula():
    rows = np.loadtxt(table(PQ), skiprows=1)
    assert rows.shape == (33**3, 3)
    assert np.abs(rows - to_sdr(np.zeros((1, 3)), PQ)).min() < 1e-6
    rng = np.random.default_rng(0)
    # skin, walls, sky: up to 900 nits and of moderate saturation (the rest is clipped to BT.709)
    signal = rng.uniform(0.2, 0.7, (500, 1)) + rng.uniform(-0.03, 0.03, (500, 3))
    cube = rows.reshape(33, 33, 33, 3)  # blue, green, red
    from scipy.interpolate import RegularGridInterpolator

    axis = np.linspace(0, 1, 33)
    between = RegularGridInterpolator((axis, axis, axis), cube)(signal[:, ::-1])
    off = np.abs(between - to_sdr(signal, PQ))
    assert np.median(off) < 0.5 / 255
    assert np.percentile(off, 90) < 4 / 255


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("exoplayer__hdr10-video-with-sdr-container.mp4", "pq"),
        ("exoplayer__dolbyVision-hdr.MOV", "hlg"),
        ("torchcodec__h264_10bits.mp4", ""),
    ],
)
def test_real_hdr_files_are_mapped_and_said(shared_data: Path, name: str, kind: str):
    info = media.probe(shared_data / "bad" / name)
    video = read_video(info, 64, lambda _, size: Square(0, 0, min(size) // 2 * 2))
    assert video.facts["tone_mapped"] == info.video.hdr == kind
    assert 90 < video.frames[0].mean() < 250
