"""Reports of three studies that are not shaped like the paper's, and a look at their pages in a browser.

    python -m tests.reports FOLDER [--docs docs/figures]

Runs three sweeps into FOLDER, unless they are there: a table of imbalanced classes; twelve strategies at eight rates of
wrong labels; a single run. Then makes their reports, and checks in Chromium, where there is one, that the pages load
without an error, that no table is cut at 1,400 pixels, and that at 390 every number can be reached. With --docs,
pictures of the pages are kept there.
"""

from __future__ import annotations

import argparse
import base64
import csv
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.browser import CHROMIUM, DRIVER, resize, start
from tests.command_line import REPOSITORY

COMMON = ("tracker=none", "hydra/launcher=parallel", "device=cpu")
STRATEGIES = (
    "random", "margin", "entropy", "confidence", "coreset", "badge", "kmeans", "typiclust", "fisher", "bait_binary",
    "class_balanced", "oracle_random",
)  # fmt: skip
STUDIES: dict[str, tuple[str, ...]] = {
    "imbalanced": (
        "-m", "alg=random,margin,badge,coreset,class_balanced", "data=synthetic", "data.n_rows=2000",
        "data.imbalance=50", "noise=clean", "mult=0", "model=mlp", "model.widths=[32]", "optimizer.lr=0.01",
        "train.max_epochs=60", "n_start=40", "n_query=40",
        "n_end=200", "seed=range(5)",
    ),
    "rates": (
        "-m", f"alg={','.join(STRATEGIES)}", "data=digits", "data.n_train=400", "noise=symmetric",
        "noise.rate=0,0.1,0.2,0.3,0.4,0.5,0.6,0.7", "model=linear", "optimizer.lr=0.02",
        "train.max_epochs=100", "n_start=30", "n_query=30",
        "n_end=90", "seed=range(3)",
    ),
    "single": (
        "alg=badge", "data=digits", "data.n_train=300", "n_start=50", "n_query=50", "n_end=150", "optimizer.lr=0.01",
        "train.max_epochs=60",
    ),
}  # fmt: skip
WIDE, NARROW = 1400, 390
# Of each study, what is pictured: the anchor of a section, the width and the height of the picture.
PICTURES = {
    "imbalanced": (("summary", WIDE, 900), ("summary", NARROW, 850)),
    "rates": (("settings", WIDE, 1300), ("numbers", NARROW, 850)),
    "single": (("summary", WIDE, 900),),
}


def sweep(name: str, root: Path) -> None:
    """Run the sweep of a study."""
    command = [sys.executable, "launch.py", *STUDIES[name], *COMMON[: 1 if name == "single" else 3]]
    subprocess.run(
        [*command, f"root={root}", f"name={name}"], cwd=REPOSITORY, check=True, stdout=subprocess.DEVNULL
    )


def report(study: Path) -> None:
    """Make the report of a study."""
    subprocess.run([sys.executable, "-m", "hetal.report", str(study)], cwd=REPOSITORY, check=True)


def check(name: str, study: Path) -> None:
    """Check what the report of each study must say."""
    page = (study / "report" / "index.html").read_text()
    with (study / "report" / "numbers.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    if name == "imbalanced":
        assert "Balanced accuracy comes first" in page
        assert rows[0]["measure"] == "balanced_accuracy"
        assert "Noise in the acquired labels" not in page  # of a clean pool
    elif name == "rates":
        assert len({row["setting"] for row in rows}) == 8
        assert len({row["strategy"] for row in rows}) == len(STRATEGIES)
        assert "Over all settings" in page
        assert "digits symmetric 0.4 linear" in page
        (study / "report" / "heatmap.pdf").read_bytes()
    else:
        assert "is the only strategy" in page


def look(browser: Any, name: str, page: Path, into: Path | None) -> None:
    """Check a page in a browser, and keep pictures of it."""
    for width in (WIDE, NARROW):
        resize(browser, width)
        browser.get(page.resolve().as_uri())
        assert browser.get_log("browser") == []
        wide = browser.execute_script("return document.documentElement.scrollWidth")
        assert wide <= width, f"{page} at {width}: the page is {wide} wide"
        cut = browser.execute_script(
            "return [...document.querySelectorAll('.scroll')].filter((b) => b.scrollWidth > b.clientWidth + 2)"
            ".map((b) => [b.querySelector('caption, thead')?.textContent.trim().slice(0, 60), b.clientWidth,"
            " b.scrollWidth, b.classList.contains('more')])"
        )
        if width == WIDE:
            assert cut == [], f"{page}: {cut}"
        assert all(is_marked for *_, is_marked in cut), f"{page}: {cut}"
        for anchor, at, height in PICTURES[name] if into else ():
            if at == width and into:
                box = browser.execute_script(
                    f"const b = document.getElementById('{anchor}').getBoundingClientRect(); return b.top + scrollY"
                )
                top = 0 if anchor == "summary" else box
                clip = {"x": 0, "y": top, "width": width, "height": height, "scale": 1}
                shot = browser.execute_cdp_cmd(
                    "Page.captureScreenshot", {"clip": clip, "captureBeyondViewport": True}
                )
                what = f"report-{name}-{anchor}{'-phone' if width == NARROW else ''}.png"
                (into / what).write_bytes(base64.b64decode(shot["data"]))


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the sweeps that are not there, make the reports and look at them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("root", type=Path)
    parser.add_argument("--docs", type=Path, help="folder of the pictures")
    options = parser.parse_args(arguments)
    for name in STUDIES:
        study = options.root / name
        if not study.is_dir():
            sweep(name, options.root.resolve())
        report(study)
        check(name, study)
    if not (CHROMIUM and DRIVER):
        print("no chromium and chromedriver: the pages were not looked at")
        return
    browser = start()
    try:
        for name in STUDIES:
            for page in sorted((options.root / name / "report").glob("*.html")):
                look(browser, name, page, options.docs if page.name == "index.html" else None)
                print(f"{name}/{re.sub(r'.*/', '', str(page))}: no error, nothing cut", file=sys.stdout)
    finally:
        browser.quit()


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
