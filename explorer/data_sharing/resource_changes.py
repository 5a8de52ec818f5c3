"""What differs between two statements about a resource, field by field, in words for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from contracts.data_sharing.resources import (
    DATA_CLASSES,
    LIBRARIES,
    SHARING_TYPES,
    SOURCE_LEVELS,
    UPDATE_CYCLES,
    ResourceDescription,
    ResourceItem,
)
from contracts.members import LEVELS
from explorer.problems import Text

FIELDS: Final[dict[str, Text]] = {
    "code": Text("资源代码", "code"),
    "name": Text("资源名称", "name"),
    "summary": Text("摘要", "summary"),
    "format": Text("格式", "format"),
    "items": Text("数据项", "items"),
    "sharing_type": Text("共享类型", "sharing"),
    "sharing_basis": Text("共享条件或依据", "condition or basis of sharing"),
    "sharing_method": Text("共享方式", "way of sharing"),
    "update_cycle": Text("更新周期", "update cycle"),
    "data_class": Text("数据分级", "data class"),
    "is_open": Text("是否开放", "open to the public"),
    "open_condition": Text("开放条件", "condition of opening"),
    "is_secret": Text("是否涉密", "secret"),
    "level": Text("层级", "level"),
    "categories": Text("分类名称", "categories"),
    "library": Text("所属库", "library"),
    "source_level": Text("回流层级", "returned from"),
    "source_body": Text("回流来源", "returned by"),
    "source_code": Text("回流来源代码", "code at its source"),
    "related": Text("关联资源", "related resources"),
    "duties": Text("对应职责", "duties"),
    "systems": Text("所属系统", "systems"),
}
"""Every field of a description, as people know it."""

_WORDS: Final[dict[str, dict[Any, tuple[str, str]]]] = {
    "sharing_type": {**SHARING_TYPES},
    "update_cycle": {**UPDATE_CYCLES},
    "data_class": {**DATA_CLASSES},
    "level": {**LEVELS},
    "library": {**LIBRARIES},
    "source_level": {**SOURCE_LEVELS},
    "is_open": {True: ("是", "yes"), False: ("否", "no")},
    "is_secret": {True: ("是", "yes"), False: ("否", "no")},
}


def changes_between(before: ResourceDescription, after: ResourceDescription) -> list[dict[str, Any]]:
    """Return each field that differs with its name and both values in words; of a list, what was taken out and what was added."""
    changed = []
    for field in ResourceDescription.__struct_fields__:
        old, new = getattr(before, field), getattr(after, field)
        if old == new:
            continue
        if isinstance(old, tuple) and set(old) != set(new):
            old, new = [one for one in old if one not in new], [one for one in new if one not in old]
        values = {"before": in_words(field, old)._asdict(), "after": in_words(field, new)._asdict()}
        changed.append({"field": field, "field_text": FIELDS[field]._asdict(), **values})
    return changed


def in_words(field: str, value: Any) -> Text:
    """Return a field's value as people read it: codes by what they stand for, lists in one line."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        line = "、".join(_one(item) for item in value)
        return Text(line, line)
    words = _WORDS.get(field, {}).get(value)
    return Text(str(value), str(value)) if words is None else Text(*words)


def _one(item: ResourceItem | str) -> str:
    return ":".join(msgspec.structs.astuple(item)) if isinstance(item, ResourceItem) else item
