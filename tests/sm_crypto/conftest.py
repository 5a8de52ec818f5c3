"""Fixtures for cryptography: vectors, one engine after the other, OpenSSL's command line, a small public-key tree."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sm_crypto import engines, multibuffer, x509
from sm_crypto.errors import EngineUnavailable
from sm_crypto.multibuffer import Multibuffer
from sm_crypto.sm2 import PrivateKey

VECTORS = Path(__file__).parent / "vectors"
NOW_MS = 1_785_000_000_000
DISTINGUISHED_ID = "distid:1234567812345678"


def _forget_engines() -> None:
    for choice in (multibuffer.forced_engine, multibuffer.batch_engine, engines.scalar_engine):
        choice.cache_clear()


@pytest.fixture
def vectors() -> Callable[[str], Any]:
    return lambda name: json.loads((VECTORS / f"{name}.json").read_text(encoding="utf-8"))


@pytest.fixture
def force_engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str | None], None]]:
    """Make sm2 and sm3 work with the named engine until the test ends; None chooses as a start does."""

    def force(name: str | None) -> None:
        if name is None:
            monkeypatch.delenv(multibuffer.ENGINE_VARIABLE, raising=False)
        else:
            monkeypatch.setenv(multibuffer.ENGINE_VARIABLE, name)
        _forget_engines()

    force(None)
    yield force
    monkeypatch.undo()
    _forget_engines()


@pytest.fixture
def available_engines() -> tuple[str, ...]:
    """The engines that can run here: multibuffer needs its library and AVX-512 IFMA."""
    try:
        Multibuffer()
    except EngineUnavailable:
        return ("openssl", "gmssl")
    return multibuffer.ENGINE_NAMES


@pytest.fixture(params=multibuffer.ENGINE_NAMES)
def engine(request: pytest.FixtureRequest, force_engine: Callable[[str | None], None]) -> str:
    """Run the test once with each engine."""
    name: str = request.param
    force_engine(name)
    try:
        engines.engine_report()
    except EngineUnavailable as reason:
        pytest.skip(str(reason))
    return name


@pytest.fixture(scope="session")
def openssl() -> Callable[..., subprocess.CompletedProcess[bytes]]:
    """OpenSSL's command line; skips where there is none with SM2."""
    program = shutil.which("openssl")

    def run(*arguments: str | Path, text: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        assert program is not None
        command = [program, *map(str, arguments)]
        return subprocess.run(command, input=text, capture_output=True, timeout=30, check=False)

    if program is None or run("ecparam", "-name", "SM2", "-genkey", "-noout").returncode != 0:
        pytest.skip("this machine has no openssl command with SM2")
    return run


@pytest.fixture(scope="session")
def root() -> x509.Authority:
    return x509.issue_root("Demo City Root", now_ms=NOW_MS)


@pytest.fixture(scope="session")
def department(root: x509.Authority) -> x509.Authority:
    return x509.issue_department(root, "11330100002489513F", "市数据局", now_ms=NOW_MS)


@pytest.fixture(scope="session")
def node_key() -> PrivateKey:
    return PrivateKey.generate()


@pytest.fixture(scope="session")
def node_certificate(department: x509.Authority, node_key: PrivateKey) -> x509.Certificate:
    return x509.issue_node(department, "node1", node_key.public_key, now_ms=NOW_MS)
