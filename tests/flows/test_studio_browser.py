"""The studio in a real browser: seen, heard of, moved and dragged as a user does."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from studio_kit import contents, running_studio

pytest.importorskip("nicegui", reason="the extra `studio` is not installed")
driver = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed here"),
    pytest.mark.slow,  # two minutes; what needs no browser is in test_studio.py
]


@dataclass
class Seen:
    page: Any
    address: str
    store: Path
    out: Path
    before: dict[str, str]
    asked: list[str] = field(default_factory=list)
    """Addresses the browser asked for."""
    wrong: list[str] = field(default_factory=list)
    """What the browser complained of."""

    def go(self, path: str) -> None:
        self.page.goto(self.address + path)


@pytest.fixture(scope="module")
def seen(looked_at: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    out = tmp_path_factory.mktemp("browser") / "out"
    for stub in ("network/best.json", "heads/iris/head.json"):  # there, but of no use
        (out / stub).parent.mkdir(parents=True)
        (out / stub).write_text('{"format": -1}')
    before = contents(looked_at)
    with (
        running_studio("--out", out, "--store", looked_at) as address,
        driver.sync_playwright() as w,
    ):
        browser = w.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 900}, color_scheme="light")
        page.set_default_timeout(15_000)
        seen = Seen(page, address, looked_at, out, before)
        page.on("request", lambda request: seen.asked.append(request.url))
        page.on("pageerror", lambda error: seen.wrong.append(str(error)))
        yield seen
        browser.close()


def test_clips_are_filtered_and_one_is_opened(seen: Seen):
    seen.go("/")
    seen.page.wait_for_selector(".card img")
    assert seen.page.locator(".card").count() == 5
    seen.page.get_by_label("Name contains").fill("sad")
    seen.page.wait_for_function("document.querySelectorAll('.card').length === 2")
    seen.page.wait_for_function("location.search.includes('text=sad')")
    seen.page.get_by_label("Name contains").fill("zzz")
    seen.page.get_by_text("No clip fits").wait_for()
    seen.page.get_by_label("Name contains").fill("iris_happy_s1")
    seen.page.wait_for_function("document.querySelectorAll('.card').length === 1")
    seen.page.locator(".card").focus()
    seen.page.keyboard.press("Enter")
    seen.page.wait_for_selector("#player[data-ready=yes]")


def test_a_film_plays_with_landmarks_and_masks_in_step(seen: Seen):
    seen.go("/?text=iris_happy_s1")
    seen.page.locator(".card").first.click()
    seen.page.wait_for_selector("#player[data-ready=yes]")
    box = seen.page.locator("#player")
    assert box.get_attribute("data-drawn") == "478"
    assert box.get_attribute("data-frame") == "0"
    for _ in range(3):
        seen.page.keyboard.press("ArrowRight")
    assert box.get_attribute("data-frame") == "3"
    seen.page.wait_for_function("document.querySelector('video').currentTime > 0.12")
    painted = (
        "(() => { const c = document.querySelector('[data-is=over]');"
        "const p = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;"
        "let n = 0; for (let i = 3; i < p.length; i += 4) n += p[i] > 0; return n; })()"
    )
    dots = seen.page.evaluate(painted)
    seen.page.keyboard.press("m")
    assert seen.page.evaluate(painted) > 5 * dots > 0
    seen.page.keyboard.press("m")
    seen.page.keyboard.press("l")
    assert seen.page.evaluate(painted) == 0
    seen.page.keyboard.press("Space")
    seen.page.wait_for_function("document.querySelector('#player').dataset.frame > 12")


def test_a_slider_moves_the_face_by_the_keyboard(seen: Seen):
    seen.go("/emotions?identity=iris")
    seen.page.wait_for_selector("#face[data-moved]")
    margin = seen.page.locator(".meter + .value").first  # of happy
    before = float(margin.inner_text())
    picture = seen.page.locator("#face").evaluate("c => c.toDataURL()")
    slider = seen.page.get_by_role("slider", name="Step towards happy")
    slider.focus()
    for _ in range(10):  # as fast as a key that is held down, and faster
        seen.page.keyboard.press("ArrowRight")
    seen.page.wait_for_function(
        f"Math.abs(+document.querySelector('.meter + .value').textContent - {before} - 1) < 0.02"
    )
    assert slider.input_value() == "1"
    assert seen.page.locator("#face").evaluate("c => c.toDataURL()") != picture
    seen.page.get_by_role("button", name="Rest").click()
    seen.page.wait_for_function(
        f"Math.abs(+document.querySelector('.meter + .value').textContent - {before}) < 0.02"
    )
    assert slider.input_value() == "0"
    slider.focus()
    seen.page.keyboard.press("End")
    seen.page.get_by_text("+6.0").wait_for()
    seen.page.keyboard.press("Tab")
    assert seen.page.evaluate("document.activeElement.ariaLabel") == "Step towards sad"


def test_a_head_of_no_use_says_so(seen: Seen):
    seen.go("/emotions?identity=iris")
    seen.page.get_by_text("head format -1").wait_for()


def test_segments_are_added_dragged_and_moved_by_keys(seen: Seen):
    seen.go("/timeline")
    seen.page.wait_for_selector("#lane[data-segments]")
    line = seen.page.locator("[data-is=line]")
    assert "as the voice has it" in line.inner_text()
    seen.page.get_by_role("button", name="Add a segment").click()
    seen.page.wait_for_selector(".seg")
    assert line.inner_text() == "--emotion happy@0-1"
    at = seen.page.locator(".seg").bounding_box()
    assert at is not None
    seen.page.mouse.move(at["x"] + at["width"] / 2, at["y"] + 30)
    seen.page.mouse.down()
    seen.page.mouse.move(at["x"] + at["width"] / 2 + 120, at["y"] + 30, steps=4)
    seen.page.mouse.up()
    seen.page.wait_for_function(
        "!document.querySelector('[data-is=line]').textContent.includes('happy@0-1')"
    )
    start, end = map(float, line.inner_text().split("@")[1].split("-"))
    assert start > 0
    assert end - start == pytest.approx(1.0, abs=0.021)
    seen.page.locator(".seg").focus()
    seen.page.keyboard.press("Shift+ArrowLeft")
    shorter = f"{end - 0.04:g}"
    seen.page.wait_for_function(
        f"document.querySelector('[data-is=line]').textContent.endsWith('-{shorter}')"
    )
    seen.page.get_by_role("spinbutton", name="Intensity").fill("0.5")
    seen.page.wait_for_function(
        "document.querySelector('[data-is=line]').textContent.endsWith(':0.5')"
    )
    seen.page.locator(".seg").focus()
    seen.page.keyboard.press("Delete")
    seen.page.wait_for_function("document.querySelector('#lane').dataset.segments === '0'")


def test_a_preview_that_cannot_be_made_says_why(seen: Seen):
    seen.go("/timeline")
    seen.page.wait_for_selector("#lane[data-segments]")
    seen.page.get_by_role("button", name="Quick preview").click()
    alert = seen.page.get_by_role("alert")
    alert.wait_for(timeout=60_000)
    assert "Traceback" not in alert.inner_text()


def test_light_becomes_dark_and_stays(seen: Seen):
    seen.go("/")
    ground = "getComputedStyle(document.body).backgroundColor"
    light = seen.page.evaluate(ground)
    seen.page.get_by_role("button", name="Light / dark").click()
    seen.page.wait_for_selector("body.body--dark")
    seen.go("/timeline")
    seen.page.wait_for_selector("body.body--dark")
    assert seen.page.evaluate(ground) != light


def test_nothing_was_asked_of_another_host_and_nothing_changed(seen: Seen):
    """Last: over everything this module did."""
    kinds = (seen.address, "data:", "blob:", seen.address.replace("http", "ws"))
    assert [url for url in seen.asked if not url.startswith(kinds)] == []
    assert len(seen.asked) > 20
    assert seen.wrong == []
    assert contents(seen.store) == seen.before
    assert sorted(contents(seen.out)) == ["heads/iris/head.json", "network/best.json"]
