"""Build the optional multi-buffer library where a C compiler and Intel's archive are found; leave it out elsewhere."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

from setuptools import Extension, setup


def _distribution_file(distribution: str, name: str) -> Path | None:
    """Return where an installed distribution keeps the first file called `name`, or None when it is absent."""
    try:
        files = importlib.metadata.files(distribution) or []
    except importlib.metadata.PackageNotFoundError:
        return None
    for file in files:
        if file.name == name:
            return Path(str(file.locate())).resolve()
    return None


def _extensions() -> list[Extension]:
    archive = _distribution_file("ipp-crypto-static", "libcrypto_mb.a")
    header = _distribution_file("ipp-crypto-include", "ec_sm2.h")
    if archive is None or header is None:
        return []
    return [
        Extension(
            "sm_crypto._multibuffer",
            sources=["sm_crypto/_multibuffer.c"],
            include_dirs=[str(header.parent.parent)],
            extra_objects=[str(archive)],
            extra_compile_args=["-O2", "-std=c11", "-fvisibility=hidden", "-Wall", "-Wextra"],
            # Nothing of the archive may stand in for a symbol of another library in the process.
            extra_link_args=["-Wl,--exclude-libs,ALL", "-Wl,-Bsymbolic", "-Wl,-z,noexecstack"],
            optional=True,
        )
    ]


setup(ext_modules=_extensions())
