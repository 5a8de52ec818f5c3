"""What every endpoint works with: the node's read side, the index, and who may see what."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from contracts.accounts import AUDITOR, load_account, load_department
from contracts.batches import load_batch
from contracts.identifiers import CertificateIdentifier, parse_identifier
from contracts.refusals import Refused
from contracts.validator_sets import ValidatorRecord, load_validators, load_validators_at
from explorer.auth import Authenticator, Caller
from explorer.code_reader import CodeReader
from explorer.data_sharing.sealed_bodies import FOLDER_NAME as SEALED_BODIES_FOLDER
from explorer.data_sharing.sealed_bodies import SealedBodies
from explorer.deposits import DATABASE_NAME, Deposits
from explorer.index import Index
from explorer.manifests import Manifests
from explorer.problems import Problem, Text
from explorer.settings import ExplorerSettings
from explorer.statements import AsOf
from explorer.status_lists import FOLDER_NAME, StatusLists
from explorer.turns import Turns
from node.ledger.ledger import StateReader

if TYPE_CHECKING:
    from node.view import NodeView

INDEX_WAIT_S: Final = 3.0
MANIFEST_FOLDER: Final = "manifests"
"""Beside the index, in the node's data folder."""
MAX_WAITING_FILES: Final = 32
"""Files that wait to be verified while one is."""
MAX_WAITING_REPORTS: Final = 8
"""Lists that wait to be made a PDF of while one is."""

T = TypeVar("T")
_HEX = re.compile(r"(?:0x)?((?:[0-9a-fA-F]{2})+)")


class Services:
    """The parts behind the endpoints of one node."""

    def __init__(self, view: NodeView, settings: ExplorerSettings, start_ms: int) -> None:
        """Open the index; nothing runs before start(). Requests signed before `start_ms` are refused."""
        self.view = view
        self.link_base = settings.link_base
        self._index = None if settings.index_path is None else Index(view, settings.index_path, view.stages)
        chain_id = view.ledger.genesis.chain_id
        self._authenticator = Authenticator(chain_id, self._find_caller, settings.http_names, start_ms)
        self._as_of: AsOf | None = None
        folder = None if settings.index_path is None else settings.index_path.parent / FOLDER_NAME
        self.status_lists = StatusLists(view.ledger, folder)
        self.turns = Turns(MAX_WAITING_FILES)
        self.report_turns = Turns(MAX_WAITING_REPORTS)
        self.code_reader = CodeReader()
        folder = None if settings.index_path is None else settings.index_path.parent / MANIFEST_FOLDER
        self.manifests = Manifests(folder)
        path = None if settings.index_path is None else settings.index_path.with_name(DATABASE_NAME)
        self.deposits = Deposits(path)
        folder = None if settings.index_path is None else settings.index_path.with_name(SEALED_BODIES_FOLDER)
        self.sealed_bodies = SealedBodies(folder, settings.keeping)

    def start(self) -> None:
        """Begin to follow the ledger, to read the manifests that are there, and to delete deposits that expire."""
        self.deposits.start()
        self.manifests.start(lambda name: load_batch(self.state(), name))
        if self._index is not None:
            self._index.start()

    def stop(self) -> None:
        """End the threads of index and deposits."""
        self.deposits.stop()
        if self._index is not None:
            self._index.stop()

    @property
    def version(self) -> tuple[int, int]:
        """The heights that answers depend on: ledger and index."""
        return self.view.ledger.height, 0 if self._index is None else self._index.height

    @property
    def is_served(self) -> bool:
        """Whether this node serves lists and pages."""
        return self._index is not None

    def state(self) -> StateReader:
        """Return the latest final state."""
        return self.view.ledger.state()

    async def query(self, ask: Callable[..., T], *arguments: Any, **named: Any) -> T:
        """Return what `ask(engine, ...)` finds in the index once it holds all that is final now; raise Problem when it lags."""
        index = self._index
        if index is None:
            raise Problem("NOT_SERVED")
        height = self.view.ledger.height
        if index.height < height and not await run_in_threadpool(index.wait_for, height, INDEX_WAIT_S):
            raise Problem(
                "NOT_READY",
                expected=Text(f"索引到区块 {height}", f"the index at block {height}"),
                found=str(index.height),
            )
        return await run_in_threadpool(ask, index.engine, *arguments, **named)

    def read_index(self, ask: Callable[..., T], *arguments: Any) -> T | None:
        """Return what `ask(engine, ...)` finds in the index as far as it has come, None where this node serves no lists."""
        return None if self._index is None else ask(self._index.engine, *arguments)

    def identify(self, request: Request, body: bytes = b"") -> Caller:
        """Return the account that signed the request; raise Problem otherwise."""
        return self._authenticator.identify(request, body)

    def validators(self) -> dict[bytes, ValidatorRecord]:
        """Return the validators of the next height by address."""
        return {validator.address: validator for validator in load_validators(self.state())}

    def department_name(self, code: str) -> str:
        """Return a department's name, the code itself when there is none."""
        department = load_department(self.state(), code)
        return code if department is None else department.name

    def as_of(self) -> AsOf:
        """Return the latest final block and who signed it; raise Problem before block 1."""
        ledger = self.view.ledger
        if self._as_of is None or self._as_of.height != ledger.height:
            if not ledger.height:
                raise Problem("NOT_READY", reason=Text("还没有区块", "there is no block yet"))
            certificate = ledger.certificate(ledger.height)
            members = ledger.validators_at(ledger.height).members
            # The set that decided this block, which may have changed the next height's.
            records = load_validators_at(self.state(), ledger.height)
            signers = tuple(records[index].name for index in certificate.signers)
            self._as_of = AsOf(ledger.height, ledger.head_time_ms, signers, len(members))
        return self._as_of

    def _find_caller(self, address: bytes) -> Caller | None:
        state = self.state()
        account = load_account(state, address)
        if account is None or account.removed_ms:
            return None
        department = load_department(state, account.department)
        if department is None or department.suspended_ms:
            return None
        return Caller(address, account.department, frozenset(account.roles))


