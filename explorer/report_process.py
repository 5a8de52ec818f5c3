"""The process that lays out one report as a PDF, and ends (explorer/reports.py starts it): from standard input to standard output."""

from __future__ import annotations

import resource
import sys
from typing import Final

import msgspec

from explorer.child_process import lower_limits
from verification.report import Report, encode_pdf

MAX_MEMORY_BYTES: Final = 1024 * 1024 * 1024
"""Of address space."""
MAX_PROCESSOR_S: Final = 20


def main() -> None:
    """Read a report from standard input and write to standard output its PDF, both as MessagePack."""
    limits = {resource.RLIMIT_AS: MAX_MEMORY_BYTES, resource.RLIMIT_CPU: MAX_PROCESSOR_S, resource.RLIMIT_CORE: 0}
    lower_limits(limits | {resource.RLIMIT_FSIZE: 0})
    report = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=Report)
    # As MessagePack, so that half an answer is not taken for a PDF.
    sys.stdout.buffer.write(msgspec.msgpack.encode(encode_pdf(report)))
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
