from pathlib import Path

import numpy as np

from flows.report import Page, Section, Table, write_page
from flows.report.figures import curves, grid_of, histograms, picture, timeline


def test_a_page_is_one_file_with_pictures_inside(tmp_path: Path) -> None:
    image = np.zeros((8, 8, 3), np.uint8)
    figures = [
        picture(image, "a <b> & c"),
        curves({"loss": ([0, 1], [2.0, 1.0])}, "falls", x="step", y="loss"),
        histograms({"happy": np.array([0.1, 0.2]), "sad": np.array([0.3])}, None, "MAR", x="MAR"),
        timeline({"mouth": {"open": np.linspace(0, 1, 50)}}, [("hello", 0.2, 0.6)], "words"),
    ]
    table = Table(("step", "seconds"), (("render", 1.234), ("all", 250.0)), "how long")
    page = Page(
        "Demo",
        "lead",
        [("28.1 dB", "PSNR")],
        Path("video.mp4"),
        [Section("One", "t", figures, [table])],
    )
    text = write_page(page, tmp_path / "report.html").read_text()
    assert text.count("data:image/") == 4
    assert "a &lt;b&gt; &amp; c" in text
    assert 'src="video.mp4"' in text
    assert "1.23" in text
    assert "http" not in text.replace("http-equiv", "")


def test_pictures_stand_in_rows_and_short_rows_are_filled() -> None:
    black = np.zeros((4, 6, 3), np.uint8)
    sheet = grid_of([[black, black], [black]], gap=2)
    assert sheet.shape == (10, 14, 3)
    assert sheet[:4, :6].max() == 0
    assert (sheet[6:, 8:] == 250).all()
