"""A synthetic video says so: to people, to programs, and so that a change is noticed."""

from pathlib import Path

import av
import numpy as np
import pytest

from render.codings import coding_of
from render.errors import CredentialsError, VideoError
from render.marks import VisibleMark
from render.segments import Segments
from render.video import VideoWriter
from render.xmp import SOURCE_TYPE, add_xmp, boxes, read_xmp, tags, xmp_packet

MADE = {"head": "sha256:ab", "snapshot": 'X<&"1'}


@pytest.fixture
def video(tmp_path: Path) -> Path:
    with VideoWriter(tmp_path / "v.mp4", 32) as writer:
        for i in range(5):
            writer.write(np.full((32, 32, 3), 40 * i, np.uint8))
    return tmp_path / "v.mp4"


@pytest.mark.parametrize("size", [64, 128, 512])
def test_the_label_is_small_legible_and_in_the_corner(size: int) -> None:
    mark = VisibleMark.of(size)
    for ground in (0, 128, 255):
        frame = np.full((size, size, 3), ground, np.uint8)
        mark.draw(frame)
        changed = (frame != ground).any(2)
        rows, columns = np.flatnonzero(changed.any(1)), np.flatnonzero(changed.any(0))
        assert rows[0] >= 0.75 * size
        assert columns[-1] < size
        assert len(rows) >= 8  # letters of at least nine pixels with their ground
        assert changed.mean() < 0.2
        part = frame[mark.top :, mark.left :]
        assert int(part.max()) - int(np.median(part)) > 90  # white letters stand out on any ground


def test_the_label_can_be_seen_on_nothing() -> None:
    frame = np.zeros((64, 64, 4), np.uint8)
    mark = VisibleMark.of(64)
    mark.draw(frame)
    part = frame[mark.top : mark.top + mark.opacity.shape[0], mark.left :]
    letters = part[..., 3] > 220  # the ground alone has 140
    assert letters.sum() > 40
    assert part[letters][:, 0].min() > 150
    assert frame[: mark.top].max() == 0


def test_xmp_is_read_back_by_ffmpeg(video: Path) -> None:
    assert add_xmp(video, xmp_packet("emohead 1", MADE))
    assert boxes(video)[-1][0] == b"uuid"
    with av.open(str(video), options={"export_xmp": "1"}) as file:
        told = file.metadata["xmp"]
        assert sum(1 for _ in file.decode(video=0)) == 5
    assert f"<Iptc4xmpExt:DigitalSourceType>{SOURCE_TYPE}<" in told
    assert "<xmp:CreatorTool>emohead 1<" in told
    assert '<emohead:snapshot>X&lt;&amp;"1<' in told
    assert (read_xmp(video) or b"").decode() == told


def test_a_damaged_file_gets_no_xmp(video: Path) -> None:
    assert read_xmp(video) is None
    video.write_bytes(video.read_bytes()[:-10])
    with pytest.raises(VideoError, match=r"claims .* bytes; the file is damaged"):
        add_xmp(video, b"x")


def test_webm_says_it_in_its_tags(tmp_path: Path) -> None:
    with Segments(tmp_path / "p", 32, coding_of(Path("x.webm")), 1) as segments:
        segments.write(np.zeros((32, 32, 3), np.uint8))
    segments.join(tmp_path / "v.webm", None, tags("emohead 1", MADE))
    assert not add_xmp(tmp_path / "v.webm", b"x")
    with av.open(str(tmp_path / "v.webm")) as file:
        told = {name.lower(): value for name, value in file.metadata.items()}
    assert told["digital_source_type"] == SOURCE_TYPE
    assert '"head": "sha256:ab"' in told["provenance"]
    assert told["comment"].startswith("Synthetic media")


@pytest.fixture
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EMOHEAD_C2PA_FOLDER", str(tmp_path / "credentials"))
    for name in ("EMOHEAD_C2PA_CERTIFICATE", "EMOHEAD_C2PA_KEY"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "credentials"


def test_content_credentials_hold_until_a_byte_changes(video: Path, own_folder: Path) -> None:
    pytest.importorskip("c2pa", reason="c2pa-python (extra c2pa) is not installed")
    from render.content_credentials import read_manifest, sign, why_not

    add_xmp(video, xmp_packet("emohead 1", MADE))
    out = video.with_name("signed.mp4")
    assert why_not(video) is None
    assert "made on this machine" in sign(video, out, "v.mp4", ("emohead", "1"), MADE)
    manifest = read_manifest(out)
    assert manifest["validation_state"] == "Valid"
    assert manifest["title"] == "v.mp4"
    made = {a["label"]: a["data"] for a in manifest["assertions"]}
    assert made["org.emohead.provenance"] == MADE
    assert made["c2pa.actions.v2"]["actions"][0]["digitalSourceType"] == SOURCE_TYPE
    assert read_xmp(out) is not None
    assert (own_folder / "key.pem").stat().st_mode & 0o777 == 0o600
    first = (own_folder / "certificate.pem").read_bytes()
    sign(video, out, "v.mp4", ("emohead", "1"), MADE)
    assert (own_folder / "certificate.pem").read_bytes() == first  # made once

    with av.open(str(out)) as file:
        assert sum(1 for _ in file.decode(video=0)) == 5
    body = bytearray(out.read_bytes())
    (_, start, size) = next(box for box in boxes(out) if box[0] == b"mdat")
    body[start + size // 2] ^= 1
    out.write_bytes(body)
    assert read_manifest(out)["validation_state"] == "Invalid"


def test_credentials_that_cannot_be_used_are_named(
    own_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from render.content_credentials import credentials, why_not

    monkeypatch.setenv("EMOHEAD_C2PA_CERTIFICATE", "/nowhere/c.pem")
    with pytest.raises(CredentialsError, match="EMOHEAD_C2PA_KEY is not set; set both"):
        credentials()
    monkeypatch.setenv("EMOHEAD_C2PA_KEY", "/nowhere/k.pem")
    with pytest.raises(CredentialsError, match=r"/nowhere/c\.pem cannot be read"):
        credentials()
    assert not own_folder.exists()
    assert why_not(Path("a.webm")) == "C2PA has no place in .webm files"
