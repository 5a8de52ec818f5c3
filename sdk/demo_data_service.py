"""The demonstration's data service, which a department has behind its gateway: `python -m sdk.demo_data_service PORT`."""

from __future__ import annotations

import json
import sys
from typing import Any, Final
from urllib.parse import parse_qs

OWNERS: Final[dict[str, dict[str, Any]]] = {
    "990101198506120040": {
        "不动产单元号": "990101001001GB00001F00010001",
        "坐落": "示例路1号",
        "权利人": "示例一",
        "联系电话": "19900000001",
        "面积": 98.5,
        "抵押情况": "无",
    },
    "990101198506120059": {
        "不动产单元号": "990101001001GB00001F00010002",
        "坐落": "示例路2号",
        "权利人": "示例二",
        "联系电话": "19900000002",
        "面积": 76.0,
        "抵押情况": "已抵押",
    },
}
"""Titles by the owner's number; persons, numbers and telephones are made up."""
OPEN_PATH: Final = "/open/registrations.csv"
OPEN_TABLE: Final = """月份,登记类型,办件量
2026-09,首次登记,412
2026-09,转移登记,1380
2026-09,抵押登记,1105
2026-10,首次登记,398
2026-10,转移登记,1276
2026-10,抵押登记,1042
"""
"""What everybody may download at OPEN_PATH; the figures are made up."""


async def data_service(scope: Any, receive: Any, send: Any) -> None:
    """Answer with the open table at its path, else with the titles of the person whose number the query names."""
    if scope["type"] != "http":
        return
    if scope["path"] == OPEN_PATH:
        body, kind = OPEN_TABLE.encode(), b"text/csv; charset=utf-8"
    else:
        (number,) = parse_qs(scope["query_string"].decode("ascii")).get("number", [""])
        rows = [OWNERS[number]] if number in OWNERS else []
        body, kind = json.dumps({"code": 0, "rows": rows}, ensure_ascii=False).encode(), b"application/json"
    headers = [(b"content-type", kind)]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


if __name__ == "__main__":
    from sdk.cli.serving import serve_until_stopped

    serve_until_stopped(data_service, "127.0.0.1", int(sys.argv[1]))
