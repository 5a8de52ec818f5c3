import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from node.logs import MAX_SAME_EVENT, Log, start_logging


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    target = io.StringIO()
    start_logging("node1", "info", target)
    yield target
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.getLogger("govnode").setLevel(logging.NOTSET)


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_an_event_is_one_json_line_with_its_fields(stream: io.StringIO) -> None:
    Log("peers").info("peer_connected", peer="node2", height=7, block_id=b"\x01\xff", note="市\n数据")
    (line,) = lines(stream)
    assert line["time"].endswith("Z")
    assert {key: line[key] for key in line if key != "time"} == {
        "level": "info",
        "node": "node1",
        "part": "peers",
        "event": "peer_connected",
        "peer": "node2",
        "height": 7,
        "block_id": "01ff",
        "note": "市\n数据",
    }


def test_secrets_are_never_written(stream: io.StringIO) -> None:
    Log("keys").warning("key_loaded", password="hunter2", private_key=b"\x42" * 32)
    assert "hunter2" not in stream.getvalue()
    assert "4242" not in stream.getvalue()


def test_levels_below_the_chosen_one_are_left_out(stream: io.StringIO) -> None:
    Log("peers").debug("detail")
    logging.getLogger("some.library").info("chatter")
    assert lines(stream) == []


def test_long_values_are_cut(stream: io.StringIO) -> None:
    Log("peers").info("refused", reason="x" * 100_000)
    assert len(stream.getvalue()) < 2_000


def test_one_event_cannot_fill_the_disk_and_others_are_still_heard(stream: io.StringIO) -> None:
    for _ in range(10 * MAX_SAME_EVENT):
        Log("peers").info("connection_refused", remote="192.0.2.1")
    Log("peers").info("peer_lost", peer="node2")
    written = lines(stream)
    assert len(written) == MAX_SAME_EVENT + 1
    assert written[-1]["event"] == "peer_lost"


def test_a_fault_of_the_program_carries_its_traceback_in_the_same_line(stream: io.StringIO) -> None:
    try:
        raise RuntimeError("boom")
    except RuntimeError:
        Log("driver").exception("driver_fault")
    (line,) = lines(stream)
    assert "RuntimeError: boom" in line["traceback"]
