"""A Chromium that tests drive over its DevTools protocol on loopback: they wait for what a page shows, never for a time."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from websockets.sync.client import ClientConnection, connect

CHROMIUM: Final = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
MAX_WAIT_S: Final = 90.0
"""For anything that a test waits for: only a machine that stands still takes so long."""
POLL_S: Final = 0.02

_LISTENING = re.compile(r"^DevTools listening on (ws://\S+)$", re.MULTILINE)


class NotDone(Exception):
    """The browser refused a command, as it does with one about a page that is just being replaced by another."""


class Page:
    """A page of a browser, with nothing stored by any other; `console` has what it said there, failed scripts and blocked loads too."""

    def __init__(self, ask: Callable[..., dict[str, Any]]) -> None:
        self.console: list[str] = []
        self._has_time_passed = False
        self._ask = ask

    def open(self, url: str) -> None:
        """Load a page; it and all its scripts have been loaded and have run once."""
        answer = self._ask("Page.navigate", url=url)
        assert "errorText" not in answer, answer
        self.wait_for('location.href !== "about:blank" && document.readyState === "complete"')

    def evaluate(self, expression: str) -> Any:
        """Return what an expression, or the promise that it gives, comes to in the page."""
        answer = self._ask("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait_for(self, condition: str) -> None:
        """Return when a condition holds in the page."""
        self._wait(lambda: self.evaluate(f"Boolean({condition})") is True, condition)

    def wait_for_console(self, text: str) -> None:
        """Return when the console has said this."""
        self._wait(lambda: self.evaluate("1") == 1 and any(text in line for line in self.console), text)

    def choose_file(self, element: str, path: Path) -> None:
        """Choose a file in the picker with an id, as a person does."""
        picker = self._ask("Runtime.evaluate", expression=f"document.getElementById({json.dumps(element)})")
        self._ask("DOM.setFileInputFiles", files=[str(path)], objectId=picker["result"]["objectId"])

    def pass_time(self, budget_ms: int) -> None:
        """Let the page's timers run as if this time had passed and every answer had come at once."""
        self._has_time_passed = False
        self._ask("Emulation.setVirtualTimePolicy", policy="pauseIfNetworkFetchesPending", budget=budget_ms)
        self._wait(lambda: self.evaluate("1") == 1 and self._has_time_passed, f"{budget_ms} ms of the page's time")

    def text(self) -> str:
        """Return the page as it is now, as HTML."""
        html: str = self.evaluate("document.documentElement.outerHTML")
        return html

    def take_event(self, name: str, given: dict[str, Any]) -> None:
        """Note what the browser tells about the page."""
        if name == "Runtime.consoleAPICalled":
            self.console.append(" ".join(str(one.get("value", one.get("description"))) for one in given["args"]))
        elif name == "Runtime.exceptionThrown":
            self.console.append(json.dumps(given["exceptionDetails"], ensure_ascii=False))
        elif name == "Log.entryAdded":
            self.console.append(f"{given['entry']['text']} {given['entry'].get('url', '')}")
        elif name == "Emulation.virtualTimeBudgetExpired":
            self._has_time_passed = True

    def _wait(self, is_so: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + MAX_WAIT_S

        def is_so_now() -> bool:
            with suppress(NotDone):
                return is_so()
            return False

        while not is_so_now():
            assert time.monotonic() < deadline, f"never came: {what}\nconsole: {self.console}\n{self.text()}"
            time.sleep(POLL_S)


class Browser:
    """A running Chromium."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._last_id = 0
        self._pages: dict[str, Page] = {}

    @contextmanager
    def page(self) -> Iterator[Page]:
        """Yield an empty page with a store of its own; it is gone afterwards."""
        context = self._ask(None, "Target.createBrowserContext")["browserContextId"]
        target = self._ask(None, "Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
        session = self._ask(None, "Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = Page(lambda method, **given: self._ask(session, method, **given))
        self._pages[session] = page
        for domain in ("Page", "Runtime", "Log"):
            self._ask(session, f"{domain}.enable")
        yield page
        del self._pages[session]
        self._ask(None, "Target.disposeBrowserContext", browserContextId=context)

    def _ask(self, session: str | None, method: str, **given: Any) -> dict[str, Any]:
        """Return the browser's answer to a command; what it tells before goes to the pages that it is about."""
        self._last_id += 1
        command: dict[str, Any] = {"id": self._last_id, "method": method, "params": given}
        self._connection.send(json.dumps(command if session is None else command | {"sessionId": session}))
        while True:
            told = json.loads(self._connection.recv(timeout=MAX_WAIT_S))
            if told.get("id") == self._last_id:
                if "error" in told:
                    raise NotDone(f"{method}: {told['error']}")
                answer: dict[str, Any] = told["result"]
                return answer
            if "method" in told and (page := self._pages.get(told.get("sessionId", ""))) is not None:
                page.take_event(told["method"], told["params"])


@contextmanager
def run_browser(folder: Path) -> Iterator[Browser]:
    """Yield a Chromium that has its profile and its log in a folder; all of its processes have ended afterwards."""
    assert CHROMIUM is not None
    command = [
        CHROMIUM,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-dev-shm-usage",
        "--no-first-run",
        f"--user-data-dir={folder / 'profile'}",
        "--remote-debugging-port=0",
        "about:blank",
    ]
    log = folder / "log"
    with log.open("wb") as out:
        # Names of chosen files are in UTF-8, whatever the machine's locale is.
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            env={**os.environ, "LC_ALL": "C.UTF-8"},
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + MAX_WAIT_S
        while (listening := _LISTENING.search(log.read_text("utf-8", "replace"))) is None:
            is_starting = process.poll() is None and time.monotonic() < deadline
            assert is_starting, f"chromium did not start:\n{log.read_text('utf-8', 'replace')}"
            time.sleep(POLL_S)
        with connect(listening[1], proxy=None, max_size=None, open_timeout=MAX_WAIT_S, ping_interval=None) as socket:
            yield Browser(socket)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
