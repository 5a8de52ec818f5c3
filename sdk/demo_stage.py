"""What every part of the demonstration works with: the network's nodes and accounts, a folder of results, and how steps are told."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, NamedTuple

from contracts.registration import AccountRegistration
from node.chain.transaction import address_of
from sdk.access_recording.stored_reads import StoredReads
from sdk.certificates import Outcome
from sdk.client import Client
from sdk.data_exchange.exchange import genesis_hash
from sdk.demo_network import KEY_ITERATIONS
from sdk.errors import RequestRefused
from sdk.network import AccountFiles, NetworkFolder
from sdk.secret_files import SECRET_MODE, KeyFile, make_password
from sdk.system_contracts.access import Access
from sdk.system_contracts.members import Members
from sm_crypto.keystore import Signer, load_key
from sm_crypto.sm2 import PrivateKey
from verification.access.reads import Read
from verification.access.sealed_batches import check_bodies
from verification.errors import GovnodeError
from verification.proofs import Verdict

CATCH_UP_TIMEOUT_S: Final = 60.0
HOUR_MS: Final = 3_600_000

GOVERNOR: Final = "data-bureau-governor"
AUDITOR: Final = "data-bureau-auditor"
PROVIDER: Final = "land-clerk"
CONSUMER: Final = "housing-clerk"


class DemoFailed(GovnodeError):
    """A step of the demonstration did not show what it should."""


class Trial(NamedTuple):
    """A command that a person may type after the demonstration: what it shows, and its words after the program's name."""

    zh: str
    en: str
    arguments: tuple[str, ...]


class Stage:
    """The running network with all its accounts open; `tell` prints a step in Chinese and English, and the files that it left."""

    def __init__(self, network: NetworkFolder, tell: Callable[[str, str, Sequence[Path]], None]) -> None:
        """Open every account; nothing is submitted yet."""
        self.network = network
        self.out = network.folder / "output"
        self.second_place = self.out / "second-place"
        self.trials: list[Trial] = []
        self._tell = tell
        # Opening a key file takes a third of a second by design: all of them open while the nodes start.
        with ThreadPoolExecutor() as pool:
            opened = pool.map(_open_signer, network.accounts)
            self._signers = {account.name: signer for account, signer in zip(network.accounts, opened, strict=True)}

    def say(self, zh: str, en: str, *files: Path) -> None:
        """Tell of a step that was done."""
        self._tell(zh, en, files)

    def offer(self, zh: str, en: str, *arguments: str | Path) -> None:
        """Keep a command for the end, to be tried by hand."""
        self.trials.append(Trial(zh, en, tuple(map(str, arguments))))

    def client(self, account: str | None, node: int = 0) -> Client:
        """Return a client of a node that signs as `account`."""
        return Client(self.network.nodes[node].url, None if account is None else self.signer(account))

    def signer(self, account: str) -> Signer:
        """Return what signs as an account."""
        return self._signers[account]

    def address(self, account: str) -> bytes:
        """Return the address of an account."""
        return address_of(self.signer(account).public_key)

    def node_of(self, account: str) -> int:
        """Return the place of the node that an account's department runs."""
        return [each.department for each in self.network.nodes].index(self.network.account(account).department)

    def secret(self, account: str) -> bytes:
        """Return the secret that an account's department makes commitments with."""
        return bytes.fromhex(self.network.account(account).holder_secret.read_text("ascii").strip())

    def account_options(self, account: str) -> tuple[str, ...]:
        """Return the options of a command that asks a department's node as one of its accounts."""
        files, url = self.network.account(account), self.network.nodes[self.node_of(account)].url
        return ("--url", url, "--key", str(files.key), "--password-file", str(files.password_file))

    def write(self, name: str, content: bytes) -> Path:
        """Write a result that only its owner can read, and return its path: documents hold what is personal."""
        path = self.out / name
        path.touch(mode=SECRET_MODE)
        path.write_bytes(content)
        return path

    def key_files(self, name: str) -> tuple[Path, Path]:
        """Return where a key of save_key lies, and its password."""
        return self.out / f"{name}.key", self.out / f"{name}.password"

    def save_key(self, name: str, key: PrivateKey) -> tuple[Path, Path]:
        """Write a key and a password for it, and return their paths; the password is random, so it needs few rounds."""
        files = self.key_files(name)
        KeyFile(files[0], key, make_password(files[1])).save(KEY_ITERATIONS)
        return files

    def add_account(self, governor: Client, department: str, name: str, role: str) -> tuple[PrivateKey, int]:
        """Register a new account of a department; return its key, which is saved too, and the height from which it is there."""
        key = PrivateKey.generate()
        self.save_key(name, key)
        stated = AccountRegistration(genesis_hash(governor), department, key.public_key, name, [role])
        added = Members(governor).add_account(
            department=department,
            public_key=key.public_key,
            name=name,
            roles=[role],
            signature=key.sign(stated.digest),
        )
        return key, added.height

    def trace(self, account: str, store: Path, count: int) -> list[Read]:
        """Return the reads in an account's store that the auditor's node has on its ledger, checked, as soon as there are `count`.

        Raises InputError where they are not those of the ledger.
        """
        department, recorder = self.network.account(account).department, self.address(account)
        deadline = time.monotonic() + CATCH_UP_TIMEOUT_S
        with self.client(AUDITOR) as auditor:
            ledger = Access(auditor)
            while not self._has_reads(ledger, department, recorder, count):
                if time.monotonic() > deadline:
                    return []
                time.sleep(0.05)
            stored = StoredReads(store)
            try:
                last = ledger.stream(department=department, recorder=recorder).batch_number
                found: list[Read] = []
                for number in range(1, last + 1):
                    batch = ledger.batch(department=department, recorder=recorder, batch_number=number)
                    end = batch.first_number + batch.count - 1
                    found += check_bodies(batch, stored.encoded_reads(batch.first_number, end))
                return found
            finally:
                stored.close()

    def _has_reads(self, ledger: Access, department: str, recorder: bytes, count: int) -> bool:
        try:
            return ledger.stream(department=department, recorder=recorder).number >= count
        except RequestRefused as error:
            if error.code != "STREAM_UNKNOWN":
                raise
            return False


def check_final(outcomes: Iterable[Outcome]) -> None:
    """Return if everything was done; raise the first error otherwise."""
    for outcome in outcomes:
        if outcome.error is not None:
            raise outcome.error


def check_verdict(verdict: Verdict, *, accepted: bool, code: str) -> Verdict:
    """Return a verdict that is as expected; raise DemoFailed otherwise."""
    if verdict.is_accepted != accepted or verdict.code != code:
        raise DemoFailed(
            "OFFLINE_VERDICT",
            f"离线核验应为 {code}，实为 {verdict.code}：{verdict.zh}",
            f"expected {code} offline, found {verdict.code}: {verdict.en}",
        )
    return verdict


def _open_signer(account: AccountFiles) -> Signer:
    return load_key(account.key, account.password_file.read_bytes().strip())
