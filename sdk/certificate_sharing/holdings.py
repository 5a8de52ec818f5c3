"""Where an issuer's documents are: archives of batches, and a folder of single documents with the files attached to them."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

from contracts.identifiers import CertificateIdentifier, parse_identifier
from contracts.refusals import Refused
from sdk.certificate_batches.archive import BatchArchive
from sdk.certificate_batches.documents import document_of
from sdk.certificate_sharing.exchange import MAX_FILE_BYTES
from sdk.documents import read_limited
from sm_crypto.sm3 import sm3
from verification.certificate_files.document import MAX_DOCUMENT_FILE_BYTES, CertificateDocument, decode_document
from verification.errors import InputError


class Holdings:
    """Finds the document of a certificate by its identifier, and attached files by their SM3."""

    def __init__(
        self,
        archives: Sequence[Path],
        documents: Path | None,
        files: Path | None,
        department_secret: bytes,
    ) -> None:
        """Take archives, a folder of documents called `IDENTIFIER.json`, and one of attached files called by their SM3.

        Every archive is opened once, so that a wrong one or another secret is told now.
        """
        self._archives = [(path, _range_of(path)) for path in archives]
        self._documents, self._files = documents, files
        self._secret = department_secret
        self._lock = threading.Lock()

    def document(self, identifier: str) -> CertificateDocument:
        """Return a certificate's document; raise InputError CERTIFICATE_NOT_HELD, or ARCHIVE_BUSY while another process has the archive."""
        try:
            parsed = parse_identifier(identifier)
        except Refused as refused:
            raise InputError(refused.code, *refused.texts) from None
        with self._lock:
            for path, held in self._archives:
                if held[:2] == (parsed.type_code, parsed.issuer_code) and held[2] <= parsed.serial <= held[3]:
                    with BatchArchive(path) as archive:
                        try:
                            return document_of(archive, parsed.text, self._secret)
                        except InputError as error:
                            if error.code != "NOT_IN_ARCHIVE":
                                raise
        return self._single(parsed)

    def file(self, digest: str, file_type: str) -> bytes:
        """Return an attached file by its SM3 in hex digits; raise InputError FILE_NOT_HELD where it is not there, or changed."""
        path = None if self._files is None else self._files / f"{digest}.{file_type}"
        if path is None or not path.is_file():
            raise _file_not_held(f"{digest[:16]}….{file_type}")
        data = read_limited(path, MAX_FILE_BYTES)
        if sm3(data).hex() != digest:
            raise _file_not_held(path.name)
        return data

    def _single(self, parsed: CertificateIdentifier) -> CertificateDocument:
        path = None if self._documents is None else self._documents / f"{parsed.text}.json"
        if path is not None and path.is_file():
            document = decode_document(read_limited(path, MAX_DOCUMENT_FILE_BYTES))
            if document.core.identifier == parsed.text:
                return document
        raise InputError(
            "CERTIFICATE_NOT_HELD",
            f"本机构的档案与文件夹中没有 {parsed.text} 的证照文件；文件夹中的须名为 {parsed.text}.json",
            f"neither archives nor folder of this issuer hold the document of {parsed.text}; in the folder it is called {parsed.text}.json",
        )


def _range_of(path: Path) -> tuple[str, str, str, str]:
    """Return type, issuer, first and last serial of a signed batch's archive."""
    with BatchArchive(path) as archive:
        return archive.head.type_code, archive.head.issuer_code, archive.tree.first, archive.tree.last


def _file_not_held(name: str) -> InputError:
    return InputError(
        "FILE_NOT_HELD",
        f"附件文件夹中没有内容相符的 {name}",
        f"the folder of attached files holds no {name} with this content",
    )
