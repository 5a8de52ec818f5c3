"""What the demonstration reads through: a data service, the gateway before it, and the auditing authority's person service."""

from __future__ import annotations

import contextlib
import secrets
import socket
from pathlib import Path
from typing import Final, Self

from contracts.accounts import RECORDER
from sdk.data_exchange.exchange import set_encryption_key
from sdk.demo_network import wait_until_height
from sdk.demo_process import DemoProcess
from sdk.demo_stage import CATCH_UP_TIMEOUT_S, GOVERNOR, PROVIDER, DemoFailed, Stage
from sdk.persons.numbers import PERSON_KEY_BYTES
from sdk.secret_files import write_secret
from sdk.system_contracts.audits import Audits
from sm_crypto.keystore import Signer
from sm_crypto.sm2 import PrivateKey

GATEWAY_ACCOUNT: Final = "land-gateway"
AUTHORITY_KEY: Final = "authority-encryption"
"""What the files of the auditing authority's encryption key are called."""
HEARTBEAT_S: Final = 60
HOST: Final = "127.0.0.1"
FIRST_PORT: Final = 8_561
LAST_PORT: Final = 8_660
"""Below those that the system gives to outgoing connections: one of those may be taken again before a service is up."""
SETTINGS: Final = """# The access gateway of {department}: `govnode gateway check` explains it.
listen = "{listen}"
service = "http://{service}"
node = "{node}"
key = "land-gateway.key"
password_file = "land-gateway.password"
store = "gateway-reads.sqlite"

[policy]
anchor_after_s = 1
heartbeat_s = {heartbeat_s}
bodies_at = "http://{listen}"

[persons]
service = "http://{persons}"
authority = "{authority}"

[[routes]]
method = "GET"
path = "/titles"
resource = "{resource}"
rows = "rows"
envelope = ["code"]
person = "query:number"
"""


class ReadServices:
    """Three processes, which come up while other steps go on, and a fourth for the reader's own records; they end with the `with` block."""

    def __init__(self, stage: Stage, resource: str) -> None:
        """Name the auditing authority, register the gateway's account, and start three on free ports of this machine."""
        self._stage = stage
        self.authority = stage.network.account(GOVERNOR).department
        self.authority_key = PrivateKey.generate()
        self.person_key = secrets.token_bytes(PERSON_KEY_BYTES)
        self.settings = stage.out / "gateway.toml"
        self._processes = contextlib.ExitStack()
        listen, service, persons, self._keeper = hold_addresses(self._processes, 4)
        self.gateway, self.persons = f"http://{listen}", f"http://{persons}"
        self.records = f"http://{self._keeper}"
        self.data = f"http://{service}"
        self._running: list[DemoProcess] = []
        with stage.client(GOVERNOR) as governor:
            Audits(governor).name_authority(department=self.authority)
            set_encryption_key(governor, self.authority_key)
            self._start_persons(persons)
            provider = stage.network.account(PROVIDER).department
            key, height = stage.add_account(governor, provider, GATEWAY_ACCOUNT, RECORDER)
        self.recorder = Signer(key).address
        node = stage.network.nodes[stage.node_of(PROVIDER)].url
        text = SETTINGS.format(
            department=provider,
            listen=listen,
            service=service,
            node=node,
            heartbeat_s=HEARTBEAT_S,
            persons=persons,
            authority=self.authority,
            resource=resource,
        )
        self.settings.write_text(text, "utf-8")
        with stage.client(None, stage.node_of(PROVIDER)) as client:
            wait_until_height(client, height, CATCH_UP_TIMEOUT_S)
        self._start("data-service", "sdk.demo_data_service", service.rpartition(":")[2])
        self._start("gateway", "sdk.cli.main", "gateway", "--config", self.settings)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *ended: object) -> None:
        for process in self._running:
            process.terminate()
        self._processes.close()

    def wait(self) -> None:
        """Return when all three answer, to be called once; raise DemoFailed where one ended."""
        for process in self._running:
            process.url()

    def keep_records(self, store: Path, account: str) -> None:
        """Have the reads of an account's store answered for at `records`, and copied to the second place, from now on."""
        port, options = self._keeper.rpartition(":")[2], self._stage.account_options(account)
        copies = ("--reads-archive", self._stage.second_place)
        self._start("records-service", "sdk.cli.main", "access", "keep", store, "--port", port, *copies, *options)

    def is_answering(self) -> bool:
        """Return whether the service of `records` answers by now."""
        host, _, port = self._keeper.rpartition(":")
        try:
            socket.create_connection((host, int(port)), timeout=1).close()
        except OSError:
            return False
        return True

    def _start(self, name: str, module: str, *words: str | Path) -> None:
        process = DemoProcess(self._stage.out / f"{name}.log", module, *words)
        self._running.append(self._processes.enter_context(process))

    def _start_persons(self, address: str) -> None:
        out = self._stage.out
        write_secret(out / "person.key", self.person_key.hex())
        key, password = self._stage.save_key(AUTHORITY_KEY, self.authority_key)
        words = (
            "--person-key",
            out / "person.key",
            "--encryption-key",
            key,
            "--encryption-password-file",
            password,
            "--counts",
            out / "person-counts.sqlite",
            "--port",
            address.rpartition(":")[2],
            "--url",
            self._stage.network.nodes[self._stage.node_of(GOVERNOR)].url,
        )
        self._start("person-service", "sdk.cli.main", "audit", "person-service", *words)


def hold_addresses(held: contextlib.ExitStack, count: int) -> list[str]:
    """Return addresses of this machine that nobody else takes before the services listen there; raise DemoFailed where too few are free."""
    found: list[str] = []
    for port in range(FIRST_PORT, LAST_PORT + 1):
        probe = held.enter_context(socket.socket())
        try:
            probe.bind((HOST, port))
        except OSError:
            continue
        # Set now, it lets a service that sets it too, as servers do, listen there; another demonstration's probe does not get it.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.append(f"{HOST}:{port}")
        if len(found) == count:
            return found
    ports = f"{FIRST_PORT}-{LAST_PORT}"
    raise DemoFailed("PORTS_TAKEN", f"本机端口 {ports} 均已占用", f"the ports {ports} of this machine are taken")
