"""Run by the durability tests: commit blocks to a folder and say each height once it is final, until something ends it."""

from __future__ import annotations

import importlib.util
import resource
import sys
from pathlib import Path

from node.chain.faults import LocalFault


def say(line: object) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> None:
    spec = importlib.util.spec_from_file_location("ledger_conftest", Path(__file__).with_name("conftest.py"))
    assert spec is not None
    assert spec.loader is not None
    conftest = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(conftest)
    folder, file_limit = Path(sys.argv[1]), int(sys.argv[2])
    network = conftest.Network()
    ledger = network.open(folder, kept_heights=5)
    say(ledger.height)
    if file_limit:
        # A disk that takes no more: writes past this size of a file fail.
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit, file_limit))
    try:
        while True:
            say(network.commit(ledger, network.anchors(ledger.height, 20)).header.height)
    except LocalFault as fault:
        say(f"fault at {ledger.height}: {fault}")
    try:
        network.commit(ledger, [])
    except LocalFault as fault:
        say(f"fault at {ledger.height}: {fault}")


if __name__ == "__main__":
    main()
