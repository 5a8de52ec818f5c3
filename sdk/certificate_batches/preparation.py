"""From a file of rows to a signed batch in its archive, step by step: each can be cut off anywhere and is taken up again."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Final

from contracts.batches import MAX_BATCH_COUNT, leaf_hashes
from contracts.certificate_records import CertificateContent
from contracts.identifiers import FIRST_VERSION, parse_identifier
from sdk.certificate_batches.archive import BLOCK_HASHES, BatchArchive, BatchTree, Source, Stage
from sdk.certificate_batches.rows import BatchHead, BatchRow, RowReader, draft_row, row_particulars
from sdk.documents import file_sm3
from sdk.tables.lines import RowFault, invalid_table
from sdk.tables.opening import open_table
from sm_crypto.keystore import Signer
from sm_crypto.sm3 import hmac_sm3, merkle_level_above
from sm_crypto.x509 import Certificate
from verification.certificate_files.document import document_secrets, draft_contents
from verification.certificate_files.seals import sign_batch
from verification.errors import InputError

ROWS_AT_ONCE: Final = 5_000
"""Rows of one transaction; what a crash costs at most."""
MANIFEST_TAG: Final = b"govnode/batch-manifest/1".ljust(64, b"\0")

Progress = Callable[[str, int, int], None]
"""Told the step, how many are done, and of how many (0 where that is not known)."""
KnownIdentifiers = Callable[[Sequence[str]], set[str]]
"""Tells which of the identifiers the ledger has already."""


class BatchPreparation:
    """The steps of one batch up to its signature; none of them reaches the ledger."""

    def __init__(self, archive: BatchArchive, department_secret: bytes, progress: Progress) -> None:
        """Take an archive at any stage; raise InputError SECRET_DIFFERS where its documents were made under another secret."""
        if archive.secret_check != secret_check(department_secret):
            raise secret_differs()
        self.archive = archive
        self._secret = department_secret
        self._progress = progress

    def load(self, table: Path, known: KnownIdentifiers) -> int:
        """Keep every row of the file, checked, and return how many faults were found; LOADED is reached where there are none.

        `known` is asked for all identifiers. Raises InputError where the file is no table, or another than before.
        """
        if self.archive.stage > Stage.LOADING:
            return 0
        head = self.archive.head
        with open_table(table) as opened:
            reader = RowReader(table, opened.names, head)
            found = map(reader.read, opened)
            done = 0
            while rows := list(islice(found, ROWS_AT_ONCE)):
                self.archive.add_rows([*rows, *_known_faults(rows, known)])
                done += len(rows)
                if done > MAX_BATCH_COUNT:
                    raise invalid_table(table, 1, f"至多 {MAX_BATCH_COUNT} 行", f"at most {MAX_BATCH_COUNT} rows")
                self._progress("load", done, 0)
        if not done:
            raise invalid_table(table, 2, "至少一行数据", "at least one row")
        self._find_versions()
        if not self.archive.fault_count:
            self.archive.end_loading()
        return self.archive.fault_count

    def draft(self) -> None:
        """Give every certificate its position and what its leaf says; DRAFTED is reached."""
        total, done = self.archive.count, self.archive.drafted_count
        head, names = self.archive.head, self.archive.source.field_names
        while self.archive.stage < Stage.DRAFTED:
            rows = self.archive.rows(done, ROWS_AT_ONCE)
            contents = self._contents(head, names, rows)
            is_last = done + len(rows) == total
            self.archive.add_certificates(done, contents, Stage.DRAFTED if is_last else Stage.LOADED)
            done += len(rows)
            self._progress("draft", done, total)

    def build_tree(self) -> None:
        """Keep all levels of the Merkle tree, its root and the digest of the manifest; ROOTED is reached."""
        if self.archive.stage >= Stage.ROOTED:
            return
        builder = _TreeBuilder(self.archive, self._progress)
        self.archive.save_tree(builder.blocks(), builder.finish())

    def sign(self, signer: Signer, chain: Sequence[Certificate], now_ms: int) -> None:
        """Keep the issuer's one signature over the batch; SIGNED is reached."""
        if self.archive.stage >= Stage.SIGNED:
            return
        tree = self.archive.tree
        self.archive.save_signature(
            sign_batch(tree.name, tree.count, tree.root, tree.manifest_digest, signer, chain, now_ms)
        )

    def _contents(self, head: BatchHead, names: Sequence[str], rows: Sequence[BatchRow]) -> list[CertificateContent]:
        secrets = document_secrets(self._secret, [row.identifier for row in rows])
        try:
            return draft_contents(
                [row_particulars(head, names, row, secret) for row, secret in zip(rows, secrets, strict=True)]
            )
        except InputError:
            # One after another, to name the line.
            return [self._content(head, names, row) for row in rows]

    def _content(self, head: BatchHead, names: Sequence[str], row: BatchRow) -> CertificateContent:
        try:
            return draft_row(head, names, row, self._secret).content
        except InputError as error:
            zh, en = f"第 {row.line} 行：{error.zh}", f"line {row.line}: {error.en}"
            raise InputError(error.code, zh, en) from None

    def _find_versions(self) -> None:
        """Add a fault for each serial that stands under two versions, and for each row of a later one: no leaf counts with it."""
        self.archive.add_faults(_version_faults(self.archive.serials()))


