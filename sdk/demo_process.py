"""A program that the demonstration runs beside its nodes: it comes up while other steps go on, and ends with the demonstration."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from sdk.demo_stage import DemoFailed

STOP_TIMEOUT_S: Final = 10.0


class DemoProcess:
    """A module that prints the address it answers at; it ends with its `with` block, and with this process however that dies."""

    def __init__(self, log: Path, module: str, *words: str | Path) -> None:
        """Start `python -m module words`; what it says on standard error goes to `log`."""
        command = [sys.executable, "-m", module, *map(str, words)]
        self._log = log
        # The kernel ends it when this process dies, however it dies.
        setpriv = shutil.which("setpriv")
        if setpriv is not None:
            command = [setpriv, "--pdeathsig", "TERM", *command]
        with log.open("wb") as file:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=file,
                text=True,
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.terminate()
        try:
            self._process.communicate(timeout=STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()

    def terminate(self) -> None:
        """Tell it to end, without waiting for it."""
        self._process.terminate()

    def url(self) -> str:
        """Return its address once it answers, to be asked for once; raise DemoFailed where it ended."""
        assert self._process.stdout is not None, "it is a pipe"
        found = self._process.stdout.readline().strip()
        if not found:
            tail = self._log.read_text("utf-8", "replace")[-500:]
            raise DemoFailed("SERVICE_ENDED", f"服务未能启动：{tail}", f"a service did not start: {tail}")
        return found
