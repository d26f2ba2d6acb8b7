"""Makes the pictures of the documents: `python -m docs.screenshots`, with chromium installed.

The report is that of a real run: five simulated nodes at level `one`, where a partition costs consistency.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from docs.live_picture import main as draw_live_view
from tests.support.browser import Browser, program

IMAGES = Path(__file__).parent / "images"
RUN = ("run", "--level", "one", "--seed", "7", "--time-limit", "60", "--quiet")
WIDTH = 1280
BELOW = "Math.ceil(document.getElementById('hint').getBoundingClientRect().top)"


def main() -> None:
    if program() is None:
        sys.exit("chromium is needed: apt-get install chromium")
    IMAGES.mkdir(exist_ok=True)
    with TemporaryDirectory() as folder, Browser(WIDTH) as browser:
        subprocess.run(
            [sys.executable, "-m", "harness.cli", *RUN], cwd=folder, check=False, stdout=subprocess.DEVNULL
        )
        browser.open(Path(folder, "runs", "latest", "report.html"))
        browser.until("document.documentElement.dataset.drawn === 'yes'")
        browser.resize(WIDTH, browser.run(BELOW))
        browser.run("new Promise((done) => setTimeout(done, 500))")
        browser.screenshot(IMAGES / "report.png")
    draw_live_view()


if __name__ == "__main__":
    main()
