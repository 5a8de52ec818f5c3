"""A certificate instead of a paper copy, as issuer, holder and a second department do it through the command line on a running network."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from contracts.identifiers import make_identifier
from sm_crypto.keystore import load_key, save_key
from sm_crypto.sm2 import PrivateKey
from tests.planted import files_with, identity_number, make_mark, rare_name

pytestmark = pytest.mark.e2e

LAND, HOUSING = "11990100MB0000002X", "11990100MB00000031"
TYPE_CODE, PURPOSE = "11100000MB03271699001", "办理商品房预售核验"
COLUMNS = (
    "serial",
    "holder_name",
    "holder_code_type",
    "holder_code",
    "holder_key",
    "valid_from",
    "field:坐落",
    "field:面积",
)
MARK = make_mark()
HOLDER_CODE, HOLDER_NAME, ADDRESS = identity_number(MARK), rare_name(), f"示例路{MARK}号"
PLANTED: dict[str | bytes, str] = {MARK: "holder's number or address", HOLDER_NAME: "holder's name"}


class Desk:
    """The issuer's folder with a batch of two certificates; the second one's holder has a key."""

    def __init__(self, network: Any, folder: Path) -> None:
        self.network, self.folder = network, folder
        self.kept = folder / "kept"
        """What the service writes: its store, what it records, and its log."""
        self.kept.mkdir()
        self.land, self.housing = (network.made.account(name) for name in ("land-clerk", "housing-clerk"))
        self.password = folder / "password"
        self.password.touch(mode=0o600)
        self.password.write_text("password\n")
        self.keys = {name: self._key(name) for name in ("clerk", "holder")}
        self.chain = folder / "chain.pem"
        network.run(
            *("department", "person", str(self.keys["clerk"]), str(self.chain), "--department", LAND),
            *("--name", "加注签发人", "--network", str(network.made.folder)),
        )
        self.archive = folder / "rows.govbatch"
        self._issue()
        code = "307003001/0042"
        network.run(
            *("catalogue", "publish", code, "--name", "电子证照共享", "--summary", "凭持证人授权领取电子证照"),
            *("--item", "证照:C", "--sharing", "unconditional"),
            *network.account_options("land-clerk", 1),
        )
        asked = network.run(
            *("share", "request", code, "--purpose", "核验证照", "--legal-basis", "政务数据共享条例"),
            *("--from", "2020-01-01", "--to", "2099-12-31"),
            *network.account_options("housing-clerk", 2),
        )
        self.grant = str(asked["request"])

    def _key(self, name: str) -> Path:
        path = self.folder / f"{name}.key"
        save_key(path, PrivateKey.generate(), b"password", iterations=1_000)
        return path

    def _issue(self) -> None:
        holder = load_key(self.keys["holder"], b"password").public_key.hex()
        rows = self.folder / "rows.csv"
        with rows.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            for place in (1, 2):
                code = HOLDER_CODE if place == 2 else f"N{place}"
                kind = "111" if place == 2 else "999"
                key = holder if place == 2 else ""
                writer.writerow([f"2026900000{place}", HOLDER_NAME, kind, code, key, "2026-05-01", ADDRESS, "98.5"])
        issued = self.network.run(
            *("cert", "batch", str(rows), "--type", TYPE_CODE, "--chain", str(self.land_chain()), "--accept"),
            *("--archive", str(self.archive), "--holder-secret", str(self.land.holder_secret)),
            *self.network.account_options("land-clerk", 1),
        )
        assert issued["count"] == 2

    def land_chain(self) -> Path:
        """The clerk's account key as a person who signs batches."""
        chain = self.folder / "land.pem"
        self.network.run(
            *("department", "person", str(self.land.key), str(chain), "--department", LAND),
            *("--name", "签发人", "--network", str(self.network.made.folder)),
        )
        return chain

    def identifier(self, place: int) -> str:
        return make_identifier(TYPE_CODE, LAND, f"2026900000{place}")

    def held(self) -> list[str]:
        options = {
            "--store": self.kept / "sharing.sqlite",
            "--archive": self.archive,
            "--holder-secret": self.land.holder_secret,
        }
        return [str(part) for pair in options.items() for part in pair]

    def outcomes(self, count: int) -> list[int]:
        """Return what became of the fetches that the desk recorded, once the ledger has `count` of them."""
        store, reads = self.kept / "sharing.sqlite-reads", self.folder / "reads.json"
        recorder = "0x" + self.network.signer("land-clerk").address.hex()
        stream = f"{self.network.url(3)}/api/v1/access-streams/{LAND}/{recorder}"
        # Not by `access streams`: it ends with 1 while any stream of the network is late, those of other tests too.
        self.network.wait(
            lambda: int(httpx.get(stream, timeout=60, trust_env=False, verify=False).json().get("number", 0)) >= count,
            f"{count} reads of the desk on the ledger",
        )
        assert self.network.run("access", "check", str(store), "--url", self.network.url(3))["findings"] == []
        self.network.run("access", "export", str(store), "--out", str(reads), "--grant", self.grant)
        return [read["outcome"] for read in json.loads(reads.read_text("utf-8"))]

    def fetch(self, service: str, out: str, *more: str, status: int = 0) -> Any:
        return self.network.run(
            *("cert", "fetch", "--service", service, "--purpose", PURPOSE, "--grant", self.grant, "--case", "2026-7"),
            *("--system", "预售系统", "--out", str(self.folder / out), *more),
            *("--trust", str(self.network.made.trust)),
            *self.network.account_options("housing-clerk", 2),
            status=status,
        )


