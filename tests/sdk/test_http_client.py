"""Clients verify TLS wherever there is TLS, and pay for the authorities only there."""

from __future__ import annotations

import ssl
from typing import Any

import httpcore
import pytest

from sdk import http_client
from sdk.http_client import open_http


def contexts(monkeypatch: pytest.MonkeyPatch, *schemes: str) -> list[Any]:
    """Return what clients of these schemes verify TLS with."""
    given: list[Any] = []

    class Noted(httpcore.ConnectionPool):
        def __init__(self, **options: Any) -> None:
            given.append(options["ssl_context"])
            super().__init__(**options)

    monkeypatch.setattr(httpcore, "ConnectionPool", Noted)
    http_client._authorities.cache_clear()
    for scheme in schemes:
        open_http(scheme, 1.0).close()
    return given


def test_https_is_verified_by_one_context_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = contexts(monkeypatch, "https", "https")
    assert first is second
    assert (first.verify_mode, first.check_hostname) == (ssl.CERT_REQUIRED, True)


def test_http_loads_no_authorities(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [context.cert_store_stats()["x509_ca"] for context in contexts(monkeypatch, "http")] == [0]
    assert http_client._authorities.cache_info().misses == 0
