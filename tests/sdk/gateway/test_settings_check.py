"""`govnode gateway check`: what of a department's settings does not fit the ledger, or the settings of its other gateways."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from contracts.accounts import RECORDER
from contracts.data_sharing.resources import CONDITIONAL, GENERAL, NOT_SHARED, ResourceDescription, ResourceItem
from sm_crypto.keystore import save_key
from sm_crypto.sm2 import PrivateKey
from tests.sdk.gateway.conftest import add_account
from tests.sdk.gateway.grant_records import CONSUMER, PROVIDER

Run = Callable[..., tuple[int, Any, str]]
OWN, SECRET, NOWHERE = "307013301/000001", "307013301/000002", "307013301/000009"
ROUTE = '[[routes]]\nmethod = "GET"\npath = "{path}"\nresource = "{code}"\nfields = {{ owner = "{item}" }}\n'


def resource(code: str, sharing_type: int) -> ResourceDescription:
    return ResourceDescription(
        code=code,
        name="房屋权利人",
        summary="核对设置所用",
        format="JSON",
        items=(ResourceItem("权利人", "C"), ResourceItem("坐落", "C")),
        sharing_type=sharing_type,
        sharing_basis="限办理业务使用",
        sharing_method="接口查询",
        update_cycle=1,
        data_class=GENERAL,
    )


@pytest.fixture
def settings(node: Any, tmp_path: Path) -> Callable[..., Path]:
    """Return what writes the settings of a gateway of its own key, its department's resources being in the catalogue."""
    for code, sharing_type in ((OWN, CONDITIONAL), (SECRET, NOT_SHARED)):
        said = {"resource": resource(code, sharing_type), "replaces": 0}
        node.chain.call(node.chain.clerk, "catalogue", "publish", **said)

    def write(name: str, routes: str, department: str = PROVIDER, port: int = 8590, part: str = "1/1") -> Path:
        signer = add_account(node, department, RECORDER)
        key = signer._key
        assert isinstance(key, PrivateKey)
        folder = tmp_path / name
        folder.mkdir()
        save_key(folder / "gateway.key", key, b"password", iterations=1_000)
        password = folder / "password"
        password.touch(mode=0o600)
        password.write_text("password\n")
        said = {"service": "http://127.0.0.1:1", "node": node.url, "key": "gateway.key", "password_file": "password"}
        lines = [f'listen = "127.0.0.1:{port}"', f'quota_part = "{part}"']
        lines += [f'{field} = "{value}"' for field, value in said.items()]
        path = folder / "gateway.toml"
        path.write_text("\n".join([*lines, routes]), "utf-8")
        return path

    return write


def codes(found: Any) -> list[str]:
    return [one["code"] for one in found["findings"]]


def test_settings_that_fit_say_what_keys_the_rows_must_have(settings: Callable[..., Path], run: Run) -> None:
    path = settings("own", ROUTE.format(path="/a", code=OWN, item="权利人"))
    status, found, _ = run("gateway", "check", path, "--json")
    assert (status, found["findings"]) == (0, [])
    assert found["gateways"][0]["routes"] == [{"operation": "GET /a", "resource": OWN, "keys": ["owner", "坐落"]}]
    said = run("gateway", "check", path)[1]
    for shown in ("坐落", str(path.parent / "reads.sqlite"), "1/1"):
        assert shown in said


def test_each_route_that_does_not_fit_the_catalogue_is_named(settings: Callable[..., Path], run: Run) -> None:
    wrong = ((OWN, "所有人"), (SECRET, "权利人"), (NOWHERE, "权利人"))
    routes = "".join(ROUTE.format(path=f"/{code[-1]}", code=code, item=item) for code, item in wrong)
    path = settings("own", routes)
    status, found, _ = run("gateway", "check", path, "--json")
    assert (status, codes(found)) == (1, ["ITEM_UNKNOWN", "NOT_SHARED", "RESOURCE_UNKNOWN"])
    assert [one["place"] for one in found["findings"]] == ["GET /1", "GET /2", "GET /9"]
    other = settings("other", ROUTE.format(path="/a", code=OWN, item="权利人"), department=CONSUMER)
    assert codes(run("gateway", "check", other, "--json")[1]) == ["OTHER_PROVIDER"]
    assert run("gateway", "check", "--offline", path)[0] == 0


def test_gateways_that_share_what_each_needs_for_itself_are_named(settings: Callable[..., Path], run: Run) -> None:
    route = ROUTE.format(path="/a", code=OWN, item="权利人")
    first, second = settings("first", route, part="1/2"), settings("second", route, port=8591, part="2/2")
    assert run("gateway", "check", "--offline", first, second)[0] == 0
    third = settings("third", route, port=8591, part="2/2")
    status, found, _ = run("gateway", "check", "--offline", first, second, third, "--json")
    assert (status, codes(found)) == (1, ["SETTINGS_SHARED", "QUOTA_GIVEN_TWICE"])
    assert "1/2、2/2、2/2" in found["findings"][1]["zh"]
