"""What an issuer keeps of authorisations and fetches beside the ledger: one SQLite file that only its owner can read."""

from __future__ import annotations

import os
import sqlite3
import threading
from pathlib import Path
from typing import Final

import msgspec

from sdk.secret_files import SECRET_MODE
from verification.authorisations import Authorisation, decode_authorisation
from verification.certificate_files.document import encode_file
from verification.errors import InputError

APPLICATION_ID: Final = 0x676F7673
"""What the file's header has where SQLite keeps the application's number: `govs`."""
STORE_VERSION: Final = 1
BUSY_TIMEOUT_S: Final = 5.0

_TABLES: Final = (
    "CREATE TABLE authorisation (id BLOB PRIMARY KEY, identifier TEXT NOT NULL, recipient TEXT NOT NULL, "
    "content BLOB NOT NULL, wrong_codes INTEGER NOT NULL DEFAULT 0)",
    "CREATE INDEX authorisation_of ON authorisation (identifier, recipient)",
    "CREATE TABLE fetch (request BLOB PRIMARY KEY, content BLOB NOT NULL) WITHOUT ROWID",
)


class KeptFetch(msgspec.Struct, frozen=True):
    """What makes the answer to a request again, byte for byte, and its number among the fetches: 0 while the ledger has not counted it."""

    made_ms: int
    expires_ms: int
    signature: str
    number: int = 0


class SharingStore:
    """Holders' statements, and the journal of fetches: a fetch that a crash cut off is finished, not counted twice."""

    def __init__(self, path: Path) -> None:
        """Open the file, making it where there is none; raise InputError STORE_INVALID on another file."""
        self.path = path
        self._lock = threading.Lock()
        if not path.exists():
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, SECRET_MODE))
        self._database = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
        try:
            self._open()
        except sqlite3.DatabaseError as error:
            self._database.close()
            raise _invalid(path, str(error)) from None

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def keep(self, authorisation: Authorisation) -> None:
        """Keep a statement, on disk, in place of one with its id that did not reach the ledger."""
        values = (
            bytes.fromhex(authorisation.id),
            authorisation.identifier,
            authorisation.recipient,
            encode_file(authorisation),
        )
        with self._lock:
            self._database.execute(
                "INSERT OR REPLACE INTO authorisation (id, identifier, recipient, content) VALUES (?, ?, ?, ?)", values
            )

    def authorisation(self, identifier: bytes) -> Authorisation | None:
        """Return a statement by its 32-byte id, or None."""
        return self._one("SELECT content FROM authorisation WHERE id = ?", (identifier,))

    def latest(self, certificate: str, recipient: str) -> Authorisation | None:
        """Return the statement that came last about a certificate (root included) for a department, or None."""
        query = "SELECT content FROM authorisation WHERE identifier = ? AND recipient = ? ORDER BY rowid DESC LIMIT 1"
        return self._one(query, (certificate, recipient))

    def wrong_guesses(self, identifier: bytes) -> int:
        """Return how many wrong one-time codes and details were told for an authorisation."""
        with self._lock:
            query = "SELECT wrong_codes FROM authorisation WHERE id = ?"
            found = self._database.execute(query, (identifier,)).fetchone()
        return 0 if found is None else int(found[0])

    def count_wrong_guess(self, identifier: bytes) -> None:
        """Count one more."""
        with self._lock:
            self._database.execute("UPDATE authorisation SET wrong_codes = wrong_codes + 1 WHERE id = ?", (identifier,))

    def fetch(self, request: bytes) -> KeptFetch | None:
        """Return what was kept of a request by its 32-byte digest, or None."""
        with self._lock:
            found = self._database.execute("SELECT content FROM fetch WHERE request = ?", (request,)).fetchone()
        return None if found is None else msgspec.msgpack.decode(found[0], type=KeptFetch)

    def keep_fetch(self, request: bytes, kept: KeptFetch) -> None:
        """Keep, on disk, how far a request is answered."""
        with self._lock:
            self._database.execute(
                "INSERT OR REPLACE INTO fetch VALUES (?, ?)", (request, msgspec.msgpack.encode(kept))
            )

    def forget_fetch(self, request: bytes) -> None:
        """Forget a request that the ledger refused."""
        with self._lock:
            self._database.execute("DELETE FROM fetch WHERE request = ?", (request,))

    def _one(self, query: str, values: tuple[object, ...]) -> Authorisation | None:
        with self._lock:
            found = self._database.execute(query, values).fetchone()
        return None if found is None else decode_authorisation(found[0])

    def _open(self) -> None:
        self._database.execute("PRAGMA synchronous=FULL")
        self._database.execute("BEGIN IMMEDIATE")
        names = [name for (name,) in self._database.execute("SELECT name FROM sqlite_master")]
        if not names:
            self._database.execute(f"PRAGMA application_id={APPLICATION_ID}")
            self._database.execute(f"PRAGMA user_version={STORE_VERSION}")
            for statement in _TABLES:
                self._database.execute(statement)
        self._database.execute("COMMIT")
        marks = [self._database.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")]
        if marks != [APPLICATION_ID, STORE_VERSION]:
            raise sqlite3.DatabaseError(f"marks {marks}")


def _invalid(path: Path, reason: str) -> InputError:
    return InputError(
        "STORE_INVALID",
        f"{path} 不是本版本的授权库，或打不开（{reason}）",
        f"{path} is not a store of authorisations of this version, or cannot be opened ({reason})",
    )
