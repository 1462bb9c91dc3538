import time
from typing import Any

import httpx
import pytest

from flows import orchestra, progress


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (75.2, "1:15"), (59.6, "1:00"), (3661, "1:01:01")]
)
def test_clock_text(seconds: float, text: str) -> None:
    assert progress.clock_text(seconds) == text


def test_eta_follows_the_mean_rate() -> None:
    under_way = progress.Step("x", total=10, started=time.monotonic() - 6.0)
    assert under_way.eta() is None
    under_way.done = 3
    eta = under_way.eta()
    assert eta is not None
    assert eta == pytest.approx(6.0 * 7 / 3, rel=0.05)


def test_steps_are_recorded_in_order_even_when_one_fails(
    capsys: pytest.CaptureFixture[str],
) -> None:
    progress.forget_steps()
    with progress.step("first", total=2, unit="clips") as bar:
        bar.advance(2, note="b.mp4")
    with pytest.raises(ValueError, match="stop"), progress.step("second"):
        raise ValueError("stop")
    assert [name for name, _ in progress.finished_steps()] == ["first", "second"]
    shown = capsys.readouterr().err
    assert "2/2 clips" in shown
    assert "b.mp4" in shown


def test_progress_is_noted_now_and_then_and_a_server_that_goes_away_costs_no_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    noted: list[tuple[float, str]] = []

    def update(_: Any, done: float, description: str) -> None:
        noted.append((done, description))

    def away(*_: Any, **__: Any) -> None:
        raise httpx.ConnectError("nobody there")

    bar = progress.Step("preprocess clips", total=8, unit="clips")
    with orchestra.progress_noted("progress", bar):  # no flow run: nobody to tell
        assert bar.watchers == []
    monkeypatch.setattr(orchestra, "recorded", lambda: True)
    monkeypatch.setattr(orchestra, "create_progress_artifact", lambda *_, **__: "artifact")
    monkeypatch.setattr(orchestra, "update_progress_artifact", update)
    with orchestra.progress_noted("progress", bar):
        bar.advance()
        assert noted == []  # every few seconds
        monkeypatch.setattr(orchestra, "PROGRESS_EVERY", 0.0)
        bar.advance()
        ((done, words),) = noted
        assert done == 25.0
        assert words.startswith("preprocess clips: 2 of 8 clips, ")
        monkeypatch.setattr(orchestra, "update_progress_artifact", away)
        bar.advance()
        bar.advance()
        assert (bar.done, bar.watchers) == (4, [])
    with orchestra.progress_noted("progress", bar):
        monkeypatch.setattr(orchestra, "update_progress_artifact", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):  # a bug is no server that went away
            bar.advance()
    assert bar.watchers == []