def services_of(request: Request) -> Services:
    """Return the services of the application that answers `request`."""
    services: Services = request.app.state.services
    return services


def is_auditor(caller: Caller) -> bool:
    """Return whether a caller's account is an auditor's."""
    return AUDITOR in caller.roles


def hex_schema(size: int | None = None, max_size: int = 512) -> dict[str, Any]:
    """Return what the OpenAPI document says of a parameter that hex_parameter() reads, beside its type."""
    digits = f"{2 * size}" if size is not None else f"2,{2 * max_size}"
    return {"pattern": f"^(0x)?[0-9a-fA-F]{{{digits}}}$"}


def hex_parameter(field: str, text: str, size: int | None = None, max_size: int = 512) -> bytes:
    """Return the bytes of a parameter in hex, with or without 0x; raise Problem on anything but `size` (or 1 to `max_size`) bytes."""
    match = _HEX.fullmatch(text) if len(text) <= 2 * max_size + 2 else None
    raw = b"" if match is None else bytes.fromhex(match[1])
    if not raw or len(raw) > max_size or (size is not None and len(raw) != size):
        digits = f"{2 * size}" if size is not None else f"2–{2 * max_size}"
        raise Problem(
            "PARAMETER_INVALID", field=field, expected=Text(f" {digits} 位十六进制", f"{digits} hex digits"), found=text
        )
    return raw


def identifier_parameter(text: str) -> CertificateIdentifier:
    """Return the parts of a certificate identifier; raise Problem when it has not the form of one."""
    try:
        return parse_identifier(text.strip())
    except Refused as refused:
        raise Problem("PARAMETER_INVALID", field="identifier", reason=Text(*refused.texts)) from None
