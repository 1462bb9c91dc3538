"""Pictures for docs/studio.md: the studio on a finished output of the sample clips, in Chromium.

    python docs/studio_pictures.py demo-output [--chromium /usr/bin/chromium]

Use the sample clips only: a picture of the studio shows the people of its store.
"""

import argparse
import subprocess
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

PICTURES = Path(__file__).parent / "pictures"
SIZE = {"width": 1320, "height": 860}


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


def go_through(page: Page, address: str, folder: Path) -> None:
    """Every page of the studio as someone would use it."""
    page.goto(address)
    page.wait_for_selector(".card img")
    page.wait_for_timeout(1200)
    keep(page, "studio-clips", folder)
    page.goto(page.locator("a.card[title^=iris_happy]").first.evaluate("a => a.href"))
    page.wait_for_selector("#player[data-ready=yes]")
    page.get_by_label("Masks", exact=True).check()
    for _ in range(2):
        page.keyboard.press("Shift+ArrowRight")
    page.wait_for_timeout(700)
    keep(page, "studio-clip", folder)
    page.goto(f"{address}/emotions?identity=iris")
    page.wait_for_selector("#face[data-moved]")
    page.get_by_role("button", name="happy").click()
    page.wait_for_selector("#head[src]")
    page.wait_for_timeout(2500)
    keep(page, "studio-emotions", folder)
    page.goto(f"{address}/timeline?identity=iris")
    page.wait_for_selector("#lane[data-segments]")
    for _ in range(2):
        page.get_by_role("button", name="Add a segment").click()
        page.wait_for_timeout(500)
    page.get_by_role("button", name="Quick preview").click()
    page.wait_for_selector("#result", timeout=120_000)
    page.evaluate("document.querySelector('#result').currentTime = 0.8")
    page.wait_for_timeout(1500)
    keep(page, "studio-timeline", folder)
    page.get_by_role("button", name="Light / dark").click()
    page.goto(f"{address}/emotions?identity=iris")
    page.wait_for_selector("#head[src]")
    page.get_by_role("button", name="angry").click()
    page.wait_for_timeout(2500)
    keep(page, "studio-dark", folder)


def main() -> None:
    """Start the studio, take the pictures, end it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    parser.add_argument("--pictures", type=Path, default=PICTURES)
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
                page.on("console", lambda told: print("browser:", told.text))
                page.on("pageerror", lambda told: print("browser:", told))
                go_through(page, address, asked.pictures)
                browser.close()
        finally:
            studio.terminate()


if __name__ == "__main__":
    main()
