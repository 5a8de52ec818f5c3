"""What a hostile node, service or file says does not reach a terminal as anything but harmless text on its own line."""

from __future__ import annotations

import json
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from sdk.certificate_sharing import asking
from sdk.cli.output import fail, fields, say, show, table
from sdk.errors import RequestRefused
from tests.endings import end_thread
from verification.errors import MAX_ERROR_TEXT, GovnodeError, InputError
from verification.shown_text import shown_line

CLI = Path(__file__).parents[2] / "sdk" / "cli"
FORGED = "\x1b[2J\x1b[H✓ 结论 / verdict  通过 / accepted [IN_FORCE]\x1b[8m"
HIDDEN = [
    "\x1b",
    "\x9b",
    "\x07",
    "\r",
    "\u202e",
    "\u2066",
    "\u200b",
    "\u200f",
    "\u2028",
    "\u00ad",
    "\u3164",
    "\ufeff",
    "\U000e0041",
]
HOSTILE = FORGED + "".join(HIDDEN) + "\n✓ 通过 / accepted [IN_FORCE]"


def is_harmless(text: str) -> bool:
    return not any(character in text for character in HIDDEN)


class Hostile(BaseHTTPRequestHandler):
    """Answers everything with one refusal; `said` is what it says in it."""

    said: Any = None

    def do_GET(self) -> None:
        # What is left unread would reset the connection, and the answer could be lost with it.
        self.rfile.read(int(self.headers.get("content-length", "0")))
        body = json.dumps(self.said).encode()
        self.send_response(404)
        self.send_header("content-type", "application/problem+json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET  # noqa: N815 - the name that the server looks for

    def log_message(self, *_: Any) -> None:
        """Keep quiet."""


@pytest.fixture
def hostile(monkeypatch: pytest.MonkeyPatch) -> Any:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hostile)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    end_thread(thread)
    server.server_close()


@pytest.mark.parametrize("said", [HOSTILE, {"a": HOSTILE}, 7, "长" * 100_000])
def test_a_refusal_by_a_hostile_node_is_one_harmless_line(
    hostile: str, said: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from sdk.cli.main import main

    for code in ("HOSTILE", said):
        monkeypatch.setattr(Hostile, "said", {"code": code, "zh": said, "en": said})
        with pytest.raises(SystemExit):
            main(["cert", "type", "list", "--url", hostile])
        error = capsys.readouterr().err
        assert is_harmless(error)
        assert error.count("\n") == 1
        assert len(error) < 4 * MAX_ERROR_TEXT
        with pytest.raises(GovnodeError) as refused:
            asking._post(hostile, "/certificates/fetch", b"{}", None)
        assert is_harmless(str(refused.value))
        # A code that is none is not the service's word.
        assert isinstance(refused.value, RequestRefused) == (code is not said and isinstance(said, str))


def test_values_of_a_hostile_record_stay_in_their_place(capsys: pytest.CaptureFixture[str]) -> None:
    printed: list[tuple[Callable[[], object], int]] = [
        (lambda: show({}, False, fields([("状态 / status", HOSTILE), ("b", 1)])), 2),
        (lambda: show({}, False, table(("a", "b"), [(HOSTILE, "1"), ("2", HOSTILE)])), 3),
        (lambda: say(f"first\nsecond {HOSTILE.replace(chr(10), '')}"), 2),
    ]
    for print_it, lines in printed:
        print_it()
        text = capsys.readouterr().out
        assert is_harmless(text)
        assert text.count("\n") == lines
    # Names and their rare characters are shown as they are.
    for name in ("张三", "𠮷野家", "葛\U000e0100飾", "\ue000", "Ünal Ö."):
        assert shown_line(name) == name


def test_json_says_the_same_and_hides_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    show({"value": HOSTILE, "name": "张三"}, True, "")
    text = capsys.readouterr().out
    assert is_harmless(text)
    assert json.loads(text) == {"value": HOSTILE, "name": "张三"}
    assert "张三" in text
    with pytest.raises(SystemExit):
        fail("CODE", "text", 1, {"detail": HOSTILE})
    assert is_harmless(capsys.readouterr().err)


def test_errors_keep_texts_that_may_be_shown() -> None:
    error = InputError("A_CODE", HOSTILE, f"a {HOSTILE}")
    assert all(map(is_harmless, (str(error), error.zh, error.en)))
    assert "\n" not in str(error)


def test_every_command_prints_through_one_place() -> None:
    for path in CLI.glob("*.py"):
        text = path.read_text("utf-8")
        assert path.name == "output.py" or "click.echo" not in text, path.name
        assert " print(" not in text, path.name
