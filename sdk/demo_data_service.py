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


async def data_service(scope: Any, receive: Any, send: Any) -> None:
    """Answer with the titles of the person whose number the query names."""
    if scope["type"] != "http":
        return
    (number,) = parse_qs(scope["query_string"].decode("ascii")).get("number", [""])
    rows = [OWNERS[number]] if number in OWNERS else []
    body = json.dumps({"code": 0, "rows": rows}, ensure_ascii=False).encode()
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


if __name__ == "__main__":
    from sdk.cli.serving import serve_until_stopped

    serve_until_stopped(data_service, "127.0.0.1", int(sys.argv[1]))
