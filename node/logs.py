"""Structured logs: one JSON object a line on standard error, an event name and its fields, never a secret."""

from __future__ import annotations

import datetime
import json
import logging
import sys
import time
from typing import Any, Final, TextIO

MAX_VALUE_LENGTH: Final = 1_000
MAX_SAME_EVENT: Final = 60
SAME_EVENT_WINDOW_S: Final = 60.0
MAX_TRACKED_EVENTS: Final = 1_000
_SECRET_WORDS: Final = ("password", "secret", "private")


class Log:
    """Writes events of one part of the node: a name in snake_case and fields that JSON can hold (bytes are shown in hex)."""

    __slots__ = ("_logger",)

    def __init__(self, part: str) -> None:
        self._logger = logging.getLogger(f"govnode.{part}")

    def debug(self, event: str, **fields: object) -> None:
        """Note a detail that only a developer wants."""
        if self._logger.isEnabledFor(logging.DEBUG):
            self._logger.debug(event, extra={"fields": fields})

    def info(self, event: str, **fields: object) -> None:
        """Note what an operator wants to find later."""
        self._logger.info(event, extra={"fields": fields})

    def warning(self, event: str, **fields: object) -> None:
        """Note what an operator may have to act on."""
        self._logger.warning(event, extra={"fields": fields})

    def error(self, event: str, **fields: object) -> None:
        """Note what stops the node or a part of it."""
        self._logger.error(event, extra={"fields": fields})

    def exception(self, event: str, **fields: object) -> None:
        """Note a fault of the program itself, with the traceback of the exception in flight."""
        self._logger.exception(event, extra={"fields": fields})


class JsonFormatter(logging.Formatter):
    """One line of JSON: time (UTC, ms), level, part, event, then the fields; values are cut at MAX_VALUE_LENGTH."""

    def __init__(self, node_name: str) -> None:
        super().__init__()
        self._node_name = node_name

    def format(self, record: logging.LogRecord) -> str:
        """Return the line without its end."""
        moment = datetime.datetime.fromtimestamp(record.created, tz=datetime.UTC)
        line: dict[str, Any] = {
            "time": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "node": self._node_name,
            "part": record.name.removeprefix("govnode."),
            "event": _shown(record.getMessage()),
        }
        for name, value in getattr(record, "fields", {}).items():
            line[name] = "(not logged)" if any(word in name for word in _SECRET_WORDS) else _shown(value)
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


class RepeatFilter(logging.Filter):
    """Lets through MAX_SAME_EVENT records of one event a minute, then says how many it held back: outsiders cannot fill the disk."""

    def __init__(self) -> None:
        super().__init__()
        self._counts: dict[tuple[str, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether this record is written."""
        key = (record.name, str(record.msg))
        now = time.monotonic()
        since, count = self._counts.get(key, (now, 0))
        if now - since > SAME_EVENT_WINDOW_S:
            if count > MAX_SAME_EVENT:
                record.fields = {**getattr(record, "fields", {}), "held_back": count - MAX_SAME_EVENT}
            since, count = now, 0
        if len(self._counts) >= MAX_TRACKED_EVENTS:
            self._counts.clear()
        self._counts[key] = (since, count + 1)
        return count < MAX_SAME_EVENT


def start_logging(node_name: str, level: str, stream: TextIO | None = None) -> None:
    """Send every record of this process at `level` (debug, info, warning or error) or above to `stream`, standard error by default."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter(node_name))
    handler.addFilter(RepeatFilter())
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    root.addHandler(handler)
    # Libraries speak only when something is wrong with them.
    root.setLevel(logging.WARNING)
    logging.getLogger("govnode").setLevel(level.upper())


def _shown(value: object) -> object:
    if isinstance(value, bytes):
        return _shown(value.hex())
    if isinstance(value, bool | int | float) or value is None:
        return value
    if isinstance(value, list | tuple):
        return [_shown(item) for item in value[:50]]
    if isinstance(value, dict):
        return {str(key): _shown(item) for key, item in list(value.items())[:50]}
    text = str(value)
    return text if len(text) <= MAX_VALUE_LENGTH else text[:MAX_VALUE_LENGTH] + "..."
