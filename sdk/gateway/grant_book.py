"""What the gateway knows of grants and accounts: read from its department's own node, kept until a block changes them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from contracts.data_sharing.sharing import RequestRecord
from contracts.records import ADDRESSES
from explorer.auth import Caller
from sdk.client import Client
from sdk.errors import NodeUnreachable, RequestRefused
from sdk.gateway.denials import Denied
from sdk.system_contracts.audits import Audits
from sdk.system_contracts.members import Members
from sdk.system_contracts.sharing import Sharing
from verification.errors import GovnodeError

POLL_S: Final = 0.05
"""How long a block that stops a grant may have been final at the node before the gateway knows."""
RETRY_S: Final = 0.5
MAX_KEPT: Final = 10_000
"""Grants, and accounts: the oldest give way, and are asked for again."""
MAX_LOGS_BLOCKS: Final = 1_000
"""Blocks whose events are asked for at once; further behind, everything kept is forgotten instead."""
CHAIN_STILL_MS: Final = 120_000
"""A node whose last block is older than this is cut off from its network: four times the interval of empty blocks."""

_FOLLOWED: Final = [f"0x{ADDRESSES[name].hex()}" for name in ("sharing", "members")]
_MEMBERS: Final = f"0x{ADDRESSES['members'].hex()}"


class _Changed(NamedTuple):
    """What blocks have changed: grants by their ids, None for any of them, and whether accounts too."""

    grants: set[bytes] | None
    accounts: bool


_EVERYTHING: Final = _Changed(None, True)


class ChainSight(NamedTuple):
    """How the node was last seen: its head, and when by the monotonic clock it was last known to follow its network."""

    height: int
    seen_s: float
    reason: str
    """Why it is not followed now; empty when it is."""


class GrantBook:
    """Grants and accounts, by their ids; its look-ups may be called from any thread, and ask the node for what is not kept."""

    def __init__(
        self,
        client: Client,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        still_ms: int = CHAIN_STILL_MS,
    ) -> None:
        """Take a client of the department's node for its own; nothing is asked yet."""
        self._client, self._now_ms, self._still_ms = client, now_ms, still_ms
        self._lock = threading.Lock()
        self._asking = threading.Lock()
        self._grants: dict[bytes, RequestRecord] = {}
        self._accounts: dict[bytes, Caller | None] = {}
        self._generation = 0
        self._sight = ChainSight(0, time.monotonic(), "")
        self._is_ended = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="grant-book", daemon=True)

    def start(self) -> None:
        """Read where the chain stands and follow it from there; raise GovnodeError where the node does not answer."""
        height, reason = self._look()
        self._sight = ChainSight(height, time.monotonic(), reason)
        self._thread.start()

    def close(self) -> None:
        """End the following; the client stays open."""
        self._is_ended.set()
        self._thread.join()

    @property
    def sight(self) -> ChainSight:
        """How the node was last seen."""
        return self._sight

    def kept_grant(self, grant: bytes) -> RequestRecord | None:
        """Return a grant if it is kept, without asking."""
        return self._grants.get(grant)

    def kept_account(self, address: bytes) -> Caller | None:
        """Return an active account if it is kept, without asking."""
        return self._accounts.get(address)

    def grant(self, grant: bytes) -> RequestRecord:
        """Return the record of a grant as of the node's last block; raise Denied GRANT_UNKNOWN or CHAIN_UNREACHABLE."""
        found = self._grants.get(grant)
        if found is None:
            found = self._load(self._grants, grant, self._ask_grant)
        if found is None:
            raise Denied("GRANT_UNKNOWN")
        return found

    def find_caller(self, address: bytes) -> Caller | None:
        """Return the active account of an active department at a 20-byte address, or None; raise Denied CHAIN_UNREACHABLE."""
        found = self._accounts.get(address)
        return found if found is not None else self._load(self._accounts, address, self._ask_account)

    def query_recorded_ms(self, number: int, account: bytes, digest: bytes) -> int:
        """Return when (block time) an account recorded the audit query of this number and digest, 0 for none; raise Denied."""
        try:
            with self._asking:
                return Audits(self._client).query_recorded_ms(number=number, account=account, digest=digest)
        except (NodeUnreachable, RequestRefused) as error:
            raise Denied("CHAIN_UNREACHABLE", error.code) from None

    def _load(self, kept: dict[bytes, Any], name: bytes, ask: Callable[[bytes], Any]) -> Any:
        while True:
            generation = self._generation
            try:
                # One connection, one question at a time.
                with self._asking:
                    found = ask(name)
            except (NodeUnreachable, RequestRefused) as error:
                raise Denied("CHAIN_UNREACHABLE", error.code) from None
            with self._lock:
                # A block that came in between may have changed just this.
                if generation != self._generation:
                    continue
                if found is not None:
                    if len(kept) >= MAX_KEPT:
                        del kept[next(iter(kept))]
                    kept[name] = found
                return found

    def _ask_grant(self, grant: bytes) -> RequestRecord | None:
        try:
            return Sharing(self._client).data_request(grant)
        except RequestRefused as error:
            if error.code != "REQUEST_UNKNOWN":
                raise
            return None

    def _ask_account(self, address: bytes) -> Caller | None:
        members = Members(self._client)
        if not members.department_of(address):
            return None
        account = members.account(address)
        return Caller(address, account.department, frozenset(account.roles))

    def _follow(self) -> None:
        wait_s = POLL_S
        while not self._is_ended.wait(wait_s):
            try:
                height, reason = self._look()
                if height != self._sight.height:
                    self._forget_changed(self._sight.height + 1, height)
                seen_s = self._sight.seen_s if reason else time.monotonic()
                self._sight = ChainSight(height, seen_s, reason)
                wait_s = POLL_S
            except (GovnodeError, KeyError, TypeError, ValueError) as error:
                self._sight = self._sight._replace(reason=getattr(error, "code", type(error).__name__))
                wait_s = RETRY_S

    def _forget_changed(self, first: int, last: int) -> None:
        """Forget what events of these blocks are about; everything where there are too many blocks, they go back, or events are not had."""
        changed = self._find_changed(first, last) if 0 <= last - first < MAX_LOGS_BLOCKS else _EVERYTHING
        with self._lock:
            self._generation += 1
            if changed.accounts:
                self._accounts.clear()
            if changed.grants is None:
                self._grants.clear()
            else:
                for name in changed.grants:
                    self._grants.pop(name, None)

    def _find_changed(self, first: int, last: int) -> _Changed:
        """Return what events of these blocks are about; raise NodeUnreachable, after which the same blocks are asked for again."""
        wanted = {"fromBlock": hex(first), "toBlock": hex(last), "address": _FOLLOWED}
        grants: set[bytes] | None = set()
        has_accounts = False
        try:
            with self._asking:
                logs = self._client.rpc("eth_getLogs", wanted)
            for log in logs:
                if log["address"].lower() == _MEMBERS:
                    has_accounts = True
                elif len(log["topics"]) < 2:
                    grants = None
                elif grants is not None:
                    grants.add(bytes.fromhex(log["topics"][1][2:]))
        # Too many events, blocks that the node does not have, or no answer of this form: to ask again would not help.
        except (RequestRefused, KeyError, TypeError, ValueError, AttributeError):
            return _EVERYTHING
        return _Changed(grants, has_accounts)

    def _look(self) -> tuple[int, str]:
        """Return the node's height, and why what it says may be old: a chain that stands still shows no grant that was stopped."""
        with self._asking:
            status = self._client.status()
        height, age_ms = int(status["height"]), self._now_ms() - int(status["head_time_ms"])
        return height, "CHAIN_STANDS_STILL" if age_ms > self._still_ms else ""