class _TreeBuilder:
    """Levels of a tree, a block at a time: two blocks of a level are all that is in memory."""

    def __init__(self, archive: BatchArchive, progress: Progress) -> None:
        self._archive = archive
        self._progress = progress
        self._count = archive.count
        self._manifest = hashlib.new("sm3", MANIFEST_TAG)
        self._root = b""

    def blocks(self) -> Iterator[tuple[int, int, bytes]]:
        """Yield level, number and hashes of each block; a level is asked for again once it has been kept."""
        yield from self._leaves()
        level, count = 0, self._count
        while count > 1:
            above = (count + 1) >> 1
            for number in range(-(-above // BLOCK_HASHES)):
                yield level + 1, number, self._above(level, number)
            level, count = level + 1, above
        self._root = self._archive.block(level, 0)

    def finish(self) -> Iterator[BatchTree]:
        """Yield what the ledger is told, once all blocks were taken."""
        first, last = (
            parse_identifier(self._archive.content(position).identifier).serial for position in (0, self._count - 1)
        )
        yield BatchTree(self._archive.name(first), first, last, self._count, self._root, self._manifest.digest())

    def _leaves(self) -> Iterator[tuple[int, int, bytes]]:
        contents = self._archive.encoded_contents()
        number = 0
        while encoded := list(islice(contents, BLOCK_HASHES)):
            self._manifest.update(b"".join(encoded))
            yield 0, number, b"".join(leaf_hashes(encoded))
            number += 1
            self._progress("tree", min(number * BLOCK_HASHES, self._count), self._count)

    def _above(self, level: int, number: int) -> bytes:
        below = self._archive.block(level, 2 * number) + self._archive.block(level, 2 * number + 1)
        return merkle_level_above(below)


def open_archive(path: Path, table: Path, head: BatchHead, department_secret: bytes) -> BatchArchive:
    """Return the archive of the batch that a file asks for: a new one, or the one that was begun.

    One that was cut off while its rows were loaded begins anew. Raises InputError ARCHIVE_OF_ANOTHER where the archive was made
    from another file or for another type or issuer.
    """
    with open_table(table) as opened:
        source = Source(file_sm3(table), RowReader(table, opened.names, head).field_names)
    if path.exists():
        archive = BatchArchive(path)
        try:
            before = archive.head
            is_same = archive.source == source and (before.type_code, before.issuer_code) == (
                head.type_code,
                head.issuer_code,
            )
            if not is_same:
                raise _of_another(archive)
            if archive.stage > Stage.LOADING:
                return archive
        except BaseException:
            archive.close()
            raise
        archive.remove()
    return BatchArchive.create(path, head, source, secret_check(department_secret))


def _of_another(archive: BatchArchive) -> InputError:
    """Return the error of an archive that stands where another was asked for, with what to do."""
    zh, en = (
        f"{archive.path} 是另一文件、类型或部门的批次档案",
        f"{archive.path} is the archive of another file, type or department",
    )
    if archive.stage == Stage.ISSUED:
        zh, en = f"{zh}，且已颁发：请换一个档案名", f"{en}, and is issued: choose another name"
    else:
        zh = f"{zh}，没有颁发的记载：若是本表改正之前的，加 --anew 删去它重新制作，否则换一个档案名"
        en = f"{en}, and nothing in it says that it was issued: where it is of this file before you corrected it, add --anew, which "
        en += "deletes it and begins anew; otherwise choose another name"
    return InputError("ARCHIVE_OF_ANOTHER", zh, en)


def secret_check(department_secret: bytes) -> bytes:
    """Return 32 bytes that tell a department's secret from another and nothing about it."""
    return hmac_sm3(department_secret, b"govnode/batch-secret-check/1")


def secret_differs() -> InputError:
    """Return the error of a department's secret that is not the one an archive was made under."""
    return InputError(
        "SECRET_DIFFERS",
        "部门密钥不是制作该档案时所用的，请用 --holder-secret 指明原来的密钥文件",
        "the department's secret is not the one the archive was made under; name its file with --holder-secret",
    )


def _version_faults(serials: Iterator[tuple[str, str, int]]) -> Iterator[RowFault]:
    before, line_before = "", 0
    for serial, identifier, line in serials:
        version = parse_identifier(identifier).version
        if serial == before:
            zh, en = f"与第 {line_before} 行的流水号相同", f"the same serial as in line {line_before}"
            yield RowFault(line, "serial", "SERIAL_TWICE", serial, zh, en)
        elif version != FIRST_VERSION:
            zh = f"批次中的证照为版本 {FIRST_VERSION}；以后的版本单独颁发，或另用流水号"
            en = f"certificates of a batch have the version {FIRST_VERSION}; issue later ones singly, or under other serials"
            yield RowFault(line, "version", "VERSION_LATER", version, zh, en)
        before, line_before = serial, line


def _known_faults(rows: Sequence[BatchRow | list[RowFault]], known: KnownIdentifiers) -> Iterator[list[RowFault]]:
    taken = known([row.identifier for row in rows if isinstance(row, BatchRow)])
    for row in rows:
        if isinstance(row, BatchRow) and row.identifier in taken:
            zh, en = "账本上已有这份证照", "the ledger has this certificate already"
            yield [RowFault(row.line, "identifier", "CERTIFICATE_EXISTS", row.identifier, zh, en)]
