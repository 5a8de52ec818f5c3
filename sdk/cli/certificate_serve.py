"""govnode cert serve: an issuer's service for holders' authorisations and authorised fetches."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from sdk.cli.bilingual import Command
from sdk.cli.certificate_authorisation import holding_options
from sdk.cli.options import FILE, FOLDER, key_options, open_signer, read_holder_secret, url_option
from sdk.cli.serving import serve_until_stopped

if TYPE_CHECKING:
    from sdk.access_recording.recorder import Recorder
    from sdk.client import Client
    from sdk.gateway.supply_beginning import SupplyBeginning

DEFAULT_PORT: Final = 8_580
ARCHIVE_NAME: Final = "archive"
"""What the ledger says of a second place that is a folder of the department's own."""


@click.command("serve", cls=Command)
@holding_options
@click.option(
    "--chain",
    type=FILE,
    required=True,
    help="签署加注件者的证书与部门证书（PEM）/ Certificates of the person who signs copies and of the department, PEM.",
)
@click.option("--signing-key", type=FILE, required=True, help="签署加注件的密钥文件 / Key file that signs copies.")
@click.option(
    "--signing-password-file", type=FILE, help="其口令文件（0600）/ File (0600) with the password of --signing-key."
)
@click.option("--host", default="127.0.0.1", show_default=True, help="监听地址 / Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65_535), default=DEFAULT_PORT, show_default=True, help="端口 / Port.")
@click.option(
    "--http-name",
    "http_names",
    multiple=True,
    help="请求中可用的主机名（含端口），可多次给出 / A name, with its port, that requests may be made out to; repeatable.",
)
@click.option(
    "--reads",
    type=FILE,
    help="访问记录库，默认在 --store 旁 / The store of access records; beside --store by default.",
)
@click.option(
    "--reads-archive", type=FOLDER, help="访问记录密封副本的归档目录 / Folder for sealed copies of access records."
)
@click.option(
    "--records-url",
    default="",
    help="对外的 /gov/records 地址，声明在账本上 / Where auditors ask for records; declared on the ledger.",
)
@click.option(
    "--anchor-after",
    type=click.IntRange(0, 60),
    default=5,
    show_default=True,
    help="访问记录至迟几秒后上链 / A record is on the ledger after at most so many seconds.",
)
@click.option(
    "--person-service",
    help="审计机关人员承诺服务的地址 / Address of the auditing authority's service of commitments to persons.",
)
@url_option
@key_options
def serve(
    store: Path,
    archives: tuple[Path, ...],
    documents: Path | None,
    files: Path | None,
    holder_secret: Path,
    chain: Path,
    signing_key: Path,
    signing_password_file: Path | None,
    host: str,
    port: int,
    http_names: tuple[str, ...],
    reads: Path | None,
    reads_archive: Path | None,
    records_url: str,
    anchor_after: int,
    person_service: str | None,
    url: str,
    key: Path,
    password_file: Path | None,
) -> None:
    """颁发机构的证照领取服务，直至 Ctrl-C / Issuer: serve authorised fetches of certificates until Ctrl-C.

    --key 为本部门专用的记录账户（角色 recorder）；应答含个人信息，对外须置于 TLS 代理之后 / --key is a recorder's account for this service
    alone. Answers are personal data: put a TLS proxy before it.
    """
    from sdk.access_recording.policy import RecordingPolicy
    from sdk.access_recording.recorder import Recorder
    from sdk.certificate_sharing.desk import Desk
    from sdk.certificate_sharing.holdings import Holdings
    from sdk.certificate_sharing.service import make_service
    from sdk.certificate_sharing.statements import Statements
    from sdk.certificate_sharing.store import SharingStore
    from sdk.client import Client
    from sdk.department_services.accounts import SignedCallers
    from sdk.documents import read_limited
    from sdk.persons.client import PersonClient
    from sdk.system_contracts.audits import Audits
    from sm_crypto.x509 import MAX_PEM_BYTES
    from verification.certificate_files.seals import decode_certificates
    from verification.errors import InputError

    if not archives and documents is None:
        raise InputError("NOTHING_TO_SERVE", "给出 --archive 或 --documents", "give --archive or --documents")
    secret = read_holder_secret(holder_secret)
    certificates = decode_certificates(read_limited(chain, MAX_PEM_BYTES), str(chain))
    signer = open_signer(signing_key, signing_password_file)
    holdings = Holdings(archives, documents, files, secret)
    recording_signer = open_signer(key, password_file)
    with contextlib.ExitStack() as opened:
        client = opened.enter_context(Client(url, recording_signer))
        book = SharingStore(store)
        opened.callback(book.close)
        statements = Statements(client, holdings, book)
        place = "" if reads_archive is None else ARCHIVE_NAME
        policy = RecordingPolicy(bodies_at=records_url, second_place=place, anchor_after_s=anchor_after)
        path = store.with_name(f"{store.name}-reads") if reads is None else reads
        recorder = opened.enter_context(Recorder(path, statements.department, client.address, policy))
        persons = None
        if person_service is not None:
            authority = Audits(client).authority()
            persons = opened.enter_context(PersonClient(person_service, client, recording_signer, authority))
        supply = _tell_of_supply(opened, opened.enter_context(Client(url, recording_signer)))
        desk = Desk(statements, signer, certificates, recorder, persons, supply=supply)
        _start(opened, recorder, client, reads_archive)
        serve_until_stopped(make_service(desk, SignedCallers(client, frozenset(http_names))), host, port)


def _tell_of_supply(opened: contextlib.ExitStack, client: Client) -> SupplyBeginning:
    """Begin to tell the ledger of each grant that a first copy was handed out under it."""
    from sdk.gateway.supply_beginning import SupplyBeginning
    from sdk.system_contracts.sharing import Sharing

    supply = SupplyBeginning(Sharing(client).start_supply)
    supply.start()
    opened.callback(supply.stop)
    return supply


def _start(opened: contextlib.ExitStack, recorder: Recorder, client: Client, archive: Path | None) -> None:
    """Begin to put reads on the ledger, and their sealed copies into the archive."""
    from sdk.access_recording.anchorer import Anchorer
    from sdk.access_recording.second_place import ArchiveFolder, BodyCopier, authority_key

    anchorer = Anchorer(recorder, client)
    anchorer.start()
    opened.callback(anchorer.stop)
    if archive is not None:
        copier = BodyCopier(recorder.store, [ArchiveFolder(archive)], lambda: authority_key(client))
        copier.start()
        opened.callback(copier.stop)
