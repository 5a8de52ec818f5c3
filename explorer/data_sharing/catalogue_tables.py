"""The index's tables of the catalogue: what resources, duties, systems, reviews and open data are found, ordered and searched by.

Search is by parts of words, also by single Chinese characters: SQLite's full-text index gets every pair of neighbouring characters as a
token, so that a run of characters is a phrase of tokens. On another database the same texts are searched with LIKE.
"""

from __future__ import annotations

import unicodedata
from itertools import pairwise
from typing import Any, Final

from sqlalchemy import DDL, BigInteger, Column, Index, Integer, Table, Text, event

from explorer.index_tables import METADATA, SEQUENCE

RESOURCES: Final = Table(
    "resources",
    METADATA,
    Column("sequence", SEQUENCE, primary_key=True),
    Column("code", Text, nullable=False, unique=True),
    Column("department", Text, nullable=False),
    Column("sharing_type", Integer, nullable=False),
    Column("data_class", Integer, nullable=False),
    Column("is_open", Integer, nullable=False),
    Column("is_withdrawn", Integer, nullable=False),
    Column("library", Text, nullable=False),
    Column("source_level", Text, nullable=False),
    Index("resources_by_department", "department", "sequence"),
    Index("resources_by_library", "library", "sequence"),
    Index("resources_by_source", "source_level", "sequence"),
)
"""Resources that are or were in force, in the order in which they were first published."""

RESOURCE_TEXTS: Final = Table(
    "resource_texts",
    METADATA,
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("head", Text, nullable=False),
    Column("body", Text, nullable=False),
)
"""What a resource is searched by, folded: name and code; and summary, items, categories and source."""

SEARCH: Final = "resource_search"
for _moment, _statement in (
    ("after_create", f"CREATE VIRTUAL TABLE {SEARCH} USING fts5(head, body, content='')"),
    ("before_drop", f"DROP TABLE IF EXISTS {SEARCH}"),
):
    event.listen(RESOURCE_TEXTS, _moment, DDL(_statement).execute_if(dialect="sqlite"))  # type: ignore[no-untyped-call]

LINKS: Final = Table(
    "catalogue_links",
    METADATA,
    Column("kind", Text, primary_key=True),
    Column("department", Text, primary_key=True),
    Column("target", Text, primary_key=True),
    Column("source", Text, primary_key=True),
    Index("catalogue_links_by_source", "kind", "department", "source"),
    sqlite_with_rowid=False,
)
"""From a resource or system (`source`) to a duty, system or resource (`target`); department's entries are its own."""

RESOURCE_DUTY: Final = "resource-duty"
RESOURCE_SYSTEM: Final = "resource-system"
SYSTEM_DUTY: Final = "system-duty"
RELATED: Final = "related"
"""Between resources of any departments: its `department` is the source's."""

ENTRIES: Final = Table(
    "directory_entries",
    METADATA,
    Column("sequence", SEQUENCE, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("department", Text, nullable=False),
    Column("code", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("is_ended", Integer, nullable=False),
    Index("directory_entries_by_code", "kind", "department", "code", unique=True),
    Index("directory_entries_by_kind", "kind", "sequence"),
)
"""Duties and systems, in the order in which they were first entered; `name` is folded, to be searched."""

DUTY: Final = "duty"
SYSTEM: Final = "system"

WAITING: Final = Table(
    "waiting_resources",
    METADATA,
    Column("sequence", SEQUENCE, primary_key=True),
    Column("code", Text, nullable=False, unique=True),
    Column("department", Text, nullable=False),
)
"""Resources of which a version waits for approval."""

REVIEWS: Final = Table(
    "resource_reviews",
    METADATA,
    Column("sequence", SEQUENCE, primary_key=True),
    Column("resource", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("department", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("reviewed_ms", BigInteger, nullable=False),
    Index("resource_reviews_by_resource", "resource", "sequence"),
    Index("resource_reviews_by_department", "department", "sequence"),
    Index("resource_reviews_by_provider", "provider", "sequence"),
    Index("resource_reviews_by_time", "reviewed_ms"),
)
"""Quality reviews; `department` is the reviewer's."""

DATASETS: Final = Table(
    "datasets",
    METADATA,
    Column("sequence", SEQUENCE, primary_key=True),
    Column("resource", Text, nullable=False, unique=True),
    Column("department", Text, nullable=False),
    Column("state", Text, nullable=False),
    Index("datasets_by_department", "department", "sequence"),
    Index("datasets_by_state", "state", "sequence"),
)
"""Open data, in the order in which it was first proposed."""


def folded(text: str) -> str:
    """Return text as it is searched: full and half width, upper and lower case alike, any white space as one space."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def pairs_of(text: str) -> str:
    """Return the tokens of a folded text: each pair of neighbouring characters, and the last character by itself."""
    points = [f"{ord(character):06x}" for character in text]
    return " ".join(first + second for first, second in zip(points, [*points[1:], ""], strict=True))


def match_of(word: str) -> str:
    """Return the full-text query for a folded word of at least one character, wherever in a text it stands."""
    points = [f"{ord(character):06x}" for character in word]
    if len(points) == 1:
        # A single character begins the token of every pair that it begins.
        return f"{points[0]}*"
    return '"' + " ".join(first + second for first, second in pairwise(points)) + '"'


def columns(table: Table, **values: Any) -> dict[str, Any]:
    """Return a row of `table` but for its sequence; raise KeyError when a column is missing."""
    return {column.name: values[column.name] for column in table.columns if column.name != "sequence"}
