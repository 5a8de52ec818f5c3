"""An exchange and a person service over a real network, by the commands: processes are killed, and no planted value is found anywhere."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from contracts.data_sharing.resources import ResourceDescription, ResourceItem
from sdk.client import Client
from sdk.data_exchange.exchange import genesis_hash, set_encryption_key
from sdk.joining import make_account_request, register_account
from sdk.persons.client import PersonClient
from sdk.persons.counts import CountBook, PersonLimits
from sdk.persons.numbers import NO_PERSON, normal_person, open_sealed_person, person_commitment
from sdk.system_contracts.audits import Audits
from sdk.system_contracts.catalogue import Catalogue
from sm_crypto.keystore import Signer, load_private_key, save_key
from sm_crypto.sm2 import PrivateKey
from tests.disk import files_holding

PROVIDER, CONSUMER, AUTHORITY = "11990100MB0000002X", "11990100MB00000031", "11990100MB0000001T"
RESOURCE = f"307013301/{secrets.randbelow(10**6):06d}"
"""Of this run: others publish on the same network."""
PERSON = "990101199001010000"
PAYLOAD_BYTES = 5 * 1024 * 1024
"""Two pieces."""
DAYS_MS = 86_400_000


@contextmanager
def service(network: Any, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A command that serves, and the address that it prints; ended, if it still runs, with the block."""
    command = [sys.executable, "-m", "sdk.cli.main", *arguments, "--host", "127.0.0.1", "--port", "0"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=network.made.folder
    )
    try:
        assert process.stdout is not None
        yield process, process.stdout.readline().strip()
    finally:
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=30)
        assert "Traceback" not in errors
        assert PERSON not in errors


def add_keys(network: Any, folder: Path) -> None:
    """Give the consumer, by an administrator of its own, and the authority, by its governor, an encryption key each."""
    administrator, consumer, authority = (PrivateKey.generate() for _ in range(3))
    for name, key in (("consumer", consumer), ("authority", authority)):
        save_key(folder / f"{name}.key", key, b"password", iterations=1_000)
    with network.client("data-bureau-governor") as governor:
        request = make_account_request(
            Signer(administrator), genesis_hash(governor), CONSUMER, "管理员", ("administrator",)
        )
        register_account(governor, request)
        Audits(governor).name_authority(AUTHORITY)
        assert set_encryption_key(governor, authority).department == AUTHORITY
    with Client(network.url(0), Signer(administrator)) as manager:
        assert set_encryption_key(manager, consumer).department == CONSUMER


def make_grant(network: Any) -> str:
    """Publish a resource that is shared without conditions, and ask for it; return the grant's id."""
    described = ResourceDescription(
        code=RESOURCE,
        name="房产登记批量数据",
        summary="按月交换",
        format="CSV",
        items=(ResourceItem("面积", "N"),),
        sharing_type=1,
        sharing_basis="",
        sharing_method="文件",
        update_cycle=4,
        data_class=3,
    )
    with network.client("land-clerk") as provider:
        Catalogue(provider).publish(resource=described, replaces=0)
    with network.client("housing-clerk") as consumer:
        now_ms = time.time_ns() // 1_000_000 - 60_000
        asked: dict[str, Any] = {"purpose": "楼盘表核对", "legal_basis": "示例", "items": [], "case_types": []}
        period = {"rows_per_day": 0, "from_ms": now_ms, "to_ms": now_ms + 30 * DAYS_MS}
        network.wait_until_level()
        receipt = consumer.call("sharing", "request", resource=RESOURCE, **asked, **period)
        return str(receipt.output).removeprefix("0x")


def test_a_payload_is_exchanged_and_a_person_committed_to(network: Any, tmp_path: Path) -> None:
    for name, text in (("password", "password"), ("person.key", bytes(range(32)).hex())):
        (tmp_path / name).touch(mode=0o600)
        (tmp_path / name).write_text(f"{text}\n")
    password = str(tmp_path / "password")
    opening = ["--encryption-password-file", password]
    add_keys(network, tmp_path)
    grant = make_grant(network)
    planted = secrets.token_hex(16)
    payload = f"{PERSON},{planted}\n".encode() + os.urandom(PAYLOAD_BYTES)
    source, sealed, target = tmp_path / "面积.csv", tmp_path / "out.govx", tmp_path / "opened.csv"
    source.write_bytes(payload)
    network.wait_until_level()
    _exchange(network, tmp_path, grant, source, sealed)
    (arrived,) = (tmp_path / "inbox" / PROVIDER).glob("*.govx")
    assert arrived.read_bytes() == sealed.read_bytes()
    received = network.run(
        *(
            "exchange",
            "receive",
            str(arrived),
            "--out",
            str(target),
            "--encryption-key",
            str(tmp_path / "consumer.key"),
        ),
        *opening,
        *network.account_options("housing-clerk", 2),
    )
    assert target.read_bytes() == payload
    assert (received["answer_text"]["en"], received["parcel"]["rows"]) == ("received as recorded", 1)
    _serve_persons(network, tmp_path, opening)
    network.wait_until_level()
    secret = (PERSON.encode(), planted.encode(), payload[60:100], bytes(range(32)))
    assert files_holding(network.made.folder, *secret) == []


def _exchange(network: Any, folder: Path, grant: str, source: Path, sealed: Path) -> None:
    """Send to an inbox that is killed after the first piece, and again to one that is started in its folder."""
    serving = ["exchange", "inbox", str(folder / "inbox"), "--department", CONSUMER, "--url", network.url(2)]
    sending = ["exchange", "send", str(source), "--grant", grant, "--rows", "1", "--out", str(sealed)]
    sending += network.account_options("land-clerk", 1)
    with service(network, *serving) as (process, url):
        kept = folder / "inbox"
        with subprocess.Popen(
            [sys.executable, "-m", "sdk.cli.main", *sending, "--to", url, "--json"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as sender:
            network.wait(lambda: any(path.stat().st_size for path in kept.glob("*/.*.part")), "the first piece")
            process.kill()
            sender.kill()
    with service(network, *serving) as (_, url):
        sent = network.run(*sending, "--to", url)
    assert (sent["number"], sent["sent"], sent["consumer"]) == (1, True, CONSUMER)


def _serve_persons(network: Any, folder: Path, opening: list[str]) -> None:
    """Start the authority's service and ask it as a gateway does; then ask where it is gone."""
    authority_key = str(folder / "authority.key")
    person = normal_person(PERSON)
    serving = ["audit", "person-service", "--person-key", str(folder / "person.key"), "--url", network.url(0)]
    serving += ["--encryption-key", authority_key, *opening, "--counts", str(folder / "counts.db")]
    signer = network.signer("land-clerk")
    with Client(network.url(1), signer) as client:
        with (
            service(network, *serving) as (_, url),
            PersonClient(url, client, signer, AUTHORITY, timeout_s=60) as asking,
        ):
            assert asking.find(person).commitment == person_commitment(bytes(range(32)), person)
        with PersonClient(url, client, signer, AUTHORITY) as asking:
            found = asking.find(person)
    opened = open_sealed_person(load_private_key(Path(authority_key), b"password"), found.sealed)
    assert (found.commitment, opened) == (NO_PERSON, person)
    counts = CountBook(folder / "counts.db", PersonLimits())
    assert [(one.department, one.persons) for one in counts.days()] == [(PROVIDER, 1)]
    counts.close()
    assert PERSON.encode() not in (folder / "counts.db").read_bytes()
