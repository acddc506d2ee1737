"""The HTML pages in a browser: headless Chromium, through its DevTools over a pipe, without a further package."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium (Debian: apt install chromium)"),
]
LOOK = """
({
  bodyWidth: document.documentElement.scrollWidth,
  background: getComputedStyle(document.body).backgroundColor,
  color: getComputedStyle(document.body).color,
  images: [...document.images].map(image => [image.naturalWidth, image.clientWidth, image.alt]),
  tables: [...document.querySelectorAll('table')].map(table => [table.rows.length, table.clientHeight]),
  loaded: performance.getEntriesByType('resource').map(entry => entry.name).filter(name => !name.startsWith('data:')),
})
"""


class Browser:
    """Chromium's DevTools protocol: commands and events as JSON, each ended by a zero byte."""

    def __init__(self, write_to: int, read_from: int) -> None:
        self.write_to, self.read_from, self.number, self.rest, self.session = write_to, read_from, 0, b"", None
        self.events: list[dict[str, Any]] = []

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """The result of a command; events that arrive before it are kept."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        message |= {"sessionId": self.session} if self.session else {}
        os.write(self.write_to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self.number:
                assert "error" not in answer, answer
                return answer["result"]
            self.events.append(answer)

    def wait_for(self, method: str) -> None:
        while not any(event.get("method") == method for event in self.events):
            self.events.append(self._read())

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self.rest:
            self.rest += os.read(self.read_from, 1 << 16)
        message, _, self.rest = self.rest.partition(b"\0")
        return json.loads(message)


@contextmanager
def open_page(path: Path, width: int, theme: str) -> Iterator[Browser]:
    """The page in a window of `width` pixels, loaded; `theme` is light or dark."""
    (to_child, write_to), (read_from, from_child) = os.pipe(), os.pipe()

    def connect() -> None:  # Chromium reads from file 3 and writes to file 4
        source, target = os.dup(to_child), os.dup(from_child)
        os.dup2(source, 3)
        os.dup2(target, 4)

    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe", "about:blank"]
    process = subprocess.Popen(
        command, preexec_fn=connect, close_fds=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        browser = Browser(write_to, read_from)
        target = browser.call("Target.createTarget", url="about:blank")["targetId"]
        browser.session = browser.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            browser.call(f"{domain}.enable")
        browser.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": theme}])
        browser.events.clear()
        browser.call("Page.navigate", url=path.absolute().as_uri())
        browser.wait_for("Page.loadEventFired")
        yield browser
    finally:
        process.kill()
        process.wait()
        for descriptor in (to_child, write_to, read_from, from_child):
            os.close(descriptor)


@pytest.fixture(scope="module")
def pages(command, tmp_path_factory) -> dict[str, Path]:
    """A report and an answer on one small sweep."""
    from tests.quick import QUICK

    place = tmp_path_factory.mktemp("pages")
    swept = [*QUICK, "seed=0,1,2", "trainer.label_smoothing=0,0.1", "hydra.sweep.dir=sweep"]
    runs = [
        command("train", "--multirun", *swept, cwd=place),
        command("report", "runs=sweep", "hydra.run.dir=report", cwd=place),
        command("compare", "runs=sweep", "by=trainer.label_smoothing", "hydra.run.dir=compare", cwd=place),
    ]
    assert [run.returncode for run in runs] == [0, 0, 0], [run.stderr for run in runs]
    return {"report": place / "report" / "report.html", "compare": place / "compare" / "compare.html"}


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1280])
@pytest.mark.parametrize("name", ["report", "compare"])
def test_a_page_is_whole_and_fits(pages, name, width, theme):
    with open_page(pages[name], width, theme) as browser:
        found = browser.call("Runtime.evaluate", expression=LOOK, returnByValue=True)["result"]["value"]
        problems = [
            event for event in browser.events if event["method"] in ("Log.entryAdded", "Runtime.exceptionThrown")
        ]
        asked = [event["params"]["request"]["url"] for event in browser.events
                 if event["method"] == "Network.requestWillBeSent"]  # fmt: skip
    assert problems == []
    assert found["loaded"] == [] and all(url.startswith(("file:", "data:")) for url in asked), asked
    assert found["bodyWidth"] <= width  # wide tables scroll by themselves
    assert len(found["images"]) == {"report": 6, "compare": 1}[name]
    assert all(natural > 300 and 250 < shown <= width and alt for natural, shown, alt in found["images"])
    assert all(rows >= 2 and height > 30 for rows, height in found["tables"]) and len(found["tables"]) >= 3
    is_dark = [sum(map(int, found[key].removeprefix("rgb(").rstrip(")").split(","))) < 3 * 128
               for key in ("background", "color")]  # fmt: skip
    assert is_dark == ([True, False] if theme == "dark" else [False, True])
