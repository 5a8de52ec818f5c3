"""What the machine lets tests do."""

import shutil
import subprocess


def refusal_of(*command: str) -> str:
    """Return why this machine does not let us run a command, or nothing."""
    if shutil.which(command[0]) is None:
        return f"{command[0]} is not installed"
    tried = subprocess.run(command, capture_output=True, text=True, timeout=20)
    return "" if tried.returncode == 0 else tried.stderr.strip() or f"{command} failed"
