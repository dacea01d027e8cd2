"""Screenshots of a report for README: `python -m tests.screenshots multirun/digits/report/index.html docs/figures`.

Writes report-summary.png (the top, on light paper) and report-noise.png (noise in the acquired labels, on dark paper).
"""

from __future__ import annotations

import base64
import shutil
import sys
from pathlib import Path

from PIL import Image
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

WIDTH = 1280
# File, paper, and the selectors of the first and the last thing on it.
SHOTS = (
    ("report-summary", "light", "header", "#curves .figures"),
    ("report-noise", "dark", "#noise", "#noise .panel:nth-of-type(3)"),
)


def main(page: str, out: str) -> None:
    """Take them."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or "chromium"
    for argument in ("--headless=new", "--no-sandbox", "--hide-scrollbars"):
        options.add_argument(argument)
    browser = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    try:
        for name, paper, first, last in SHOTS:
            metrics = {"width": WIDTH, "height": 900, "deviceScaleFactor": 1, "mobile": False}
            browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
            media = {"features": [{"name": "prefers-color-scheme", "value": paper}]}
            browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
            browser.get(Path(page).resolve().as_uri())
            top, bottom = browser.execute_script(
                "const at = (css) => document.querySelector(css).getBoundingClientRect();"
                "return [at(arguments[0]).top, at(arguments[1]).bottom]",
                first, last,
            )  # fmt: skip
            clip = {"x": 0, "y": max(0, top - 16), "width": WIDTH, "height": bottom - top + 32, "scale": 1}
            shot = browser.execute_cdp_cmd(
                "Page.captureScreenshot", {"clip": clip, "captureBeyondViewport": True}
            )
            path = Path(out) / f"{name}.png"
            path.write_bytes(base64.b64decode(shot["data"]))
            with Image.open(path) as image:  # a quarter of the size, and no difference to see
                image.convert("RGB").quantize(256).save(path, optimize=True)
    finally:
        browser.quit()


if __name__ == "__main__":
    main(*sys.argv[1:])
