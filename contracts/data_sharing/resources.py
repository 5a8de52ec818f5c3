"""What a department states about a data resource: the fields of GB/T 21063 and its guide, as implemented, and what they must hold to."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from contracts.data_sharing.directories import check_duties, check_systems
from contracts.fields import Uint8, check_choice, check_list, check_optional_text, check_text
from contracts.members import LEVELS
from contracts.records import Reader
from contracts.refusals import Refused
from sm_crypto.sm3 import TaggedHash

MAX_NAME_LENGTH: Final = 128
MAX_SUMMARY_LENGTH: Final = 1_000
MAX_BASIS_LENGTH: Final = 500
MAX_FORMAT_LENGTH: Final = 64
MAX_ITEMS: Final = 256
MAX_CATEGORIES: Final = 4
MAX_RELATED: Final = 64
RESOURCE_CODE_LENGTH: Final = 37

UNCONDITIONAL: Final = 1
CONDITIONAL: Final = 2
NOT_SHARED: Final = 3
SHARING_TYPES: Final = {
    1: ("无条件共享", "unconditional"),
    2: ("有条件共享", "conditional"),
    3: ("不予共享", "not shared"),
}
UPDATE_CYCLES: Final = {
    1: ("实时", "real time"),
    2: ("每日", "daily"),
    3: ("每周", "weekly"),
    4: ("每月", "monthly"),
    5: ("每季", "quarterly"),
    6: ("每年", "yearly"),
}
CORE: Final = 1
IMPORTANT: Final = 2
GENERAL: Final = 3
DATA_CLASSES: Final = {CORE: ("核心", "core"), IMPORTANT: ("重要", "important"), GENERAL: ("一般", "general")}
"""GB/T 43697; the lower the number, the stricter."""
ITEM_TYPES: Final = ("C", "N", "Y", "D", "T", "L", "M", "G", "B", "I", "F")
"""Types of a data item, as implemented: characters, number, currency, date, time, logical, memo, general, binary, integer, float."""
CODE_CLASSES: Final = {"1": ("基础", "base"), "2": ("主题", "theme"), "3": ("部门", "departmental")}
"""类, the first digit of a code."""
BASE_LIBRARIES: Final[dict[str, tuple[str, str]]] = {
    "base-population": ("人口", "population"),
    "base-legal-entities": ("法人", "legal entities"),
    "base-geography": ("空间地理", "geography"),
    "base-buildings": ("房产房屋", "buildings"),
    "base-city-components": ("城市部件", "city components"),
    "base-certificates": ("电子证照", "electronic certificates"),
    "base-economy": ("经济运行", "economy"),
}
"""基础库, as a city's decision names them."""
THEME_LIBRARIES: Final[dict[str, tuple[str, str]]] = {
    "theme-government-services": ("政务服务", "government services"),
    "theme-education-science": ("教育科技", "education and science"),
    "theme-transport": ("交通管理", "transport"),
    "theme-construction": ("城市建设管理", "city construction"),
    "theme-housing": ("住房管理", "housing"),
    "theme-employment": ("就业社保", "employment and social security"),
    "theme-culture-tourism": ("文化旅游", "culture and tourism"),
    "theme-finance": ("金融信息", "finance"),
    "theme-market": ("市场监管", "market supervision"),
    "theme-health": ("卫生健康", "health"),
    "theme-safety": ("公共安全", "public safety"),
    "theme-power": ("电力", "electric power"),
    "theme-agriculture": ("“三农”服务", "agriculture"),
}
"""主题库, as a city's decision names them."""
LIBRARIES: Final = BASE_LIBRARIES | THEME_LIBRARIES
SOURCE_LEVELS: Final[dict[str, tuple[str, str]]] = {
    "national": ("国家部委回流", "returned by a ministry"),
    "province": ("省级回流", "returned by the province"),
}
"""Whose data a returned resource (回流) is."""

# Class digits (类 1, 项 2, 目 3, 细目 variable), a slash, a running number.
_CODE_FORM: Final = re.compile(r"[0-9]{6,24}/[0-9]{1,12}")
_HASH: Final = TaggedHash("govnode/resource/1")


