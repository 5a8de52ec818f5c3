"""Who signed a request: the checks of docs/spec/signed-requests.md, in its order."""

from __future__ import annotations

import re
import time
from collections import Counter, deque
from collections.abc import Callable
from typing import Final, NamedTuple

from starlette.requests import Request
from starlette.types import Scope

from explorer.problems import Problem, Text
from node.chain.transaction import address_of
from node.http.signed_request import signed_request_digest
from sm_crypto import sm2

CLOCK_WINDOW_MS: Final = 60_000
MAX_NONCES_PER_KEY: Final = 10_000
MAX_NONCES_PER_DEPARTMENT: Final = 25_000
MAX_NONCES: Final = 100_000
"""Of all departments together, some 350 bytes of memory each; full for those that have their own nonces besides."""
NONCES_OF_ONES_OWN: Final = 500
"""What each department has room for, however many others fill the rest."""

_HEADER_FORMS: Final = {
    b"gov-key": (re.compile(rb"[0-9a-f]{128}"), Text("128 位小写十六进制", "128 lower-case hex digits")),
    b"gov-time": (re.compile(rb"0|[1-9][0-9]{0,14}"), Text("毫秒数", "a number of milliseconds")),
    b"gov-nonce": (re.compile(rb"[0-9a-f]{32}"), Text("32 位小写十六进制", "32 lower-case hex digits")),
    b"gov-signature": (re.compile(rb"[0-9a-f]{128}"), Text("128 位小写十六进制", "128 lower-case hex digits")),
}


class Caller(NamedTuple):
    """The account that signed a request: 20-byte address, its department's code, its roles."""

    address: bytes
    department: str
    roles: frozenset[str]


class _Used(NamedTuple):
    department: str
    public_key: bytes
    nonce: bytes


class NonceMemory:
    """The nonces used within the window, so that no signed request counts twice; bounded for each key, each department, and in all."""

    def __init__(self) -> None:
        """Start empty."""
        self._used: set[tuple[bytes, bytes]] = set()
        self._by_age: deque[tuple[int, _Used]] = deque()
        self._counts: Counter[bytes | str] = Counter()
        """Of each key, and of each department by its code."""

    def use(self, department: str, public_key: bytes, nonce: bytes, now_ms: int) -> None:
        """Remember a nonce of a department's key as used at `now_ms`; raise Problem when it was used before or there is no room."""
        self._forget(now_ms)
        if (public_key, nonce) in self._used:
            raise Problem("REQUEST_REPEATED")
        of_department = self._counts[department]
        if (
            self._counts[public_key] >= MAX_NONCES_PER_KEY
            or of_department >= MAX_NONCES_PER_DEPARTMENT
            or (len(self._used) >= MAX_NONCES and of_department >= NONCES_OF_ONES_OWN)
        ):
            raise Problem("TOO_MANY_SIGNED_REQUESTS")
        self._used.add((public_key, nonce))
        self._by_age.append((now_ms, _Used(department, public_key, nonce)))
        self._counts.update((public_key, department))

    def _forget(self, now_ms: int) -> None:
        # A request may be dated one window ahead and is good until one window after its date: two windows in all.
        while self._by_age and self._by_age[0][0] < now_ms - 2 * CLOCK_WINDOW_MS:
            _, used = self._by_age.popleft()
            self._used.discard((used.public_key, used.nonce))
            for name in (used.public_key, used.department):
                self._counts[name] -= 1
                if not self._counts[name]:
                    del self._counts[name]


class Authenticator:
    """Names the account behind a signed request, by the members contract's records."""

    def __init__(
        self,
        chain_id: int,
        find_account: Callable[[bytes], Caller | None],
        http_names: frozenset[str],
        start_ms: int,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        """Take the chain, the look-up of active accounts by address, and the ASCII names it answers to beside its address.

        Requests signed before `start_ms` are refused: this process does not know which of them another one has answered.
        """
        self._chain_id = chain_id
        self._find_account = find_account
        self._http_names = frozenset(name.lower().encode("ascii") for name in http_names)
        self._now_ms = now_ms
        self._start_ms = start_ms
        self._nonces = NonceMemory()

    def identify(self, request: Request, body: bytes) -> Caller:
        """Return the account that signed this request; raise Problem with the first check that fails."""
        key_hex, time_digits, nonce_hex, signature_hex = _signature_headers(request)
        authority = _authority(request, self._http_names)
        now_ms, time_ms = self._now_ms(), int(time_digits)
        if abs(now_ms - time_ms) > CLOCK_WINDOW_MS:
            raise Problem(
                "CLOCK_OUTSIDE_WINDOW",
                expected=Text(f" {now_ms} 前后 {CLOCK_WINDOW_MS} 毫秒以内", f"within {CLOCK_WINDOW_MS} ms of {now_ms}"),
                found=str(time_ms),
            )
        if time_ms < self._start_ms:
            raise Problem("SIGNED_BEFORE_START", found=str(time_ms))
        public_key, nonce = bytes.fromhex(key_hex), bytes.fromhex(nonce_hex)
        target: bytes = request.scope["raw_path"]
        if query := request.scope["query_string"]:
            target = target + b"?" + query
        digest = signed_request_digest(self._chain_id, request.method, authority, target, body, time_ms, nonce)
        try:
            sm2.verify(public_key, digest, bytes.fromhex(signature_hex))
        except (sm2.InvalidKey, sm2.InvalidSignature):
            raise Problem("SIGNATURE_INVALID") from None
        caller = self._find_account(address_of(public_key))
        if caller is None:
            raise Problem("ACCOUNT_UNKNOWN")
        self._nonces.use(caller.department, public_key, nonce, now_ms)
        return caller


def is_signed(scope: Scope) -> bool:
    """Return whether a request carries any of the four headers."""
    return any(name in _HEADER_FORMS for name, _ in scope["headers"])


def _signature_headers(request: Request) -> tuple[str, str, str, str]:
    """Return the four header values; raise Problem when one is missing, repeated or malformed."""
    if not is_signed(request.scope):
        raise Problem("SIGNATURE_REQUIRED")
    values: list[str] = []
    for name, (form, expected) in _HEADER_FORMS.items():
        found = [value for header, value in request.scope["headers"] if header == name]
        if len(found) != 1 or form.fullmatch(found[0]) is None:
            raise Problem(
                "SIGNATURE_MALFORMED",
                field=name.decode().title(),
                expected=Text(f"仅出现一次的{expected.zh}", f"{expected.en}, once"),
                found=f"× {len(found)}" if len(found) != 1 else found[0].decode("latin-1"),
            )
        values.append(found[0].decode("ascii"))
    return values[0], values[1], values[2], values[3]


def _authority(request: Request, http_names: frozenset[bytes]) -> bytes:
    """Return the lower-case Host header when it names this node; raise Problem otherwise."""
    hosts: list[bytes] = [value.lower() for header, value in request.scope["headers"] if header == b"host"]
    address, port = request.scope.get("server") or ("", None)
    # A socket that listens on IPv6 for both shows IPv4 addresses in mapped form.
    address = address.removeprefix("::ffff:")
    literal = f"[{address}]" if ":" in address else address
    own = {f"{literal}:{port}".encode()}
    if address == "::1" or address.startswith("127."):
        own.add(f"localhost:{port}".encode())
    if port == 80:
        own |= {name.rsplit(b":", 1)[0] for name in own}
    if len(hosts) != 1 or (hosts[0] not in own and hosts[0] not in http_names):
        raise Problem("AUTHORITY_UNKNOWN", found=b", ".join(hosts).decode("latin-1"))
    return hosts[0]
