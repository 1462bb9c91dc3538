import time

import pytest

from flows import progress


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
