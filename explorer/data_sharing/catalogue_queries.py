"""What the pages and lists of the catalogue ask of the index: found by words, filters and links, a page at a time."""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sql

from explorer.data_sharing.catalogue_tables import (
    DATASETS,
    ENTRIES,
    LINKS,
    RESOURCE_DUTY,
    RESOURCE_SYSTEM,
    RESOURCE_TEXTS,
    RESOURCES,
    REVIEWS,
    SEARCH,
    WAITING,
    folded,
    match_of,
)
from explorer.index_queries import page, where

MAX_WORDS: Final = 8
"""Words of one search; what follows them is not looked for."""
MAX_LINKED: Final = 200
"""Entries shown that one entry is linked from."""
_HEAD_TIER: Final = 2**40
"""Added to the cursor of a resource that is found by its name or code: those come first."""


def find_resources(
    engine: sql.Engine, before: int | None, limit: int, *, text: str | None = None, **filters: Any
) -> list[Any]:
    """Return rows of resources with a `position` below `before`, by descending position; each has a position of its own.

    What `text` says in words has to be in a resource's name or code, and these come first, or anywhere in its entry; without text
    the newest come first. `filters` are values of the columns of RESOURCES, `code_prefix` (the first digits of the code), `duty` and
    `system` (codes in the directories of the resource's department).
    """
    words = _telling_words(text or "")
    if not words:
        return _find(engine, before, limit, 0, filters, [])
    found: list[Any] = []
    if before is None or before > _HEAD_TIER:
        within = None if before is None else before - _HEAD_TIER
        found = _find(engine, within, limit, _HEAD_TIER, filters, words)
        before = None
    if len(found) < limit:
        found += _find(engine, before, limit - len(found), 0, filters, words)
    return found


def count_resources(engine: sql.Engine) -> dict[str, dict[Any, int]]:
    """Return how many resources that are not withdrawn there are, by each of the columns that a catalogue is looked through by."""
    names = ("department", "sharing_type", "data_class", "is_open", "library", "source_level")
    shown = [RESOURCES.c[name] for name in names]
    counted: dict[str, dict[Any, int]] = {name: {} for name in names}
    query = sql.select(*shown, sql.func.count()).where(RESOURCES.c.is_withdrawn == 0).group_by(*shown).order_by(*shown)
    with engine.connect() as connection:
        for *values, count in connection.execute(query):
            for name, value in zip(names, values, strict=True):
                counted[name][value] = counted[name].get(value, 0) + count
    return counted


def find_entries(
    engine: sql.Engine, before: int | None, limit: int, *, kind: str, department: str | None, text: str | None
) -> list[Any]:
    """Return rows of duties or systems below sequence `before`, newest first; `text` is looked for in name and code."""
    query = where(sql.select(ENTRIES).where(ENTRIES.c.kind == kind), ENTRIES, department=department)
    for word in _telling_words(text or ""):
        code = sql.func.lower(ENTRIES.c.code)
        query = query.where(ENTRIES.c.name.contains(word, autoescape=True) | code.contains(word, autoescape=True))
    return page(engine, query, ENTRIES.c.sequence, before, limit)


def find_linked(engine: sql.Engine, kind: str, department: str | None, target: str) -> list[Any]:
    """Return (department, source) of the links of a kind to an entry, at most MAX_LINKED; `department` may be anybody's when None."""
    query = where(
        sql.select(LINKS.c.department, LINKS.c.source), LINKS, kind=kind, department=department, target=target
    )
    with engine.connect() as connection:
        return list(connection.execute(query.order_by(LINKS.c.department, LINKS.c.source).limit(MAX_LINKED)))


def find_waiting(engine: sql.Engine, before: int | None, limit: int, *, department: str | None) -> list[Any]:
    """Return rows of resources of which a version waits for approval below sequence `before`, newest first."""
    return page(engine, where(sql.select(WAITING), WAITING, department=department), WAITING.c.sequence, before, limit)


