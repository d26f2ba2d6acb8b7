"""Chromium without a window, driven over a pipe (the DevTools protocol, file descriptors 3 and 4).

It can reach nothing: every name resolves to nowhere, and each request that a page makes is noted.
"""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

PROGRAMS: Final = ("chromium", "chromium-browser", "google-chrome")
ANSWER_S: Final = 60.0
FLAGS: Final = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--remote-debugging-pipe",
)


def program() -> str | None:
    return next((found for name in PROGRAMS if (found := shutil.which(name))), None)


class Browser:
    """A context manager: one browser with one page. `requests`: the addresses that it asked for; `errors`:
    what it complained of, exceptions included."""

    def __init__(self, width: int = 1280, height: int = 900, *, dark: bool = False) -> None:
        self.requests: list[str] = []
        self.errors: list[str] = []
        self._size = (width, height)
        self._dark = dark
        self._last = 0
        self._rest = b""
        self._loaded = False

    def __enter__(self) -> Self:
        name = program()
        assert name is not None
        self._home = tempfile.TemporaryDirectory(prefix="browser-", ignore_cleanup_errors=True)
        down, self._write = os.pipe()
        self._read, up = os.pipe()
        # The child needs them as 3 and 4, which a shell can say and Popen cannot.
        line = f'exec "$0" "$@" 3<&{down} 4>&{up}'
        words = [name, *FLAGS, f"--user-data-dir={self._home.name}", "about:blank"]
        self._process = subprocess.Popen(
            ["bash", "-c", line, *words],
            pass_fds=(down, up),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(down)
        os.close(up)
        targets = self._ask("Target.getTargets")["targetInfos"]
        target = next(each["targetId"] for each in targets if each["type"] == "page")
        attached = self._ask("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.ask(f"{domain}.enable")
        self.resize(*self._size)
        if self._dark:
            feature = {"name": "prefers-color-scheme", "value": "dark"}
            self.ask("Emulation.setEmulatedMedia", features=[feature])
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._ask("Browser.close")
        except (OSError, AssertionError):
            pass
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._write)
        os.close(self._read)
        self._home.cleanup()

    def resize(self, width: int, height: int, scale: float = 1) -> None:
        self.ask(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=scale,
            mobile=width < 600,
        )

    def open(self, path: Path) -> None:
        """Open a file, and wait until it is loaded."""
        self._loaded = False
        self.ask("Page.navigate", url=path.resolve().as_uri())
        deadline = time.monotonic() + ANSWER_S
        while not self._loaded:
            self._take(self._message(deadline))

    def run(self, script: str) -> Any:
        """The value of an expression, a promise's when it is there."""
        answer = self.ask(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True, userGesture=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def until(self, script: str, timeout_s: float = 20) -> None:
        """Wait until an expression is true."""
        deadline = time.monotonic() + timeout_s
        while not self.run(script):
            assert time.monotonic() < deadline, f"not within {timeout_s} s: {script}; {self.errors}"
            time.sleep(0.02)

    def mouse(self, kind: str, x: float, y: float, **more: Any) -> None:
        self.ask("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

    def click(self, x: float, y: float) -> None:
        for kind in ("mousePressed", "mouseReleased"):
            self.mouse(kind, x, y, button="left", clickCount=1)

    def drag(self, from_x: float, to_x: float, y: float) -> None:
        self.mouse("mousePressed", from_x, y, button="left", clickCount=1)
        for step in range(1, 6):
            self.mouse("mouseMoved", from_x + (to_x - from_x) * step / 5, y, button="left", buttons=1)
        self.mouse("mouseReleased", to_x, y, button="left", clickCount=1)

    def touch(self, steps: Sequence[Sequence[tuple[float, float]]]) -> None:
        """Fingers put down at the first places, moved over the others, and lifted."""
        for number, places in enumerate(steps):
            points = [{"x": x, "y": y, "id": finger} for finger, (x, y) in enumerate(places)]
            kind = "touchMove" if number else "touchStart"
            self.ask("Input.dispatchTouchEvent", type=kind, touchPoints=points)
        self.ask("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])

    def key(self, key: str) -> None:
        text = {"text": key} if len(key) == 1 else {}
        self.ask("Input.dispatchKeyEvent", type="keyDown", key=key, **text)
        self.ask("Input.dispatchKeyEvent", type="keyUp", key=key)

    def screenshot(self, path: Path, *, whole: bool = False) -> None:
        shot = self.ask("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(shot["data"]))

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        return self._ask(method, self._session, **params)

    def _ask(self, method: str, session: str | None = None, **params: Any) -> dict[str, Any]:
        self._last += 1
        message: dict[str, Any] = {"id": self._last, "method": method, "params": params}
        if session is not None:
            message["sessionId"] = session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self._write, data) :]
        deadline = time.monotonic() + ANSWER_S
        while True:
            answer = self._message(deadline)
            if answer.get("id") == self._last:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return dict(answer["result"])
            self._take(answer)

    def _message(self, deadline: float) -> dict[str, Any]:
        while b"\0" not in self._rest:
            left_s = deadline - time.monotonic()
            assert left_s > 0, "the browser does not answer"
            if select.select([self._read], [], [], left_s)[0]:
                data = os.read(self._read, 1 << 20)
                assert data, "the browser has ended"
                self._rest += data
        message, _, self._rest = self._rest.partition(b"\0")
        return dict(json.loads(message))

    def _take(self, message: dict[str, Any]) -> None:
        method, params = message.get("method"), message.get("params", {})
        if method == "Page.loadEventFired":
            self._loaded = True
        elif method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            self.errors.append(json.dumps(params["exceptionDetails"]))
        elif method == "Log.entryAdded":
            self.errors.append(params["entry"]["text"])
        elif method == "Runtime.consoleAPICalled":
            self.errors.append(json.dumps(params["args"]))
