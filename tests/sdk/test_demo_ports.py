"""The demonstration's services get ports that nobody takes between their choice and the moment that they listen."""

from __future__ import annotations

import contextlib
import socket

from sdk.demo_read_services import hold_addresses


def test_ports_that_are_held_are_nobody_elses_and_their_own_services_listen_there() -> None:
    with contextlib.ExitStack() as held, contextlib.ExitStack() as others:
        own, theirs = hold_addresses(held, 2), hold_addresses(others, 2)
        assert not set(own) & set(theirs)
        host, _, port = own[0].rpartition(":")
        with socket.create_server((host, int(port))) as service, socket.create_connection((host, int(port)), 30):
            assert own[0] not in hold_addresses(others, 1)
            service.accept()[0].close()
