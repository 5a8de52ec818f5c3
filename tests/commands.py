"""Commands as their users run them, each a process of its own, but forked from one that has loaded the program: started in no time."""

import multiprocessing
import os
import subprocess
import sys
import tempfile
from functools import cache
from multiprocessing.context import ForkServerContext
from pathlib import Path

LOADED = ["sdk.cli.main", "sdk.cli.calls", "sdk.client", "sm_crypto.keystore"]
"""What most commands load; each loads the rest itself."""


@cache
def _server() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(LOADED)
    return context


def run_command(*arguments: str, cwd: Path | None = None, timeout_s: float = 90) -> subprocess.CompletedProcess[str]:
    """Run one command of govnode and return its status and what it printed; what does not end fails the test."""
    with tempfile.TemporaryDirectory() as folder:
        output, errors = Path(folder) / "output", Path(folder) / "errors"
        process = _server().Process(target=_run, args=(arguments, str(cwd or Path.cwd()), str(output), str(errors)))
        process.start()
        process.join(timeout_s)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired(arguments, timeout_s)
        return subprocess.CompletedProcess(
            arguments, process.exitcode, output.read_text("utf-8"), errors.read_text("utf-8")
        )


def _run(arguments: tuple[str, ...], cwd: str, output: str, errors: str) -> None:
    for number, path in ((0, os.devnull), (1, output), (2, errors)):
        opened = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        os.dup2(opened, number)
        os.close(opened)
    os.chdir(cwd)
    sys.argv = ["govnode", *arguments]
    from sdk.cli.main import main

    main()