def find_reviews(
    engine: sql.Engine,
    before: int | None,
    limit: int,
    *,
    resource: str | None,
    department: str | None,
    provider: str | None,
) -> list[Any]:
    """Return rows of quality reviews below sequence `before`, newest first; `department` is the reviewer's."""
    query = where(sql.select(REVIEWS), REVIEWS, resource=resource, department=department, provider=provider)
    return page(engine, query, REVIEWS.c.sequence, before, limit)


def find_datasets(
    engine: sql.Engine, before: int | None, limit: int, *, department: str | None, state: str | None
) -> list[Any]:
    """Return rows of open data below sequence `before`, newest first."""
    query = where(sql.select(DATASETS), DATASETS, department=department, state=state)
    return page(engine, query, DATASETS.c.sequence, before, limit)


def _telling_words(text: str) -> list[str]:
    """Return the words of a search but for those that are within another: what has the longer one has them."""
    words = list(dict.fromkeys(folded(text).split()[:MAX_WORDS]))
    return [word for word in words if not any(word != other and word in other for other in words)]


def _find(
    engine: sql.Engine,
    before: int | None,
    limit: int,
    tier: int,
    filters: dict[str, Any],
    words: list[str],
) -> list[Any]:
    position = (RESOURCES.c.sequence + tier).label("position")
    wanted = dict(filters)
    prefix = wanted.pop("code_prefix", None)
    linked = {RESOURCE_DUTY: wanted.pop("duty", None), RESOURCE_SYSTEM: wanted.pop("system", None)}
    query = where(sql.select(RESOURCES, position), RESOURCES, **wanted)
    for kind, target in linked.items():
        if target is not None:
            named = where(sql.select(LINKS.c.source), LINKS, kind=kind, target=target)
            query = query.where(RESOURCES.c.code.in_(named.where(LINKS.c.department == RESOURCES.c.department)))
    if prefix is not None:
        query = query.where(RESOURCES.c.code.startswith(prefix, autoescape=True))
    if words:
        # Without a filter the text index gives a page and no more: a word that is everywhere is not looked up everywhere.
        within = (before, limit) if all(value is None for value in filters.values()) else None
        query = query.where(_texts(engine, words, within, is_head=tier == _HEAD_TIER))
    return page(engine, query, RESOURCES.c.sequence, before, limit)


def _texts(
    engine: sql.Engine, words: list[str], within: tuple[int | None, int] | None, *, is_head: bool
) -> sql.ColumnElement[bool]:
    """Return that a resource has every word in its head; or, for those that have not, in its entry as a whole.

    With `within`, of the sequences below its first only the greatest, as many as its second says.
    """
    if engine.dialect.name == "sqlite":
        found = " AND ".join(match_of(word) for word in words)
        in_head = f"head : ({found})"
        matches = sql.column(SEARCH).op("MATCH")(in_head if is_head else f"({found}) NOT ({in_head})")
        row = sql.column("rowid", sql.BigInteger)
        chosen = sql.select(row).select_from(sql.table(SEARCH)).where(matches)
        if within is not None:
            before, limit = within
            chosen = chosen if before is None else chosen.where(row < before)
            chosen = chosen.order_by(row.desc()).limit(limit)
        return RESOURCES.c.sequence.in_(chosen)
    heads = sql.and_(*(RESOURCE_TEXTS.c.head.contains(word, autoescape=True) for word in words))
    anywhere = sql.and_(
        *(
            RESOURCE_TEXTS.c.head.contains(word, autoescape=True)
            | RESOURCE_TEXTS.c.body.contains(word, autoescape=True)
            for word in words
        )
    )
    chosen_texts = sql.select(RESOURCE_TEXTS.c.sequence).where(heads if is_head else sql.and_(anywhere, ~heads))
    return RESOURCES.c.sequence.in_(chosen_texts)
