"""The preference page in a real browser: two videos on one clock, marks given by hand."""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flows.evaluation.places import generated_in
from flows.preferences.table import result
from flows.preferences.votes import Votes
from render.video import VideoWriter

driver = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed here")


def write_video(path: Path, colour: tuple[int, int, int]) -> None:
    t = np.arange(50 * 640)
    with VideoWriter(path, 64, (2000 * np.sin(t / 9)).astype(np.int16)) as video:
        for i in range(50):
            video.write(np.full((64, 64, 3), colour, np.uint8) + np.uint8(i))


def until(page: Any, expression: str) -> None:
    """Poll from outside: the page's own policy forbids the `eval` that playwright waits with."""
    deadline = time.monotonic() + 30
    while not page.evaluate(expression):
        assert time.monotonic() < deadline, expression
        page.wait_for_timeout(30)


@dataclass
class Seen:
    page: Any
    address: str
    votes: Path
    asked: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    root = tmp_path_factory.mktemp("preferences")
    # Two evaluations as `emohead evaluate` writes them; the other tests serve folders of files.
    asked = {"one": "happy", "two": "sad"}
    for system, colour in (("emohead", (150, 20, 20)), ("moee", (20, 20, 150))):
        folder = root / f"run-{system}"
        for clip in asked:
            write_video(generated_in(folder, clip), colour)
        rows = [{"clip": clip, "emotion": emotion} for clip, emotion in asked.items()]
        told = {"system": system, "cells": {c: {} for c in asked}, "tables": {"clips": rows}}
        (folder / "evaluation.json").write_text(json.dumps(told))
    call = ("preferences", "serve", "run-emohead", "run-moee", "--out", "votes", "--port", "0")
    server = subprocess.Popen(
        [sys.executable, "-m", "flows.cli", *call], cwd=root, stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None
        address = server.stdout.readline().split()[-1]
        with driver.sync_playwright() as w:
            browser = w.chromium.launch(
                executable_path=CHROMIUM,
                args=["--no-sandbox", "--autoplay-policy=no-user-gesture-required"],
            )
            page = browser.new_page(viewport={"width": 1280, "height": 900}, color_scheme="light")
            page.set_default_timeout(30_000)
            seen = Seen(page, address, root / "votes")
            page.on("request", lambda request: seen.asked.append(request.url))
            page.on("pageerror", lambda error: seen.wrong.append(str(error)))
            page.on(
                "console",
                lambda line: seen.wrong.append(line.text) if line.type == "error" else None,
            )
            yield seen
            browser.close()
    finally:
        server.terminate()
        server.wait(20)


def test_a_rater_looks_listens_and_marks(seen: Seen) -> None:
    page = seen.page
    page.goto(seen.address)
    page.get_by_label("Your name or a code").fill("rater 1")
    page.get_by_role("button", name="Begin").click()
    until(page, "[...document.querySelectorAll('video')].every(v => v.readyState >= 3)")
    assert page.get_by_text("Both should look").inner_text().split()[-1] in ("happy", "sad")
    save = page.locator("#save")
    assert save.is_disabled()
    page.get_by_role("button", name="Play both").click()
    until(page, "document.getElementById('v0').currentTime > 0.6")
    apart = "Math.abs(v0.currentTime - v1.currentTime)"  # elements with an id are globals
    assert page.evaluate(apart) < 0.12
    assert page.evaluate("[...document.querySelectorAll('video')].map(v => v.muted)") == [
        False,
        True,
    ]
    page.locator("[data-ear='1']").click()
    assert page.evaluate("[...document.querySelectorAll('video')].map(v => v.muted)") == [
        True,
        False,
    ]
    page.get_by_role("button", name="Pause").click()
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("Space")
    page.get_by_role("button", name="Pause").wait_for()
    until(page, "document.getElementById('play').textContent === 'Play both'")  # ended
    for aspect in ("fidelity", "coherence", "empathy"):
        page.locator(f"label[for='l_{aspect}_4']").click()
        page.locator(f"label[for='r_{aspect}_2']").click()
    assert save.is_enabled()
    save.click()
    page.wait_for_url("**/0/1") if "/0/0" in page.url else page.wait_for_load_state()
    for aspect in ("fidelity", "coherence", "empathy"):
        for side in "lr":
            # By keyboard: focus a group, move along it with the arrows.
            page.locator(f"#{side}_{aspect}_0").focus()
            page.keyboard.press("ArrowRight")
    page.locator("#save").click()
    page.get_by_text("Thank you, rater 1.").wait_for()
    told = result(seen.votes)
    assert (told["names"], told["votes"]) == (["emohead", "moee"], 2)
    assert told["aspects"]["fidelity"]["left_bias"]["mean"] == pytest.approx(1)  # (2 + 0) / 2


def test_marks_are_there_again_and_can_be_changed(seen: Seen) -> None:
    page = seen.page
    page.get_by_text("look at your marks again").click()
    page.get_by_role("button", name="Change the marks").wait_for()
    assert page.locator("input:checked").count() == 6
    page.locator("label[for='l_empathy_5']").click()
    page.locator("#save").click()
    page.get_by_text("Thank you").wait_for()
    votes = Votes(seen.votes).latest().values()
    assert sum(5 in (*v.a.values(), *v.b.values()) for v in votes) == 1


def test_nothing_is_asked_from_elsewhere_and_nothing_complains(seen: Seen) -> None:
    assert seen.asked
    assert all(url.startswith(seen.address) for url in seen.asked), seen.asked
    assert not any(name in url for url in seen.asked for name in ("run-", "moee", "mp4"))
    assert not seen.wrong
