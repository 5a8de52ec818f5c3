"""Status lists at a node: made from its state a page at a time, and kept for download once their issuer has published them."""

from __future__ import annotations

import asyncio
import os
import time
from array import array
from collections import OrderedDict
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
from starlette.concurrency import run_in_threadpool

from contracts.accounts import load_department
from contracts.batches import load_batch
from contracts.certificate_types import load_type
from explorer.auth import Caller
from explorer.problems import Problem, Text
from node.chain.block import block_id
from node.chain.proof import TrustAnchor
from node.ledger.ledger import HistoryNotHeld, UnknownHeight
from node.logs import Log
from verification.errors import InputError
from verification.freshness import ListTrust, verify_status_list
from verification.status_list import (
    MAX_STATUS_LIST_FILE_BYTES,
    ListBlock,
    Scope,
    StatusList,
    StatusListFile,
    changed_identifiers,
    changed_positions,
    decode_status_list,
    encode_status_list,
    entry_places,
    make_batch_list,
    make_hash_list,
    parse_scope,
    scope_prefix,
)

if TYPE_CHECKING:
    from node.ledger.ledger import Ledger

PAGE_RECORDS: Final = 1_000
"""Read at once: some 2 ms of the interpreter, as long as which the node then has to itself."""
MAX_WAITING_LISTS: Final = 8
MAX_KEPT_MADE: Final = 4
"""Lists made last, so that one is not made again to compare what is published with it."""
MAX_PUBLISHED_LISTS: Final = 4_096
MAX_PUBLISHED_BYTES: Final = 512 * 1024 * 1024
MAX_ISSUER_LISTS: Final = MAX_PUBLISHED_LISTS // 4
MAX_ISSUER_BYTES: Final = MAX_PUBLISHED_BYTES // 4
"""Of both what one department's lists may take, so that none fills a node alone."""
FOLDER_NAME: Final = "status-lists"

_LOG: Final = Log("status-lists")


class PublishedList(msgspec.Struct, frozen=True):
    """A list that is kept here: of which scope, height and block time in ms, its digest, and the size of its file."""

    scope: str
    height: int
    time_ms: int
    digest: bytes
    size_bytes: int


