"""The data service of the gateway bench, a process of its own: looks a house up in SQLite and answers with its owners as JSON."""

from __future__ import annotations

import sqlite3
import sys
from typing import Any, Final

import orjson

HOUSES: Final = 10_000
ITEMS: Final = ("不动产单元号", "权利人", "联系电话", "坐落", "面积", "用途", "登记时间", "备注")


def make_service(database: str) -> Any:
    """Return the ASGI application over a table of HOUSES rows at this path, which is made where there is none."""
    # Whichever one thread serves.
    connection = sqlite3.connect(database, check_same_thread=False)
    columns = ", ".join(f'"{name}"' for name in ITEMS)
    connection.execute(f"CREATE TABLE IF NOT EXISTS houses (number INTEGER PRIMARY KEY, {columns})")
    if not connection.execute("SELECT count(*) FROM houses").fetchone()[0]:
        marks = ", ".join("?" * (len(ITEMS) + 1))
        connection.executemany(f"INSERT INTO houses VALUES ({marks})", (_house(number) for number in range(HOUSES)))  # noqa: S608
        connection.commit()

    async def service(scope: Any, receive: Any, send: Any) -> None:
        number = int(scope["path"].rpartition("/")[2]) % HOUSES
        found = connection.execute("SELECT * FROM houses WHERE number = ?", (number,)).fetchone()
        body = orjson.dumps({"code": 0, "rows": [dict(zip(ITEMS, found[1:], strict=True))]})
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return service


def main() -> None:
    """Serve on the port of this machine that is given, with the database that is given."""
    import uvicorn

    app = make_service(sys.argv[2])
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_config=None, access_log=False, lifespan="off")


def _house(number: int) -> tuple[object, ...]:
    unit = f"990100001001GB{number:05}F00010001"
    phone = f"1380000{number % 10_000:04}"
    return (number, unit, "张三", phone, f"示例路{number}号", 98.5, "住宅", "2020-01-01", "")


if __name__ == "__main__":
    main()
