"""Processes as users and supervisors start them, but forked from one that has loaded the program: started in no time."""

import importlib
import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path

LOADED = [
    "sdk.cli.main",
    "sdk.cli.calls",
    "sdk.client",
    "sm_crypto.keystore",
    "node.process",
    "node.http.json_rpc",
    "uvloop",
]
"""What most commands and nodes load; each loads the rest itself."""
COMMAND_S = 90.0


@cache
def _server() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(LOADED)
    return context


def start_program(
    program: str | Path,
    arguments: Sequence[str],
    *,
    cwd: Path,
    output: Path,
    errors: Path,
    variables: Mapping[str, str] | None = None,
) -> ForkServerProcess:
    """Start the main() of a module, or a script by its path, with such arguments; output and errors are appended to files."""
    environment = {**os.environ, **(variables or {})}
    process = _server().Process(
        target=_run, args=(program, list(arguments), environment, cwd, output, errors), daemon=True
    )
    process.start()
    return process


def run_program(
    program: str | Path, *arguments: str, cwd: Path | None = None, variables: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, and return its status and what it printed; what does not end fails the test."""
    with tempfile.TemporaryDirectory() as folder:
        output, errors = Path(folder) / "output", Path(folder) / "errors"
        process = start_program(
            program, arguments, cwd=cwd or Path.cwd(), output=output, errors=errors, variables=variables
        )
        process.join(COMMAND_S)
        status = process.exitcode
        if status is None:
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired([str(program), *arguments], COMMAND_S)
        texts = [path.read_text("utf-8") if path.exists() else "" for path in (output, errors)]
        return subprocess.CompletedProcess([str(program), *arguments], status, *texts)


def run_command(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run one command of govnode to its end, and return its status and what it printed."""
    return run_program("sdk.cli.main", *arguments, cwd=cwd)


def _run(
    program: str | Path, arguments: list[str], environment: Mapping[str, str], cwd: Path, output: Path, errors: Path
) -> None:
    for number, path in ((0, os.devnull), (1, output), (2, errors)):
        opened = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(opened, number)
        os.close(opened)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = [str(program), *arguments]
    if isinstance(program, Path):
        runpy.run_path(str(program), run_name="__main__")
    else:
        importlib.import_module(program).main()