@pytest.fixture(scope="module")
def desk(running_network: Any, tmp_path_factory: pytest.TempPathFactory) -> Desk:
    return Desk(running_network, tmp_path_factory.mktemp("desk"))


@pytest.fixture(scope="module")
def service(desk: Desk) -> Iterator[str]:
    """The address of the land bureau's service, a process of its own."""
    signing = ["--signing-key", str(desk.keys["clerk"]), "--signing-password-file", str(desk.password)]
    recording = ["--anchor-after", "0", "--reads-archive", str(desk.kept / "second-place")]
    command = [*desk.held(), "--chain", str(desk.chain), *signing, "--port", "0", *recording]
    program = [sys.executable, "-m", "sdk.cli.main", "cert", "serve"]
    with (desk.kept / "service.log").open("wb") as log:
        process = subprocess.Popen(
            [*program, *command, *desk.network.account_options("land-clerk", 1)],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    assert process.stdout is not None
    yield process.stdout.readline().strip()
    process.terminate()
    process.communicate(timeout=30)
    assert process.returncode == 0


def test_a_holder_lets_a_department_fetch_and_takes_it_back(desk: Desk, service: str) -> None:
    network, folder = desk.network, desk.folder
    document, statement = folder / "document.json", folder / "statement.json"
    network.run(
        *("cert", "archive", "export", str(desk.archive), desk.identifier(2), "--out", str(document)),
        *("--holder-secret", str(desk.land.holder_secret)),
    )
    holder = ["--key", str(desk.keys["holder"]), "--password-file", str(desk.password), "--url", network.url(3)]
    made = network.run(
        *("cert", "authorise", str(document), "--recipient", HOUSING, "--purpose", PURPOSE, "--show", "坐落"),
        *("--until", "2099-12-31", "--fetches", "2", "--service", service, "--out", str(statement), *holder),
    )
    # Everybody on the machine sees a command line.
    refused = desk.fetch(service, "copy.json", made["id"], "--holder-code", HOLDER_CODE, status=1)
    assert refused["error"]["code"] == "IDENTITY_NUMBER"
    (folder / "holder-code").write_text(f"{HOLDER_CODE}\n")
    found = desk.fetch(service, "copy.json", made["id"], "--holder-code-file", str(folder / "holder-code"))
    assert found["values"] == {"坐落": ADDRESS}
    network.wait_until_level(found["height"])

    # The holder sees it on any node, the copy verifies, and the auditor has the read.
    listed = network.run("cert", "authorisations", str(document), "--url", network.url(0))["authorisations"]
    assert [(one["recipient"], int(one["fetch_count"])) for one in listed] == [(HOUSING, 1)]
    copy, proof = folder / "copy.json", folder / "proof.json"
    network.run(
        "proof",
        "export",
        desk.identifier(2),
        "--archive",
        str(desk.archive),
        "--out",
        str(proof),
        "--url",
        network.url(0),
    )
    recipient = json.loads(copy.read_text("utf-8"))["annotation"]["recipient"]
    given = ("--document", str(copy), "--recipient", recipient, "--trust", str(network.made.trust))
    assert network.run("verify", str(proof), *given)["document"]["code"] == "GENUINE"
    assert desk.outcomes(1) == [1]

    network.run("cert", "withdraw", str(statement), "--service", service, *holder)
    refused = desk.fetch(service, "again.json", made["id"], status=1)
    assert refused["error"]["code"] == "AUTHORISATION_WITHDRAWN"
    assert desk.outcomes(2) == [1, 2]
    assert files_with(network.made.folder, PLANTED) == set()
    assert files_with(desk.kept, PLANTED) == set()
