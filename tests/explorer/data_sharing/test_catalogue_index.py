"""The index of the catalogue finds by words exactly what a look through every entry finds, however often entries change."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sql
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.data_sharing.catalogue import ResourceRecord
from contracts.data_sharing.resources import ResourceDescription, ResourceItem
from explorer.data_sharing.catalogue_index import CHUNK, put_resources
from explorer.data_sharing.catalogue_queries import find_resources
from explorer.data_sharing.catalogue_tables import LINKS, RESOURCE_TEXTS, RESOURCES, folded, match_of
from explorer.index_tables import METADATA


@pytest.fixture(scope="module")
def engine() -> sql.Engine:
    engine = sql.create_engine("sqlite://", poolclass=sql.StaticPool)
    METADATA.create_all(engine)
    return engine


def make_anew(connection: sql.Connection) -> None:
    """Leave the tables of resources empty; to make all tables of the index takes longer than what is tried."""
    tables = [RESOURCES, RESOURCE_TEXTS, LINKS]
    METADATA.drop_all(connection, tables, checkfirst=False)
    METADATA.create_all(connection, tables, checkfirst=False)


def record(number: int, name: str, summary: str, version: int = 1) -> ResourceRecord:
    items = (ResourceItem("项", "C"),)
    described = ResourceDescription(f"301001001/{number}", name, summary, "CSV", items, 1, "", "接口", 2, 3)
    return ResourceRecord("11330100MB1234567X", described, version, number, bytes(20), (), 0, "", 0, 0)


# Few characters, so that what is looked for is often there; some that a query language would take for its own, or that fold.
TEXTS = st.text(alphabet='人口 籍aＡ"*:()-\N{LATIN SMALL LETTER SHARP S}', min_size=1, max_size=7).filter(str.strip)


@given(st.lists(st.tuples(st.integers(0, 5), TEXTS, TEXTS), min_size=1, max_size=9), TEXTS)
@settings(max_examples=60, deadline=None)
def test_search_finds_what_a_look_through_everything_finds(
    engine: sql.Engine, entries: list[tuple[int, str, str]], words: str
) -> None:
    with engine.begin() as connection:
        make_anew(connection)
        for number, name, summary in entries:
            put_resources(connection, [record(number, name, summary)])
    latest = {f"301001001/{number}": (name, summary) for number, name, summary in entries}
    order = list(dict.fromkeys(f"301001001/{number}" for number, _, _ in entries))
    wanted = folded(words).split()

    def has(texts: list[str]) -> bool:
        return all(any(word in folded(text) for text in texts) for word in wanted)

    in_head = [code for code in reversed(order) if has([latest[code][0], code])]
    elsewhere = [code for code in reversed(order) if code not in in_head and has([*latest[code], code, "项"])]
    found = find_resources(engine, None, 50, text=words)
    assert [row.code for row in found] == in_head + elsewhere
    assert [row.position for row in found] == sorted((row.position for row in found), reverse=True)


def test_more_than_one_statement_takes_are_put_and_put_again(engine: sql.Engine) -> None:
    with engine.begin() as connection:
        make_anew(connection)
        put_resources(connection, [record(number, f"资源{number}", "旧") for number in range(CHUNK + 7)])
        put_resources(connection, [record(number, f"资源{number}", "新", 2) for number in range(CHUNK + 7)])
        count = connection.execute(sql.select(sql.func.count()).select_from(RESOURCE_TEXTS)).scalar()
    assert count == CHUNK + 7
    assert find_resources(engine, None, 5, text="旧") == []
    assert len(find_resources(engine, None, CHUNK * 2, text="新")) == CHUNK + 7


def test_another_database_searches_the_same_texts_without_the_index(engine: sql.Engine, monkeypatch: Any) -> None:
    with engine.begin() as connection:
        make_anew(connection)
        put_resources(
            connection, [record(1, "人口信息", "常住"), record(2, "车辆", "人口分布"), record(3, "水质", "监测")]
        )
    expected = [row.code for row in find_resources(engine, None, 9, text="人口")]
    monkeypatch.setattr(engine.dialect, "name", "postgresql")
    assert (
        [row.code for row in find_resources(engine, None, 9, text="人口")] == expected == ["301001001/1", "301001001/2"]
    )


def test_a_single_character_is_looked_for_too() -> None:
    assert match_of("人").endswith("*")
    assert match_of("人口").startswith('"')
