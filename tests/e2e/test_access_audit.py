"""An audit over a real network: reads through a gateway end up in a trace that an auditor makes, verifies offline and reports on."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from contracts.data_sharing.access import SERVED
from contracts.data_sharing.resources import UNCONDITIONAL
from sdk.access_recording.anchorer import Anchorer
from sdk.access_recording.recorder import Recorder
from sdk.access_recording.second_place import ArchiveFolder, BodyCopier, authority_key
from sdk.client import Client
from sdk.data_exchange.exchange import set_encryption_key
from sdk.errors import RequestRefused
from sdk.gateway.consumer import Case, GatewayConsumer
from sdk.gateway.receipts import state_read
from sdk.trust import load_trust
from sm_crypto.keystore import Signer, save_key
from sm_crypto.sm2 import PrivateKey
from tests.commands import run_command
from tests.e2e.test_gateway_kills import BUREAU, LAND, GatewayProcess, Office, consumer, service, start_gateway
from tests.served import serve
from verification.access.reads import CONSUMER_SIDE, PROVIDER_SIDE
from verification.access.rules import AuditFacts
from verification.access.trace_verification import verify_trace

pytestmark = pytest.mark.e2e
__all__ = ["consumer", "serve", "service", "start_gateway"]

READS = 12


def govnode(*arguments: object) -> tuple[int, dict[str, Any]]:
    """Run the command line and return its status and JSON."""
    ran = run_command(*map(str, arguments), "--json")
    shown: dict[str, Any] = json.loads(ran.stdout or ran.stderr)
    return ran.returncode, shown


def test_every_read_of_both_sides_is_in_an_auditors_trace(
    network: Any,
    tmp_path: Path,
    service: str,
    consumer: tuple[Signer, Recorder],
    start_gateway: Callable[[Path], GatewayProcess],
) -> None:
    signer, own = consumer
    office = Office(network, tmp_path, LAND, 1, service)
    office.publish("land-clerk", UNCONDITIONAL)
    grant = office.ask()
    with network.client("data-bureau-governor") as governor:
        named = governor.call("audits", "name_authority", department=BUREAU)
    network.wait_until_level(named.height)
    start_gateway(office.config)
    answered = []
    with Client(network.url(2), signer) as client:
        with GatewayConsumer(f"http://{office.listen}", client, signer, grant, "预售", own) as gate:
            for number in range(READS):
                answered.append(gate.read(f"/owners/{number}", Case(f"2026-{number}", "预售")).read)
            with pytest.raises(RequestRefused):
                gate.read("/elsewhere", Case("2026-7", "预售"))
        Anchorer(own, client).anchor_all()
    last = len(office.reads())
    network.wait(lambda: anchored(network, office) >= last, "every read of the gateway on the ledger")
    network.wait_until_level()

    archive = keep_second_copies(network, own, tmp_path)
    trace, trust = tmp_path / "trace.gvt", network.made.folder / "trust.json"
    options = network.account_options("data-bureau-auditor", 3)
    wanted = ("--from", "2020-01-01", "--grant", grant.hex(), "--basis", "审通〔2026〕7号", "--out", trace)
    second = (
        "--archive",
        archive,
        "--open-with",
        tmp_path / "authority.key",
        "--open-password-file",
        tmp_path / "password",
    )
    status, shown = govnode("audit", "trace", *wanted, *second, "--trust", trust, *options)
    # The provider's reads come from its gateway, the consumer's from their second place; what they hold since is not due yet.
    assert (shown["is_sound"], shown["altered"]) == (True, []), shown
    made = status
    assert status == (0 if shown["is_complete"] else 3), shown
    assert signer.address.hex() in {stream["recorder"] for stream in shown["pending_streams"]}, shown
    withheld_by = {batch["recorder"] for batch in shown["withheld"]}
    assert withheld_by.isdisjoint(address.hex() for address in (office.signer.address, signer.address))
    facts = AuditFacts()
    with trace.open("rb") as file:
        verdict = verify_trace(file.read, load_trust(trust).anchor, facts.listener())
    assert verdict.is_sound
    traced = Counter(
        read.details.read_id for read in facts.reads if read.side == PROVIDER_SIDE and read.outcome == SERVED
    )
    assert traced == Counter(read.details.read_id for read in answered)
    stated = [state_read(read) for read in facts.reads]
    assert all(read in stated for read in answered)
    both = Counter(
        read.details.read_id for read in facts.reads if read.side == CONSUMER_SIDE and read.outcome == SERVED
    )
    assert both == traced

    report_on(trace, office.resource, "--trust", trust, *options)
    again, shown = govnode("verify", trace, "--trust", trust)
    # By then what a stream of the network owed may be due.
    assert (again in (made, 3), shown["matches"]) == (True, verdict.matches)


def report_on(trace: Path, resource: str, *options: object) -> None:
    """Report on a trace, with the resource by its name, and verify the report as whoever gets it does."""
    report, table = trace.with_name("report.pdf"), trace.with_name("reads.csv")
    status, shown = govnode("audit", "report", trace, "--pdf", report, "--reads-csv", table, *options)
    assert status == 0, shown
    assert f",{resource},房屋权利人," in table.read_text("utf-8-sig")
    status, shown = govnode("audit", "verify", report, *options[:2])
    assert (status, shown["department"]) == (0, BUREAU)


def keep_second_copies(network: Any, own: Recorder, folder: Path) -> Path:
    """Seal what the consumer recorded to the auditing authority, into an archive; return its folder."""
    key = PrivateKey.generate()
    save_key(folder / "authority.key", key, b"password", iterations=1_000)
    password = folder / "password"
    password.touch(mode=0o600)
    password.write_bytes(b"password")
    with network.client("data-bureau-governor") as governor:
        set_encryption_key(governor, key)
    network.wait_until_level()
    archive = folder / "archive"
    with network.client(index=2) as client:
        copier = BodyCopier(own.store, [ArchiveFolder(archive)], lambda: authority_key(client))
        while copier.step():
            pass
    return archive


def anchored(network: Any, office: Office) -> int:
    with network.client(index=0) as client:
        stream = client.view("access", "stream", department=LAND, recorder=office.signer.address)
    return int(stream["number"])
