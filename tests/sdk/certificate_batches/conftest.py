"""A department's clerk with a certificate that signs, the department's secret, and files of rows."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sdk.certificate_batches.archive import BatchArchive
from sdk.certificate_batches.issuing import known_identifiers, load_head
from sdk.certificate_batches.preparation import BatchPreparation, open_archive
from sdk.client import Client
from sm_crypto import x509
from sm_crypto.keystore import Signer, save_key
from sm_crypto.x509 import Certificate

SECRET = b"\7" * 32
TYPE_CODE = "11100000MB03271699001"
COLUMNS = ("serial", "number", "holder_name", "holder_code_type", "holder_code", "valid_from", "valid_to", "field:坐落")


@dataclass
class BatchOffice:
    """Everything that a clerk has at hand to issue a batch."""

    folder: Path
    node: Any
    client: Client
    signer: Signer
    chain: tuple[Certificate, ...]
    root: Certificate

    @property
    def archive_path(self) -> Path:
        return self.folder / "rows.govbatch"

    def write(self, rows: list[list[str]], columns: tuple[str, ...] = COLUMNS) -> Path:
        path = self.folder / "rows.csv"
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([columns, *rows])
        return path

    def rows(self, count: int) -> list[list[str]]:
        """Good rows, the highest serial first: the order of the file is not that of the batch."""
        return [
            [f"2026{place:07}", f"示{place}号", f"张{place}", "999", f"N{place}", "2026-05-01", "", f"示例路{place}号"]
            for place in range(count, 0, -1)
        ]

    def open(self, table: Path) -> BatchArchive:
        return open_archive(self.archive_path, table, load_head(self.client, TYPE_CODE, "2026-05-01"), SECRET)

    def load(self, archive: BatchArchive, table: Path) -> int:
        preparation = BatchPreparation(archive, SECRET, lambda step, done, total: None)
        return preparation.load(table, lambda asked: known_identifiers(self.client, asked))

    def prepare(self, archive: BatchArchive, table: Path) -> None:
        assert self.load(archive, table) == 0
        preparation = BatchPreparation(archive, SECRET, lambda step, done, total: None)
        preparation.draft()
        preparation.build_tree()
        preparation.sign(self.signer, self.chain, self.node.chain.time_ms)


@pytest.fixture
def office(node: Any, tmp_path: Path) -> Iterator[BatchOffice]:
    now_ms = node.chain.time_ms
    root = x509.issue_root("Demo City Root", now_ms=now_ms)
    department = x509.issue_department(root, "11990100MB0000002X", "示范局", now_ms=now_ms)
    person = x509.issue_person(department, "签发人", node.chain.clerk.public_key, now_ms=now_ms)
    signer = Signer(node.chain.clerk)
    with Client(node.url, signer) as client:
        yield BatchOffice(tmp_path, node, client, signer, (person, department.certificate), root.certificate)


@pytest.fixture
def cert_batch(office: BatchOffice, run: Callable[..., Any]) -> Callable[..., Any]:
    """Run `govnode cert batch` on a file with the clerk's key, and return status, output and errors."""
    folder = office.folder
    save_key(folder / "clerk.key", office.node.chain.clerk, b"password", iterations=1_000)
    (folder / "password").touch(mode=0o600)
    (folder / "password").write_text("password\n")
    (folder / "secret").write_text(SECRET.hex() + "\n")
    (folder / "chain.pem").write_text("".join(one.pem for one in office.chain))

    def call(table: Path, *more: object) -> Any:
        options = {
            "--type": TYPE_CODE,
            "--url": office.node.url,
            "--key": folder / "clerk.key",
            "--password-file": folder / "password",
            "--holder-secret": folder / "secret",
            "--chain": folder / "chain.pem",
            "--archive": office.archive_path,
        }
        named = [text for pair in options.items() for text in pair]
        return run("cert", "batch", table, *named, "--json", *more)

    return call
