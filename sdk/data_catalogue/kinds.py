"""The three kinds of entries that a directory chain has, and the columns of each one's table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from contracts.data_sharing import resources as catalogue_words
from contracts.data_sharing.directories import NETWORKS, Duty, System
from contracts.data_sharing.resources import ResourceDescription
from contracts.members import LEVELS
from sdk.data_catalogue.cells import CellForm, ChoiceCell, FlagCell, ItemsCell, ListCell, TextCell

Content = Duty | System | ResourceDescription

DEPARTMENT: Final = "department"
ITEM_NAME: Final = "item_name"
ITEM_TYPE: Final = "item_type"
"""Columns of tables that have a line for each data item, as the guide's form has it, in place of one cell for all."""


class Column(msgspec.Struct, frozen=True):
    """A column: the field that it fills, its heading in Chinese, other headings, and whether its cells may not be empty."""

    field: str
    zh: str
    form: CellForm
    is_required: bool = False
    others: tuple[str, ...] = ()


class Kind(msgspec.Struct, frozen=True):
    """A kind of entries: name, what its table is called in Chinese, how an entry is made from its fields, and its columns."""

    name: str
    zh: str
    en: str
    make: Callable[..., Content]
    columns: tuple[Column, ...]

    @property
    def fields(self) -> tuple[Column, ...]:
        """The columns that fill fields of the entry: all but the department that states it."""
        return tuple(column for column in self.columns if column.field != DEPARTMENT)


_TEXT: Final = TextCell()
_LIST: Final = ListCell()
_DEPARTMENT: Final = Column(DEPARTMENT, "提供方代码", _TEXT, True, ("部门代码", "统一社会信用代码"))
_DUTY_CODES: Final = Column("duties", "职责代码", _LIST, False, ("对应职责代码", "关联职责代码"))

DUTIES: Final = Kind(
    "duties",
    "职责目录",
    "directory of duties",
    Duty,
    (
        _DEPARTMENT,
        Column("code", "职责代码", _TEXT, True, ("职责编号",)),
        Column("name", "职责名称", _TEXT, True),
        Column("basis", "职责依据", _TEXT, True, ("依据", "法定依据")),
        Column("unit", "责任处室", _TEXT, False, ("处室", "内设机构")),
        Column("tasks", "职责事项", _LIST, False, ("事项", "业务事项")),
    ),
)
SYSTEMS: Final = Kind(
    "systems",
    "系统目录",
    "directory of systems",
    System,
    (
        _DEPARTMENT,
        Column("code", "系统代码", _TEXT, True, ("系统编号",)),
        Column("name", "系统名称", _TEXT, True),
        Column("summary", "系统简介", _TEXT, True, ("系统摘要", "功能简介")),
        Column("network", "所在网络", ChoiceCell(NETWORKS), True, ("网络", "部署网络")),
        _DUTY_CODES,
    ),
)
RESOURCES: Final = Kind(
    "resources",
    "数据目录",
    "catalogue of data resources",
    ResourceDescription,
    (
        _DEPARTMENT,
        Column("code", "资源代码", _TEXT, True, ("信息资源代码", "数据资源代码")),
        Column("name", "资源名称", _TEXT, True, ("信息资源名称", "数据资源名称")),
        Column("summary", "资源摘要", _TEXT, True, ("摘要", "信息资源摘要")),
        Column("format", "资源格式", _TEXT, True, ("格式", "信息资源格式")),
        Column("items", "数据项", ItemsCell(), False, ("信息项",)),
        Column("sharing_type", "共享类型", ChoiceCell(catalogue_words.SHARING_TYPES, "共享"), True),
        Column("sharing_basis", "共享条件", _TEXT, False, ("共享依据", "共享条件或不予共享依据")),
        Column("sharing_method", "共享方式", _TEXT, True),
        Column("update_cycle", "更新周期", ChoiceCell(catalogue_words.UPDATE_CYCLES), True),
        Column("data_class", "数据分级", ChoiceCell(catalogue_words.DATA_CLASSES, "数据"), True, ("数据级别",)),
        Column("is_open", "是否开放", FlagCell(), False, ("是否向社会开放", "开放属性")),
        Column("open_condition", "开放条件", _TEXT),
        Column("is_secret", "是否涉密", FlagCell(), False, ("涉密属性",)),
        Column("level", "层级", ChoiceCell(LEVELS, is_optional=True), False, ("层级属性",)),
        Column("categories", "分类名称", _LIST, False, ("类目名称", "信息资源分类")),
        Column(
            "library", "所属库", ChoiceCell(catalogue_words.LIBRARIES, "库", is_optional=True), False, ("所属数据库",)
        ),
        Column("source_level", "回流层级", ChoiceCell(catalogue_words.SOURCE_LEVELS, "回流", is_optional=True)),
        Column("source_body", "回流来源", _TEXT),
        Column("source_code", "回流来源代码", _TEXT),
        Column("related", "关联资源代码", _LIST),
        _DUTY_CODES,
        Column("systems", "系统代码", _LIST, False, ("所属系统代码", "来源系统代码")),
    ),
)
KINDS: Final = {kind.name: kind for kind in (DUTIES, SYSTEMS, RESOURCES)}
"""In the order in which they go on the ledger: systems name duties, resources both."""
ITEM_COLUMNS: Final = {
    ITEM_NAME: ("数据项名称", "信息项名称", "字段名称", ITEM_NAME),
    ITEM_TYPE: ("数据项类型", "信息项类型", "数据类型", "字段类型", ITEM_TYPE),
}


class Entry(msgspec.Struct, frozen=True):
    """An entry of a kind as a department states it, and the line that it begins at in its file, 0 where it is from no file."""

    kind: str
    department: str
    content: Any
    line: int = 0

    @property
    def name(self) -> tuple[str, str]:
        """What no two entries of a kind share: duties and systems are named within their department, resources by their code alone."""
        return ("" if self.kind == RESOURCES.name else self.department, self.content.code)