class ResourceItem(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One data item of a resource: its name and its type, one of ITEM_TYPES."""

    name: str
    type: str


class ResourceDescription(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A resource as its department states it; `sharing_basis` is the condition or the reason for not sharing."""

    code: str
    name: str
    summary: str
    format: str
    items: tuple[ResourceItem, ...]
    sharing_type: Uint8
    sharing_basis: str
    sharing_method: str
    update_cycle: Uint8
    data_class: Uint8
    is_open: bool = False
    """Whether the public may have it too."""
    open_condition: str = ""
    is_secret: bool = False
    """涉密: such data stays in its own network, here is at most its entry."""
    level: str = ""
    """Level of the body that the data belongs to; empty for the department's own."""
    categories: tuple[str, ...] = ()
    """Names of 类, 项, 目 and 细目, as far as they are named."""
    library: str = ""
    """The base or theme library that it is part of."""
    source_level: str = ""
    """For data returned to the city (回流): whose it is; empty for the department's own."""
    source_body: str = ""
    """For returned data: the body that returns it."""
    source_code: str = ""
    """For returned data: its code in that body's catalogue, where it has one."""
    related: tuple[str, ...] = ()
    """Codes of related resources."""
    duties: tuple[str, ...] = ()
    """Codes in the department's directory of duties."""
    systems: tuple[str, ...] = ()
    """Codes in the department's directory of systems."""


def description_digest(description: ResourceDescription) -> bytes:
    """Return the 32-byte digest by which approvals name what they approve."""
    return _HASH(msgspec.msgpack.encode(description))


def classification(code: str) -> tuple[str, str, str, str]:
    """Return the digits of 类, 项, 目 and 细目 (may be empty) in a resource's code."""
    digits = code.partition("/")[0]
    return digits[:1], digits[1:3], digits[3:6], digits[6:]


def check_resource_code(code: str) -> None:
    """Return if a code is class digits, a slash and a number; refuse RESOURCE_CODE_MALFORMED otherwise."""
    if _CODE_FORM.fullmatch(code) is None:
        raise Refused("RESOURCE_CODE_MALFORMED", found=code)


def check_description(state: Reader, department: str, described: ResourceDescription) -> None:
    """Return if a department may state this about a resource; refuse a fault in anything of it."""
    check_resource_code(described.code)
    check_text("name", described.name, MAX_NAME_LENGTH)
    check_text("summary", described.summary, MAX_SUMMARY_LENGTH)
    check_text("format", described.format, MAX_FORMAT_LENGTH)
    _check_items(described.items)
    check_choice("sharing_type", described.sharing_type, tuple(SHARING_TYPES))
    check_optional_text("sharing_basis", described.sharing_basis, MAX_BASIS_LENGTH)
    if described.sharing_type != UNCONDITIONAL and not described.sharing_basis:
        raise Refused("BASIS_MISSING")
    check_text("sharing_method", described.sharing_method, MAX_NAME_LENGTH)
    check_choice("update_cycle", described.update_cycle, tuple(UPDATE_CYCLES))
    check_choice("data_class", described.data_class, tuple(DATA_CLASSES))
    _check_openness(described)
    _check_place(described)
    check_list("related", described.related, MAX_RELATED)
    for code in described.related:
        check_resource_code(code)
        if code == described.code:
            raise Refused("LIST_REPEATS", field="related", found=code)
    check_duties(state, department, described.duties)
    check_systems(state, department, described.systems)


def _check_items(items: tuple[ResourceItem, ...]) -> None:
    if not items:
        raise Refused("LIST_EMPTY", field="items")
    check_list("items", [item.name for item in items], MAX_ITEMS)
    for item in items:
        check_text("item name", item.name, MAX_NAME_LENGTH)
        check_choice("item type", item.type, ITEM_TYPES)


def _check_openness(described: ResourceDescription) -> None:
    check_optional_text("open_condition", described.open_condition, MAX_BASIS_LENGTH)
    if described.is_secret and (described.sharing_type != NOT_SHARED or described.is_open):
        raise Refused("SECRET_SHARED", found=described.code)
    if described.is_open and described.data_class == CORE:
        raise Refused("CORE_OPENED", found=described.code)


def _check_place(described: ResourceDescription) -> None:
    """Refuse a fault in where a resource stands: its level, categories, library and, for returned data, where it is from."""
    check_choice("level", described.level, ("", *LEVELS))
    if len(described.categories) > MAX_CATEGORIES:
        raise Refused("LIST_TOO_LONG", field="categories", limit=MAX_CATEGORIES, found=len(described.categories))
    for name in described.categories:
        check_text("categories", name, MAX_NAME_LENGTH)
    check_choice("library", described.library, ("", *LIBRARIES))
    check_choice("source_level", described.source_level, ("", *SOURCE_LEVELS))
    check_optional_text("source_code", described.source_code, MAX_NAME_LENGTH)
    if described.source_level:
        check_text("source_body", described.source_body, MAX_NAME_LENGTH)
    elif described.source_body or described.source_code:
        raise Refused("SOURCE_WITHOUT_LEVEL")
