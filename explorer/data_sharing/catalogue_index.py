"""Fills the index's tables of the catalogue: a run of blocks says what changed, the state then says what it is now."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import groupby, islice
from typing import Any, Final

import sqlalchemy as sql

from contracts.data_sharing import arrival_records, arrivals, catalogue, datasets, directories, quality_reviews
from contracts.data_sharing.directories import DutyRecord, SystemRecord
from contracts.data_sharing.resources import LIBRARIES, ResourceDescription
from contracts.records import ADDRESSES, Reader, Table
from explorer.data_sharing.catalogue_tables import (
    DATASETS,
    DUTY,
    ENTRIES,
    LINKS,
    RELATED,
    RESOURCE_DUTY,
    RESOURCE_SYSTEM,
    RESOURCE_TEXTS,
    RESOURCES,
    REVIEWS,
    SEARCH,
    SYSTEM,
    SYSTEM_DUTY,
    WAITING,
    columns,
    folded,
    pairs_of,
)
from explorer.data_sharing.return_index import put_arrivals, put_heads, put_returned

CHUNK: Final = 500
"""Rows that one statement asks for by name: databases bound the values in a statement."""
_HEAD_BREAK: Final = "\n"
"""Between texts that are searched one by one: nothing that is searched for has it."""


class CatalogueChanges:
    """What a run of blocks touched in the catalogue, each named once, in order."""

    def __init__(self) -> None:
        self.resources: dict[str, None] = {}
        self.entries: dict[tuple[str, str, str], None] = {}
        self.datasets: dict[str, None] = {}
        self.reviews: list[tuple[str, int, str]] = []
        self.arrivals: dict[tuple[str, int], None] = {}

    def write(self, connection: sql.Connection, state: Reader) -> None:
        """Bring the rows of everything touched up to `state`, which is of the last of these blocks or later."""
        put_resources(connection, _known(catalogue.load_resource(state, code) for code in self.resources))
        put_heads(connection, _known(arrival_records.load_return_head(state, code) for code in self.resources))
        put_arrivals(connection, _known(arrival_records.load_arrival(state, *name) for name in self.arrivals))
        _put_waiting(connection, state, list(self.resources))
        duties = [(department, code) for kind, department, code in self.entries if kind == DUTY]
        systems = [(department, code) for kind, department, code in self.entries if kind == SYSTEM]
        put_entries(connection, _known(directories.load_duty(state, *name) for name in duties))
        put_entries(connection, _known(directories.load_system(state, *name) for name in systems))
        put_datasets(connection, _known(datasets.load_dataset(state, code) for code in self.datasets))
        put_reviews(connection, _known(quality_reviews.load_review(state, *name) for name in self.reviews))


def _known(records: Iterable[Any]) -> list[Any]:
    return [record for record in records if record is not None]


def touch(changes: CatalogueChanges, contract: str, event: str, fields: dict[str, Any]) -> None:
    """Note what an event of one of CATALOGUE_EVENTS is about."""
    if contract == "directories":
        kind = DUTY if event.startswith("Duty") else SYSTEM
        changes.entries[kind, fields["department"], fields["code"]] = None
    elif contract == "open_data":
        changes.datasets[fields["resource"]] = None
    elif event == quality_reviews.REVIEWED.name:
        changes.reviews.append((fields["code"], fields["version"], fields["department"]))
    elif event in (arrivals.ARRIVED.name, arrivals.ENDED.name):
        changes.arrivals[fields["code"], fields["number"]] = None
    else:
        changes.resources[fields["code"]] = None


CATALOGUE_EVENTS: Final = frozenset(
    (ADDRESSES[event.contract], event.topic)
    for event in (
        catalogue.PUBLISHED,
        catalogue.PROPOSED,
        catalogue.APPROVED,
        catalogue.REJECTED,
        catalogue.WITHDRAWN,
        quality_reviews.REVIEWED,
        arrivals.ARRIVED,
        arrivals.ENDED,
        directories.DUTY_ENTERED,
        directories.DUTY_ENDED,
        directories.SYSTEM_ENTERED,
        directories.SYSTEM_ENDED,
        datasets.DATASET_CHANGED,
    )
)
"""Address and topic of every event after which rows of the catalogue change."""


def put_resources(connection: sql.Connection, records: Sequence[catalogue.ResourceRecord]) -> None:
    """Put the rows, texts and links of resources, new ones behind those that are there."""
    if not records:
        return
    codes = [record.code for record in records]
    known = _sequences(connection, RESOURCES.c.code, codes)
    _forget_texts(connection, list(known.values()))
    rows = [_resource_row(record) for record in records]
    _put(connection, RESOURCES, "code", rows, known)
    known |= _sequences(connection, RESOURCES.c.code, [code for code in codes if code not in known])
    texts = [_texts_of(known[record.code], record.description) for record in records]
    connection.execute(RESOURCE_TEXTS.insert(), texts)
    if connection.dialect.name == "sqlite":
        tokens = [(text["sequence"], pairs_of(text["head"]), pairs_of(text["body"])) for text in texts]
        connection.exec_driver_sql(f"INSERT INTO {SEARCH} (rowid, head, body) VALUES (?, ?, ?)", tokens)  # noqa: S608
    sources = [{"of_department": record.provider, "of_source": record.code} for record in records]
    links = [link for record in records for link in _links_of(record)]
    put_returned(connection, records)
    _put_links(connection, (RESOURCE_DUTY, RESOURCE_SYSTEM, RELATED), sources, links)


def put_entries(connection: sql.Connection, records: Sequence[DutyRecord | SystemRecord]) -> None:
    """Put the rows of duties or of systems, and the systems' links to duties; new ones behind those that are there."""
    if not records:
        return
    rows, links = [], []
    for record in records:
        kind, content = (DUTY, record.duty) if isinstance(record, DutyRecord) else (SYSTEM, record.system)
        named = {"kind": kind, "department": record.department, "code": content.code}
        rows.append(columns(ENTRIES, name=folded(content.name), is_ended=int(bool(record.ended_ms)), **named))
        if isinstance(record, SystemRecord):
            links += [
                {"kind": SYSTEM_DUTY, "department": record.department, "source": content.code, "target": duty}
                for duty in record.system.duties
            ]
    changed = [
        row | {"of_code": row["code"], "of_kind": row["kind"], "of_department": row["department"]} for row in rows
    ]
    update = (
        ENTRIES.update()
        .where(ENTRIES.c.kind == sql.bindparam("of_kind"), ENTRIES.c.department == sql.bindparam("of_department"))
        .where(ENTRIES.c.code == sql.bindparam("of_code"))
        .values(name=sql.bindparam("name"), is_ended=sql.bindparam("is_ended"))
    )
    for row, named in zip(rows, changed, strict=True):
        if not connection.execute(update, named).rowcount:
            connection.execute(ENTRIES.insert(), row)
    sources = [{"of_department": row["department"], "of_source": row["code"]} for row in rows if row["kind"] == SYSTEM]
    _put_links(connection, (SYSTEM_DUTY,), sources, links)


