"""Who calls: accounts looked up at the own node, and signed requests identified one at a time."""

from __future__ import annotations

import threading
import time
from typing import Final

from starlette.requests import Request

from explorer.auth import Authenticator, Caller
from sdk.client import Client
from sdk.system_contracts.members import Members

CALLER_KEPT_S: Final = 5.0
"""How long an account that was looked up counts as active: what is removed calls no longer than that."""
MAX_CALLERS_KEPT: Final = 10_000


class SignedCallers:
    """Names the account behind a signed request; may be asked from any thread."""

    def __init__(self, client: Client, http_names: frozenset[str]) -> None:
        """Take a client of the own node, and the names that requests may be made out to beside the address; they count from now on."""
        self._client = client
        self._kept: dict[bytes, tuple[float, Caller | None]] = {}
        self._lock = threading.Lock()
        now_ms = time.time_ns() // 1_000_000
        self._authenticator = Authenticator(client.chain_id, self._find, http_names, now_ms)

    def identify(self, request: Request, body: bytes) -> Caller:
        """Return the account that signed a request; raise Problem with the first check that fails."""
        # The authenticator's memory of nonces is for one thread at a time.
        with self._lock:
            return self._authenticator.identify(request, body)

    def _find(self, address: bytes) -> Caller | None:
        """Return the active account at a 20-byte address as of CALLER_KEPT_S ago or later, or None."""
        now_s = time.monotonic()
        kept = self._kept.get(address)
        if kept is not None and now_s - kept[0] < CALLER_KEPT_S:
            return kept[1]
        members = Members(self._client)
        caller = None
        if members.department_of(address):
            account = members.account(address)
            caller = Caller(address, account.department, frozenset(account.roles))
        if len(self._kept) >= MAX_CALLERS_KEPT:
            self._kept.clear()
        self._kept[address] = (now_s, caller)
        return caller
