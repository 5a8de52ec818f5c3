"""HTTP clients to nodes and departments' services: no proxies of the environment, no redirects, TLS verified where there is TLS."""

from __future__ import annotations

import functools
import ssl

import httpx


def open_http(scheme: str, timeout: httpx.Timeout | float) -> httpx.Client:
    """Return a client for addresses of a scheme, `http` or `https`; close it.

    Those of https share one context with the usual authorities, which takes 20 ms to load; those of http load none.
    """
    verify = _authorities() if scheme == "https" else False
    # Nodes and services are on the departments' own network: proxies of the environment are not for them.
    return httpx.Client(timeout=timeout, trust_env=False, follow_redirects=False, verify=verify)


@functools.cache
def _authorities() -> ssl.SSLContext:
    return httpx.create_ssl_context(trust_env=False)
