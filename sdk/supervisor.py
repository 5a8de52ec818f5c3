"""Runs the nodes of a network folder as processes of this machine, and starts again what dies."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Self

STOP_TIMEOUT_S: Final = 10.0
POLL_INTERVAL_S: Final = 0.1
RESTART_DELAY_LIMIT_S: Final = 5.0
STEADY_AFTER_S: Final = 10.0
EXIT_NEEDS_OPERATOR: Final = 1
"""A node exits with this status on what a restart cannot mend: a wrong password, a damaged file, a port in use."""


class SupervisorError(Exception):
    """A node could not be started or stopped."""


class Supervisor:
    """Starts the named nodes of a network folder; a node that dies is started again until it is stopped on purpose."""

    def __init__(self, folder: Path, names: Sequence[str], environment: dict[str, str]) -> None:
        """Remember what to run; nothing is started before start()."""
        self._folder = folder
        self._names = tuple(names)
        self._environment = environment
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._held: set[str] = set()
        self._restarts: dict[str, tuple[float, float]] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="supervisor", daemon=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start every node and the watch over them."""
        for name in self._names:
            self._launch(name)
        self._watcher.start()

    def stop(self) -> None:
        """End every node: SIGTERM, and SIGKILL for what is left after STOP_TIMEOUT_S. No process remains."""
        self._stopping.set()
        if self._watcher.is_alive():
            self._watcher.join()
        for process in self._processes.values():
            if process.poll() is None:
                process.terminate()
        deadline = time.monotonic() + STOP_TIMEOUT_S
        for process in self._processes.values():
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def kill(self, *names: str) -> None:
        """Kill nodes with SIGKILL, all before any is waited for, and keep them down until resume()."""
        with self._lock:
            self._held.update(names)
            for name in names:
                self._processes[name].send_signal(signal.SIGKILL)
            for name in names:
                self._processes[name].wait()

    def resume(self, *names: str) -> None:
        """Start nodes again that kill() has taken down."""
        with self._lock:
            self._held.difference_update(names)
            for name in names:
                self._launch(name)

    def is_running(self, name: str) -> bool:
        """Whether the node's process is alive."""
        return self._processes[name].poll() is None

    def process_id(self, name: str) -> int:
        """Return the process id of the node's current process."""
        return self._processes[name].pid

    def log_tail(self, name: str, lines: int = 5) -> str:
        """Return the last lines that the node logged."""
        log = self._folder / name / "node.log"
        text = log.read_text("utf-8", "replace") if log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    def _launch(self, name: str) -> None:
        config = self._folder / name / "node.toml"
        if not config.is_file():
            raise SupervisorError(f"找不到节点配置 / node configuration not found: {config}")
        command = [sys.executable, "-m", "sdk.cli.main", "start", "--config", str(config)]
        # The kernel ends the node when this process dies, however it dies.
        setpriv = shutil.which("setpriv")
        if setpriv is not None:
            command = [setpriv, "--pdeathsig", "TERM", *command]
        with (self._folder / name / "node.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._environment,
                start_new_session=True,
            )
        self._restarts[name] = (time.monotonic(), self._restarts.get(name, (0.0, 0.0))[1])

    def _watch(self) -> None:
        while not self._stopping.wait(POLL_INTERVAL_S):
            with self._lock:
                for name in self._names:
                    self._restart_if_dead(name)

    def _restart_if_dead(self, name: str) -> None:
        status = self._processes[name].poll()
        if status is None or name in self._held or status == EXIT_NEEDS_OPERATOR:
            return
        started, delay = self._restarts[name]
        now = time.monotonic()
        if now - started > STEADY_AFTER_S:
            delay = 0.0
        if now - started < delay:
            return
        self._restarts[name] = (started, min(RESTART_DELAY_LIMIT_S, max(0.2, delay * 2)))
        self._launch(name)