class StatusLists:
    """Makes lists one after the other, off the event loop, and keeps the published ones in a folder of its own."""

    def __init__(self, ledger: Ledger, folder: Path | None) -> None:
        """Read from `ledger`; without a folder nothing is published here."""
        self._ledger = ledger
        self._folder = folder
        self._turn = asyncio.Lock()
        self._waiting_count = 0
        self._made: OrderedDict[tuple[str, int], StatusList] = OrderedDict()
        self._publishing = asyncio.Lock()
        self._published: dict[str, PublishedList] | None = None

    async def make(self, scope: Scope, height: int | None) -> StatusList:
        """Return the list after a final block, the latest for None; raise Problem where there is nothing that it could be about."""
        block = self._block(height)
        self._check_scope(scope, block)
        if self._waiting_count >= MAX_WAITING_LISTS:
            raise Problem("NOT_READY", reason=Text("正在制作的状态清单过多", "too many status lists are being made"))
        self._waiting_count += 1
        try:
            async with self._turn:
                place = (scope.name, block.height)
                if place not in self._made:
                    self._made[place] = await self._scan(scope, block)
                    while len(self._made) > MAX_KEPT_MADE:
                        self._made.popitem(last=False)
                return self._made[place]
        finally:
            self._waiting_count -= 1

    async def published(self) -> list[PublishedList]:
        """Return what is kept here, in the order of scopes."""
        kept = await self._load()
        return [kept[name] for name in sorted(kept)]

    async def path(self, scope: Scope) -> Path:
        """Return the file of the list that was published of a scope; raise Problem where there is none."""
        kept = await self._load()
        if scope.name not in kept:
            reason = Text("本节点没有此范围的清单", "this node keeps no list of this scope")
            raise Problem("NOT_FOUND", reason=reason, found=scope.name)
        return self._file(scope.name)

    async def publish(self, scope: Scope, raw: bytes, caller: Caller) -> PublishedList:
        """Keep a list for download that its issuer vouches for and that is what this ledger says; raise Problem otherwise."""
        try:
            file = await run_in_threadpool(decode_status_list, raw)
        except InputError as error:
            raise Problem("BODY_INVALID", reason=Text(error.zh, error.en)) from None
        content = file.content
        if content.scope != scope or caller.department != scope.issuer:
            raise _refused(
                f"只有颁发机构可以发布自己的清单：{content.scope.name}",
                f"a list is published by its issuer, under its scope: {content.scope.name}",
            )
        await run_in_threadpool(self._verify, file)
        if content != await self.make(scope, content.block.height):
            raise _refused(
                f"清单与账本在区块 {content.block.height} 的状态不符",
                f"the list is not what the ledger held after block {content.block.height}",
            )
        async with self._publishing:
            kept = await self._load()
            older = kept.get(scope.name)
            if older is not None and older.height > content.block.height:
                raise _refused(
                    f"已发布区块 {older.height} 的清单", f"a list of block {older.height} is published already"
                )
            encoded = await run_in_threadpool(encode_status_list, file)
            self._check_room(kept, scope.name, len(encoded))
            await run_in_threadpool(_write, self._file(scope.name), encoded)
            published = _summary(content, len(encoded))
            kept[scope.name] = published
        return published

    def _block(self, height: int | None) -> ListBlock:
        ledger = self._ledger
        height = ledger.height if height is None else height
        try:
            header = ledger.header(height)
        except HistoryNotHeld:
            raise
        except UnknownHeight:
            expected = Text(f" 1 至 {ledger.height}", f"1 to {ledger.height}")
            raise Problem("PARAMETER_INVALID", field="height", expected=expected, found=str(height)) from None
        return ListBlock(height, block_id(header), header.time_ms)

    def _check_scope(self, scope: Scope, block: ListBlock) -> None:
        state = self._ledger.state()
        if scope.is_batch:
            batch = load_batch(state, scope.name)
            is_known = batch is not None and batch.issued.from_ms <= block.time_ms
        else:
            is_known = (
                load_type(state, scope.type_code) is not None and load_department(state, scope.issuer) is not None
            )
        if not is_known:
            raise Problem("NOT_FOUND", found=scope.name)

    async def _scan(self, scope: Scope, block: ListBlock) -> StatusList:
        state = self._ledger.state()
        # The iterator shows the state as it is at its first step, at this block or later; records say what they were at the block.
        entries = state.iterate(scope_prefix(scope))
        genesis_hash = self._ledger.genesis.hash
        changed = array("Q")

        def read_page(entries: Iterator[tuple[bytes, bytes]]) -> bool:
            page = list(islice(entries, PAGE_RECORDS))
            if scope.is_batch:
                changed.extend(changed_positions(state, page, block.time_ms))
            else:
                changed.extend(entry_places(block, changed_identifiers(state, page, block.time_ms)))
            return len(page) == PAGE_RECORDS

        has_more = True
        while has_more:
            started_s = time.monotonic()
            has_more = await run_in_threadpool(read_page, entries)
            await asyncio.sleep(time.monotonic() - started_s)
        if not scope.is_batch:
            return await run_in_threadpool(make_hash_list, genesis_hash, scope, block, changed)
        batch = load_batch(state, scope.name)
        assert batch is not None, "a batch stays on the ledger"
        return await run_in_threadpool(make_batch_list, genesis_hash, batch, block, changed)

    def _verify(self, file: StatusListFile) -> None:
        """Return if the issuer vouches for a list by an anchor, which the chain alone shows; raise Problem otherwise."""
        genesis = self._ledger.genesis
        chain = TrustAnchor(genesis.hash, 0, genesis.validator_set().hash)
        try:
            verify_status_list(file, ListTrust(time.time_ns() // 1_000_000, chain))
        except InputError as error:
            if error.code == "TRUST_MISSING":
                raise _refused(
                    "清单须附有颁发机构锚定其摘要的证明", "a list carries the proof that its issuer anchored its digest"
                ) from None
            raise _refused(f"{error.code}：{error.zh}", f"{error.code}: {error.en}") from None

    def _check_room(self, kept: dict[str, PublishedList], name: str, size_bytes: int) -> None:
        issuer = parse_scope(name).issuer
        own = [one.size_bytes for one in kept.values() if one.scope != name and parse_scope(one.scope).issuer == issuer]
        if len(own) >= MAX_ISSUER_LISTS or sum(own) + size_bytes > MAX_ISSUER_BYTES:
            raise _refused(
                f"本节点为每个部门至多保存 {MAX_ISSUER_LISTS} 份、{MAX_ISSUER_BYTES} 字节的清单，其余请在其他节点发布",
                f"this node keeps at most {MAX_ISSUER_LISTS} lists and {MAX_ISSUER_BYTES} bytes of a department; publish others at another",
            )
        others = [one.size_bytes for one in kept.values() if one.scope != name]
        if len(others) >= MAX_PUBLISHED_LISTS or sum(others) + size_bytes > MAX_PUBLISHED_BYTES:
            raise _refused(
                f"本节点至多保存 {MAX_PUBLISHED_LISTS} 份、{MAX_PUBLISHED_BYTES} 字节的清单，请联系运维人员",
                f"this node keeps at most {MAX_PUBLISHED_LISTS} lists and {MAX_PUBLISHED_BYTES} bytes; tell its operator",
            )

    def _file(self, name: str) -> Path:
        assert self._folder is not None, "nothing is published without a folder"
        # A scope's name has digits, capitals and dots between them: no part of a path.
        return self._folder / f"{name}.json"

    async def _load(self) -> dict[str, PublishedList]:
        if self._folder is None:
            raise Problem("NOT_SERVED")
        if self._published is None:
            found = await run_in_threadpool(_read_folder, self._folder)
            # Whoever was first has perhaps published meanwhile.
            self._published = found if self._published is None else self._published
        return self._published


def _read_folder(folder: Path) -> dict[str, PublishedList]:
    """Return what lists a folder holds; other files in it, and damaged ones, are passed over and told of in the log."""
    kept: dict[str, PublishedList] = {}
    if not folder.is_dir():
        return kept
    for path in sorted(folder.glob("*.json")):
        try:
            with path.open("rb") as opened:
                raw = opened.read(MAX_STATUS_LIST_FILE_BYTES + 1)
            file = decode_status_list(raw)
            if parse_scope(path.stem) != file.content.scope:
                raise InputError("STATUS_LIST_MALFORMED", "文件名与范围不符", "its name is not that of its scope")
        except (OSError, InputError) as error:
            _LOG.warning("status_list_unreadable", path=str(path), reason=str(error))
            continue
        kept[path.stem] = _summary(file.content, len(raw))
    return kept


def _write(path: Path, raw: bytes) -> None:
    """Put a file in the place of an older one, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    with fresh.open("wb") as file:
        file.write(raw)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def _summary(content: StatusList, size_bytes: int) -> PublishedList:
    return PublishedList(content.scope.name, content.block.height, content.block.time_ms, content.digest, size_bytes)


def _refused(zh: str, en: str) -> Problem:
    return Problem("VALUE_REFUSED", reason=Text(zh, en))
