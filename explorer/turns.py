"""Turns: work that takes processor time is done one piece after the other, only so much of it waits, and clients take turns."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import IPv4Address, ip_address, ip_network

from starlette.requests import Request

from explorer.problems import Problem


def client_of(request: Request) -> str:
    """Return whose turn a request takes: the client's address, of IPv6 the first 64 bits, which one subscriber has.

    Behind a proxy that is the address that the proxy names, where `http_proxies` lists the proxy, else the proxy's own.
    """
    host = "" if request.client is None else request.client.host
    try:
        address = ip_address(host)
    except ValueError:
        return host
    if isinstance(address, IPv4Address):
        return str(address)
    return str(address.ipv4_mapped or ip_network((int(address), 64), strict=False).network_address)


class Turns:
    """One piece of work at a time, of each waiting client in turn.

    Up to `max_waiting` wait, all of one client where nobody else does. Beyond, who comes takes the last place of the client with the
    most of them, which is refused; whoever has as many is refused himself. So nobody keeps others out by asking often.
    """

    def __init__(self, max_waiting: int) -> None:
        """Begin with nobody waiting."""
        self._max_waiting = max_waiting
        self._waiting: dict[str, deque[asyncio.Future[bool]]] = {}
        """Of each client those that wait, first come first; the client whose turn is next stands first."""
        self._is_taken = False

    @asynccontextmanager
    async def take(self, client: str) -> AsyncIterator[None]:
        """Wait for a turn and hold it; raise Problem VERIFICATIONS_TOO_MANY when too many wait."""
        if self._is_taken:
            await self._wait(client)
        self._is_taken = True
        try:
            yield
        finally:
            self._pass_on()

    async def _wait(self, client: str) -> None:
        if sum(map(len, self._waiting.values())) >= self._max_waiting:
            self._make_room(client)
        place = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(client, deque()).append(place)
        try:
            has_turn = await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled() and place.result():
                # It came at the moment when nobody wanted it any more.
                self._pass_on()
            raise
        if not has_turn:
            raise Problem("VERIFICATIONS_TOO_MANY")

    def _make_room(self, client: str) -> None:
        own = len(self._waiting.get(client, ()))
        most = max(self._waiting, key=lambda name: len(self._waiting[name]), default=client)
        if len(self._waiting.get(most, ())) <= own + 1:
            raise Problem("VERIFICATIONS_TOO_MANY")
        place = self._waiting[most].pop()
        if not place.done():
            place.set_result(False)

    def _pass_on(self) -> None:
        """Hand the turn to the client that waits longest since its last one, or to nobody."""
        while self._waiting:
            client = next(iter(self._waiting))
            places = self._waiting.pop(client)
            place = places.popleft()
            if places:
                self._waiting[client] = places
            if not place.done():
                # Taken until then: who comes in between waits.
                place.set_result(True)
                return
        self._is_taken = False
