"""What in the settings of a department's gateways does not fit the catalogue, or one another."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from contracts.data_sharing.catalogue import ResourceRecord
from contracts.data_sharing.resources import NOT_SHARED
from sdk.gateway.config import GatewayConfig
from sdk.gateway.routes import Route

FindResource = Callable[[str], ResourceRecord | None]
"""Returns the newest version of a resource by its code, None where the catalogue has none."""
_OWN_FIELDS: Final = ("listen", "key", "store")


class Finding(NamedTuple):
    """What does not fit, and where: the operation of a route, or the settings' files."""

    code: str
    place: str
    zh: str
    en: str


def check_routes(routes: Sequence[Route], department: str, find: FindResource) -> list[Finding]:
    """Return what of the routes of a department's gateway is not as the catalogue has it."""
    found: list[Finding] = []
    for route in routes:
        resource = find(route.resource)
        if resource is None:
            found.append(_finding("RESOURCE_UNKNOWN", route, "目录中没有资源", "the catalogue has no resource"))
        elif resource.provider != department:
            found.append(
                _finding("OTHER_PROVIDER", route, f"属于部门 {resource.provider}：", f"is {resource.provider}'s:")
            )
        elif resource.withdrawn_ms:
            found.append(_finding("RESOURCE_WITHDRAWN", route, "已撤回：", "is withdrawn:"))
        else:
            found += _check_items(route, resource)
    return found


def _check_items(route: Route, resource: ResourceRecord) -> list[Finding]:
    items = {item.name for item in resource.description.items}
    unknown = sorted(set(route.shape.fields.values()) - items)
    found = []
    if resource.description.sharing_type == NOT_SHARED:
        found.append(_finding("NOT_SHARED", route, "不予共享：", "is not shared:"))
    if unknown:
        listed = "、".join(unknown)
        found.append(
            _finding("ITEM_UNKNOWN", route, f"fields 中 {listed} 不是资源的数据项：", f"{listed} is no item of")
        )
    return found


def _finding(code: str, route: Route, zh: str, en: str) -> Finding:
    return Finding(code, route.operation, f"{zh} {route.resource}", f"{en} {route.resource}")


def unnamed_items(route: Route, resource: ResourceRecord) -> tuple[str, ...]:
    """Return the items of a resource that `fields` does not name: a key of a row has to be called just so for each to leave."""
    named = set(route.shape.fields.values())
    return tuple(item.name for item in resource.description.items if item.name not in named)


def check_together(settings: Mapping[Path, GatewayConfig]) -> list[Finding]:
    """Return what the settings of one department's gateways may not have in common, and quotas that they would give out twice."""
    found: list[Finding] = []
    for field in _OWN_FIELDS:
        users: dict[str, list[str]] = {}
        for path, config in settings.items():
            users.setdefault(getattr(config, field), []).append(str(path))
        found += [
            Finding("SETTINGS_SHARED", ", ".join(names), f"{field} 相同：{value}", f"the same {field}: {value}")
            for value, names in users.items()
            if len(names) > 1
        ]
    parts: dict[str, dict[str, str]] = {}
    for path, config in settings.items():
        for code in {route.resource for route in config.routes}:
            parts.setdefault(code, {})[str(path)] = config.quota_part
    for code, by_file in sorted(parts.items()):
        said = sorted(by_file.values())
        if len(set(said)) < len(said) or len({part.partition("/")[2] for part in said}) > 1:
            listed = "、".join(said)
            found.append(
                Finding(
                    "QUOTA_GIVEN_TWICE",
                    ", ".join(by_file),
                    f"资源 {code} 的 quota_part 为 {listed}：须各不相同、总数相同",
                    f"quota_part of resource {code} is {listed}: each of its own, of the same number",
                )
            )
    return found
