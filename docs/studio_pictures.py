"""Pictures for docs/studio.md: the studio on a finished output of the sample clips, in Chromium.

    python docs/studio_pictures.py demo-output [--chromium /usr/bin/chromium]

Use the sample clips only: a picture of the studio shows the people of its store.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image
from playwright.sync_api import Error, Page, Playwright, ViewportSize, sync_playwright

from flows.inspection.show import record_clip, viewer

PICTURES = Path(__file__).parent / "pictures"
SOFTWARE = [
    *("--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader"),
    *("--enable-unsafe-swiftshader", "--ignore-gpu-blocklist"),
]
"""WebGL without a graphics card."""
SIZE = ViewportSize(width=1320, height=860)


def keep(page: Page, name: str, folder: Path) -> None:
    """A screenshot with few enough colours to stay below 200 kB."""
    path = folder / f"{name}.png"
    page.screenshot(path=path)
    for colours in (256, 128, 64):
        with Image.open(path) as picture:
            small = picture.convert("RGB").quantize(colours, dither=Image.Dither.NONE)
        small.save(path, optimize=True)
        if path.stat().st_size < 200_000:
            break
    print(f"{path}: {path.stat().st_size // 1000} kB")


def clips(page: Page, address: str, folder: Path) -> None:
    """The list, and one clip."""
    page.goto(address)
    page.wait_for_selector(".card img")
    page.wait_for_timeout(1200)
    keep(page, "studio-clips", folder)
    page.goto(page.locator("a.card[title^=iris_happy]").first.evaluate("a => a.href"))
    page.wait_for_selector("#player[data-ready=yes]")
    page.get_by_label("Masks", exact=True).check()
    for _ in range(2):
        page.keyboard.press("Shift+ArrowRight")
    page.evaluate("window.scrollTo(0, 0)")
    page.wait_for_timeout(700)
    keep(page, "studio-clip", folder)


def emotions(page: Page, address: str, folder: Path) -> None:
    """Sliders."""
    page.goto(f"{address}/emotions?identity=iris")
    page.wait_for_selector("#face[data-moved]")
    page.get_by_role("button", name="happy").click()
    page.mouse.move(5, 5)
    page.wait_for_selector("#head[src]")
    page.wait_for_timeout(2500)
    keep(page, "studio-emotions", folder)


def timeline(page: Page, address: str, folder: Path) -> None:
    """Segments and a preview."""
    page.goto(f"{address}/timeline?identity=iris")
    page.wait_for_selector("#lane[data-segments]")
    for _ in range(2):
        page.get_by_role("button", name="Add a segment").click()
        page.wait_for_timeout(500)
    page.get_by_role("button", name="Quick preview").click()
    page.wait_for_selector("#result", timeout=90_000)
    page.evaluate("document.querySelector('#result').currentTime = 1.2")
    page.evaluate("document.querySelector('#result').controls = false")  # they cover the mark
    bottom = page.locator("#result").evaluate("v => v.getBoundingClientRect().bottom + scrollY")
    page.set_viewport_size(ViewportSize(width=SIZE["width"], height=int(bottom) + 80))
    page.evaluate("window.scrollTo(0, 0)")
    page.wait_for_timeout(1500)
    keep(page, "studio-timeline", folder)
    page.set_viewport_size(SIZE)


def dark(page: Page, address: str, folder: Path) -> None:
    """The other mood."""
    page.goto(address)
    page.wait_for_selector(".card img")
    page.get_by_role("button", name="Light / dark").click()
    page.wait_for_selector("body.body--dark")
    page.wait_for_timeout(600)
    page.goto(f"{address}/emotions?identity=iris")
    page.wait_for_selector("#head[src]")
    page.get_by_role("button", name="angry").click()
    page.mouse.move(5, 5)
    page.wait_for_timeout(2500)
    keep(page, "studio-dark", folder)


def recording(driver: Playwright, asked: argparse.Namespace) -> None:
    """A clip in Rerun's own viewer, drawn without a graphics card."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.rrd"
        record_clip(str(asked.out / "store"), "iris_happy_s1", path)
        ports = ["--web-viewer-port", "9191", "--port", "9192"]
        with viewer(["--serve-web", *ports, str(path)]):
            time.sleep(4)
            browser = driver.chromium.launch(executable_path=asked.chromium, args=SOFTWARE)
            page = browser.new_page(viewport={"width": 1600, "height": 1000})
            source = "rerun%2Bhttp://127.0.0.1:9192/proxy"
            page.goto(f"http://127.0.0.1:9191/?url={source}&renderer=webgl")
            page.wait_for_timeout(asked.patience * 1000)
            keep(page, "inspect", asked.pictures)
            browser.close()


def main() -> None:
    """Start the studio, take the pictures, end it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    parser.add_argument("--pictures", type=Path, default=PICTURES)
    parser.add_argument("--patience", type=int, default=40, help="Seconds Rerun may take to draw.")
    parser.add_argument("--only", nargs="*", help="clips, emotions, timeline, dark, recording.")
    asked = parser.parse_args()
    command = [sys.executable, "-m", "flows.cli", "studio", "--out", str(asked.out)]
    command += ["--port", "0", "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as studio:
        try:
            assert studio.stdout is not None
            address = studio.stdout.readline().removeprefix("studio: ").strip()
            with sync_playwright() as driver:
                browser = driver.chromium.launch(
                    executable_path=asked.chromium, args=["--no-sandbox"]
                )
                page = browser.new_page(viewport=SIZE, color_scheme="light")
                page.set_default_timeout(20_000)
                page.on("console", lambda told: print("browser:", told.text))
                page.on("pageerror", lambda told: print("browser:", told))
                for part in (clips, emotions, timeline, dark):
                    if asked.only and part.__name__ not in asked.only:
                        continue
                    try:
                        part(page, address, asked.pictures)
                    except Error as error:  # the others are worth having
                        print(f"{part.__name__}: {error}")
                        page.screenshot(path=asked.pictures / f"failed-{part.__name__}.png")
                browser.close()
                if not asked.only or "recording" in asked.only:
                    recording(driver, asked)
        finally:
            studio.terminate()


if __name__ == "__main__":
    main()