def put_datasets(connection: sql.Connection, records: Sequence[datasets.DatasetRecord]) -> None:
    """Put the rows of open data, new ones behind those that are there."""
    rows = [
        columns(DATASETS, resource=record.resource, department=record.provider, state=record.state)
        for record in records
    ]
    known = _sequences(connection, DATASETS.c.resource, [row["resource"] for row in rows])
    _put(connection, DATASETS, "resource", rows, known)


def put_waiting(connection: sql.Connection, records: Sequence[catalogue.ProposalRecord]) -> None:
    """Put the rows of resources of which a version waits, new ones behind those that are there."""
    rows = [columns(WAITING, code=record.description.code, department=record.provider) for record in records]
    known = _sequences(connection, WAITING.c.code, [row["code"] for row in rows])
    _put(connection, WAITING, "code", rows, known)


def put_reviews(connection: sql.Connection, reviews: Sequence[quality_reviews.ReviewRecord]) -> None:
    """Add the rows of new reviews, behind those that are there."""
    providers: dict[str, str] = {}
    codes = sorted({review.resource for review in reviews})
    for start in range(0, len(codes), CHUNK):
        query = sql.select(RESOURCES.c.code, RESOURCES.c.department)
        found = connection.execute(query.where(RESOURCES.c.code.in_(codes[start : start + CHUNK])))
        providers |= {row.code: row.department for row in found}
    if reviews:
        rows = [
            columns(
                REVIEWS,
                resource=review.resource,
                version=review.version,
                department=review.department,
                provider=providers[review.resource],
                reviewed_ms=review.reviewed_ms,
            )
            for review in reviews
        ]
        connection.execute(REVIEWS.insert(), rows)


def _put_waiting(connection: sql.Connection, state: Reader, codes: list[str]) -> None:
    waiting = _known(catalogue.load_proposal(state, code) for code in codes)
    settled = set(codes) - {record.description.code for record in waiting}
    if settled:
        connection.execute(
            WAITING.delete().where(WAITING.c.code == sql.bindparam("of_code")),
            [{"of_code": code} for code in sorted(settled)],
        )
    put_waiting(connection, waiting)


def _put(
    connection: sql.Connection, table: sql.Table, name: str, rows: list[dict[str, Any]], known: dict[str, int]
) -> None:
    """Insert the rows whose `name` is not known, and bring the others up to date."""
    added = [row for row in rows if row[name] not in known]
    if added:
        connection.execute(table.insert(), added)
    changed = [row | {"of_name": row[name]} for row in rows if row[name] in known]
    if changed:
        values: dict[str, Any] = {column: sql.bindparam(column) for column in rows[0]}
        connection.execute(table.update().where(table.c[name] == sql.bindparam("of_name")).values(values), changed)


