"""Everything that a gateway works with, opened from its settings and closed together."""

from __future__ import annotations

import contextlib
import logging
import secrets
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from contracts.accounts import RECORDER
from contracts.data_sharing.access import STOP
from node.config import read_password_file
from sdk.access_recording.anchorer import Anchorer
from sdk.access_recording.recorder import Recorder
from sdk.access_recording.second_place import ArchiveFolder, BodyCopier, KeepingNode, authority_key
from sdk.client import Client
from sdk.gateway.config import GatewayConfig
from sdk.gateway.decision import Usage
from sdk.gateway.denials import Denied
from sdk.gateway.grant_book import GrantBook
from sdk.gateway.metrics import GatewayMetrics
from sdk.gateway.pace import MinutePace
from sdk.gateway.quotas import Quotas
from sdk.gateway.receipt_signing import ReceiptSigner
from sdk.gateway.routes import Route
from sdk.gateway.supply_beginning import SupplyBeginning
from sdk.gateway.tokens import TOKEN_KEY_BYTES, TokenDesk
from sdk.persons.client import PersonClient
from sdk.request_signing import RequestSigner
from sdk.system_contracts.members import Members
from sdk.system_contracts.sharing import Sharing
from sm_crypto.keystore import Signer, load_key
from verification.errors import InputError

LOG: Final = logging.getLogger("govnode.gateway")


class GatewayParts:
    """What one gateway has. Make it by open_parts()."""

    def __init__(
        self,
        config: GatewayConfig,
        chain_id: int,
        book: GrantBook,
        recorder: Recorder,
        signer: RequestSigner,
        persons: PersonClient | None,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        supply: SupplyBeginning | None = None,
    ) -> None:
        """Take settings, the grants, the recorder whose key `signer` has, who finds commitments to persons, and who tells of supply."""
        self.config, self.chain_id, self.book, self.recorder = config, chain_id, book, recorder
        self.persons, self.now_ms, self.supply = persons, now_ms, supply
        self.department = recorder.store.department
        self.routes, self.places = config.make_routes(), config.make_places()
        self.forwarded = frozenset(name.lower().encode("ascii") for name in config.forward_headers)
        self.tokens = TokenDesk(secrets.token_bytes(TOKEN_KEY_BYTES))
        self.quotas = Quotas(
            lambda grant, since_ms: Usage(*recorder.store.usage(grant, since_ms)), config.make_quota_part()
        )
        self.denied = MinutePace(config.limits.denied_per_minute)
        self.persons_asked = MinutePace(config.limits.persons_per_minute)
        self.emptied: set[str] = set()
        """Operations whose answers had rows, and in them none of the items that their grants give."""
        self.receipts = ReceiptSigner(recorder, signer)
        self.metrics = GatewayMetrics()
        self.metrics.show("read_number", "Number of the last read in the stream", lambda: recorder.number)
        self.metrics.show("unanchored_seconds", "Since when the ledger lacks reads", self._unanchored_s)
        self.metrics.show("unplanned_reads", "Reads that are in no batch yet", lambda: recorder.unplanned)
        self.metrics.show("supply_unsaid", "Grants read under whose supply the ledger lacks", self.supply_unsaid)
        self.metrics.show("node_height", "Last block seen at the own node", lambda: book.sight.height)
        self.metrics.show("node_silent_seconds", "Since when the own node was not seen to follow", self._silent_s)

    def check_open(self) -> None:
        """Return if the department's policy lets reads go on; raise Denied RECORDING_STOPPED or CHAIN_UNREACHABLE."""
        if not self.recorder.is_open_for_reads():
            fault = self.recorder.fault
            raise Denied("RECORDING_STOPPED", "" if fault is None else fault.code)
        policy = self.recorder.policy
        if policy.on_outage == STOP and self._silent_s() > policy.stop_after_s:
            raise Denied("CHAIN_UNREACHABLE", self.book.sight.reason)

    def note_emptied(self, route: Route) -> None:
        """Note an answer of which nothing was left: its keys are no names of items, most likely, and `fields` does not say which."""
        self.metrics.count_emptied()
        if route.operation not in self.emptied:
            self.emptied.add(route.operation)
            LOG.warning(
                "%s: an answer had rows, and in them no item that its grant gives: `fields` of the route says which key is which item",
                route.operation,
            )

    def supply_unsaid(self) -> int:
        """Return under how many grants data was given without the ledger having it yet: their statutory clocks run."""
        return 0 if self.supply is None else self.supply.unsaid

    def _silent_s(self) -> float:
        return time.monotonic() - self.book.sight.seen_s

    def _unanchored_s(self) -> float:
        return max(0.0, (self.now_ms() - self.recorder.anchored_ms) / 1000)


@contextlib.contextmanager
def open_parts(config: GatewayConfig) -> Iterator[GatewayParts]:
    """Open what a gateway needs, record and anchor until the end of the block; raise GovnodeError or KeyFileError where it cannot.

    Reads that are on disk and not on the ledger at the end are sent at the next start.
    """
    signer = load_account(config)
    with contextlib.ExitStack() as stack:
        # Each thread that asks the node on its own has its own connection.
        asking, anchoring, finding, telling = (stack.enter_context(Client(config.node, signer)) for _ in range(4))
        department = find_department(asking)
        book = GrantBook(asking)
        book.start()
        stack.callback(book.close)
        recorder = stack.enter_context(Recorder(Path(config.store), department, signer.address, config.policy.make()))
        anchorer = Anchorer(recorder, anchoring)
        anchorer.start()
        stack.callback(anchorer.stop)
        _copy_bodies(config, signer, recorder, stack)
        persons = None
        if config.persons is not None:
            persons = stack.enter_context(
                PersonClient(config.persons.service, finding, signer, config.persons.authority)
            )
        supply = SupplyBeginning(Sharing(telling).start_supply)
        supply.start()
        stack.callback(supply.stop)
        yield GatewayParts(config, asking.chain_id, book, recorder, signer, persons, supply=supply)


def _copy_bodies(config: GatewayConfig, signer: RequestSigner, recorder: Recorder, stack: contextlib.ExitStack) -> None:
    """Bring each batch to the second places that the settings name."""
    places: list[ArchiveFolder | KeepingNode] = []
    if config.second_place.folder:
        places.append(ArchiveFolder(Path(config.second_place.folder)))
    if config.second_place.node:
        places.append(KeepingNode(stack.enter_context(Client(config.second_place.node, signer))))
    if places:
        own = stack.enter_context(Client(config.node, signer))
        copier = BodyCopier(recorder.store, places, lambda: authority_key(own))
        copier.start()
        stack.callback(copier.stop)


def load_account(config: GatewayConfig) -> Signer:
    """Return what signs for the settings' account; raise KeyFileError, or ConfigError for the file of the password."""
    return load_key(Path(config.key), read_password_file(Path(config.password_file)))


def find_department(client: Client) -> str:
    """Return the department of the client's account; raise InputError ROLE_MISSING where it may not record."""
    account = Members(client).account(client.address)
    if RECORDER not in account.roles:
        raise InputError(
            "ROLE_MISSING",
            f"网关的账户须有角色 {RECORDER}，现有 {', '.join(account.roles)}",
            f"a gateway's account needs the role {RECORDER}, it has {', '.join(account.roles)}",
        )
    return account.department
