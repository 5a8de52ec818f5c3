"""A small public key infrastructure, and loops, sockets and addresses to test the wire with."""

import asyncio
import inspect
import socket
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import msgspec
import pytest
import uvloop
from OpenSSL import SSL

from node.config import Address
from sm_crypto import tls, x509
from sm_crypto.sm2 import PrivateKey

T = TypeVar("T")

NODES = ("node1", "node2", "node3", "node4")


class Identity(msgspec.Struct, frozen=True):
    """A node's transport key, its chain of certificates, and the root that it trusts."""

    key: PrivateKey
    chain: list[x509.Certificate]
    root: x509.Certificate

    def server_context(self) -> SSL.Context:
        return tls.server_context(self.key, self.chain, [self.root])

    def client_context(self) -> SSL.Context:
        return tls.client_context(self.key, self.chain, [self.root])


def issue(root: x509.Authority, code: str, name: str, *, is_person: bool = False) -> Identity:
    now_ms = time.time_ns() // 1_000_000
    department = x509.issue_department(root, code, f"department {code}", now_ms=now_ms)
    key = PrivateKey.generate()
    make = x509.issue_person if is_person else x509.issue_node
    leaf = make(department, name, key.public_key, now_ms=now_ms)
    return Identity(key, [leaf, department.certificate], root.certificate)


@pytest.fixture(scope="session")
def root() -> x509.Authority:
    return x509.issue_root("test network", now_ms=time.time_ns() // 1_000_000)


@pytest.fixture(scope="session")
def identities(root: x509.Authority) -> dict[str, Identity]:
    """Node i of the network belongs to department Di; `stranger` is known to the root, `forger` to another root.

    `node5` and `node6` are newcomers of D5 and D6; `rival` is D6's with the name node5.
    """
    made = {name: issue(root, f"D{index}", name) for index, name in enumerate(NODES, 1)}
    other_root = x509.issue_root("another network", now_ms=time.time_ns() // 1_000_000)
    made["stranger"] = issue(root, "D9", "stranger")
    made |= {name: issue(root, name.replace("node", "D"), name) for name in ("node5", "node6")}
    made["rival"] = issue(root, "D6", "node5")
    made["impostor"] = issue(root, "D9", "node2")
    made["person"] = issue(root, "D2", "node2", is_person=True)
    forged = issue(other_root, "D2", "node2")
    made["forger"] = Identity(forged.key, forged.chain, root.certificate)
    return made


@pytest.fixture
def issue_node(root: x509.Authority) -> Callable[[str, str], Identity]:
    """Make one more node of a department."""
    return lambda code, name: issue(root, code, name)


class Cleanup:
    """Closes what a test opened on the loop: uvloop does not end with open sockets."""

    def __init__(self) -> None:
        self.closers: list[Callable[[], object]] = []

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end on the event loop that nodes use, then close everything."""

        async def bounded() -> T:
            try:
                return await asyncio.wait_for(work, 60)
            finally:
                for close in reversed(self.closers):
                    closing = close()
                    if inspect.isawaitable(closing):
                        await closing
                await asyncio.sleep(0.05)

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(bounded())


@pytest.fixture
def cleanup() -> Cleanup:
    return Cleanup()


@pytest.fixture
def run(cleanup: Cleanup) -> Callable[[Coroutine[Any, Any, T]], T]:
    """Run a coroutine to its end on the event loop that nodes use."""
    return cleanup.run


@pytest.fixture(params=["127.0.0.1", "::1"])
def loopback(request: pytest.FixtureRequest) -> Address:
    """A loopback address of each family, port 0; skipped where the machine has no such interface."""
    host: str = request.param
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.bind((host, 0))
    except OSError as error:
        pytest.skip(f"this machine has no loopback address {host}: {error}")
    return Address(host, 0)


async def _until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.005)


@pytest.fixture
def until() -> Callable[[Callable[[], bool]], Coroutine[Any, Any, None]]:
    """Wait until a condition holds; the runner's limit ends a wait for what never comes."""
    return _until
