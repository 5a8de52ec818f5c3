"""The multi-buffer library is optional: where no compiler works, the build ends well and without it."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]


@pytest.fixture
def build(tmp_path: Path) -> Path:
    """A copy of what the build of the library reads."""
    if importlib.util.find_spec("setuptools") is None:
        pytest.skip("setuptools is not installed here")
    (tmp_path / "sm_crypto").mkdir()
    for name in ("setup.py", "sm_crypto/_multibuffer.c"):
        shutil.copy(PROJECT / name, tmp_path / name)
    return tmp_path


def test_a_missing_compiler_leaves_the_library_out(build: Path) -> None:
    command = [sys.executable, "setup.py", "--quiet", "build_ext", "--build-lib", "out", "--build-temp", "work"]
    environment = {**os.environ, "CC": str(build / "no-such-compiler")}
    done = subprocess.run(command, cwd=build, env=environment, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert not list(build.rglob("*.so"))
