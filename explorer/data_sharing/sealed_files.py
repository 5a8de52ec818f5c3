"""Sealed batches of access records as files, the same at a node that keeps them and in an archive's folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

_MODE: Final = 0o600


def sealed_path(folder: Path, department: str, recorder: bytes, batch_number: int) -> Path:
    """Return where below `folder` a batch of a department's recorder (20 bytes) lies.

    Department and account are the ledger's: the name of a path cannot lead elsewhere.
    """
    return folder / department / recorder.hex() / f"{batch_number:012}.sealed"


def write_sealed(path: Path, sealed: bytes) -> None:
    """Return once a sealed batch is on disk, whole, in the place of one that was there; raise OSError."""
    made = path.with_suffix(".new")
    with os.fdopen(os.open(made, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, _MODE), "wb") as file:
        file.write(sealed)
        file.flush()
        os.fsync(file.fileno())
    made.replace(path)