def _sequences(connection: sql.Connection, name: sql.Column[Any], names: list[str]) -> dict[str, int]:
    """Return the sequence of each of the rows of `name`'s table that are there."""
    found: dict[str, int] = {}
    for start in range(0, len(names), CHUNK):
        query = sql.select(name, name.table.c.sequence).where(name.in_(names[start : start + CHUNK]))
        found |= {row[0]: row[1] for row in connection.execute(query)}
    return found


def _forget_texts(connection: sql.Connection, sequences: list[int]) -> None:
    for start in range(0, len(sequences), CHUNK):
        chosen = RESOURCE_TEXTS.c.sequence.in_(sequences[start : start + CHUNK])
        if connection.dialect.name == "sqlite":
            # An index without its content takes something out only when it is told what it had been given.
            old = [
                (row.sequence, pairs_of(row.head), pairs_of(row.body))
                for row in connection.execute(sql.select(RESOURCE_TEXTS).where(chosen))
            ]
            if old:
                forget = f"INSERT INTO {SEARCH} ({SEARCH}, rowid, head, body) VALUES ('delete', ?, ?, ?)"  # noqa: S608
                connection.exec_driver_sql(forget, old)
        connection.execute(RESOURCE_TEXTS.delete().where(chosen))


def _put_links(
    connection: sql.Connection, kinds: Sequence[str], sources: list[dict[str, Any]], links: list[dict[str, Any]]
) -> None:
    """Put `links` in the place of all links of these kinds that `sources` had."""
    if sources:
        old = (LINKS.c.department == sql.bindparam("of_department"), LINKS.c.source == sql.bindparam("of_source"))
        for kind in kinds:
            connection.execute(LINKS.delete().where(LINKS.c.kind == kind, *old), sources)
    if links:
        connection.execute(LINKS.insert(), links)


def _resource_row(record: catalogue.ResourceRecord) -> dict[str, Any]:
    described = record.description
    return columns(
        RESOURCES,
        code=described.code,
        department=record.provider,
        sharing_type=described.sharing_type,
        data_class=described.data_class,
        is_open=int(described.is_open),
        is_withdrawn=int(bool(record.withdrawn_ms)),
        library=described.library,
        source_level=described.source_level,
    )


def _texts_of(sequence: int, described: ResourceDescription) -> dict[str, Any]:
    body = [described.summary, *(item.name for item in described.items), *described.categories]
    body += [*LIBRARIES.get(described.library, ()), described.source_body, described.source_code]
    head = _HEAD_BREAK.join(map(folded, (described.name, described.code)))
    return {"sequence": sequence, "head": head, "body": _HEAD_BREAK.join(folded(text) for text in body if text)}


def _links_of(record: catalogue.ResourceRecord) -> Iterable[dict[str, Any]]:
    described = record.description
    for kind, targets in (
        (RESOURCE_DUTY, described.duties),
        (RESOURCE_SYSTEM, described.systems),
        (RELATED, described.related),
    ):
        for target in targets:
            yield {"kind": kind, "department": record.provider, "source": described.code, "target": target}


def seed_of(key: bytes, value: bytes) -> tuple[int, int, bytes] | None:
    """Return what orders an entry of the state among those of the catalogue, its kind, and the entry; None for any other."""
    for kind, (table, time_of, _) in enumerate(_SEEDS):
        if key.startswith(table.prefix):
            return time_of(table.decode(value)), kind, value
    return None


def put_seeds(connection: sql.Connection, seeds: Iterable[tuple[int, bytes]]) -> None:
    """Put the rows of entries of the state, given by kind and in the order that they are to be listed in."""
    for kind, group in groupby(seeds, key=lambda seed: seed[0]):
        table, _, put = _SEEDS[kind]
        while values := list(islice(group, CHUNK)):
            put(connection, [table.decode(value) for _, value in values])


# Reviews after resources: their rows take the provider from those; what returned data has come to after what it is.
_SEEDS: Final[tuple[tuple[Table[Any], Callable[[Any], int], Callable[[sql.Connection, list[Any]], None]], ...]] = (
    (directories.DUTIES, lambda record: record.entered_ms, put_entries),
    (directories.SYSTEMS, lambda record: record.entered_ms, put_entries),
    (catalogue.RESOURCES, lambda record: record.published_ms, put_resources),
    (catalogue.PROPOSALS, lambda record: record.proposed_ms, put_waiting),
    (quality_reviews.REVIEWS, lambda record: record.reviewed_ms, put_reviews),
    (arrival_records.RETURN_HEADS, lambda record: record.since_ms, put_heads),
    (arrival_records.ARRIVALS, lambda record: record.recorded_ms, put_arrivals),
    (datasets.DATASETS, lambda record: record.history[0].from_ms, put_datasets),
)
