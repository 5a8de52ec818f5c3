"""The figures by which each department's reads are judged at each moment: published tables over the presets, or an auditor's own."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence

import msgspec

from contracts.data_sharing.audit_figures import FiguresRecord, figures_in_force, table_in_force
from verification.access.rule_table import DEFAULT_TABLE, RuleTable


class RuleFigures:
    """The table of the rules at any time, by department; `used` are the numbers of the published tables that decided."""

    def __init__(self, base: RuleTable = DEFAULT_TABLE, published: Sequence[FiguresRecord] = ()) -> None:
        """Take the figures where nothing is published (all of them, for an auditor's own), and what the ledger has published."""
        self.base = base
        self.used: set[int] = set()
        self._published = tuple(published)
        self._known: dict[str, tuple[list[int], list[RuleTable], list[set[int]]]] = {}

    def at(self, department: str, time_ms: int) -> RuleTable:
        """Return the table by which what a department reads at a time in ms is judged."""
        if not self._published:
            return self.base
        begins, tables, numbers = self._known.get(department) or self._prepare(department)
        place = bisect_right(begins, time_ms)
        self.used |= numbers[place]
        return tables[place]

    def _prepare(self, department: str) -> tuple[list[int], list[RuleTable], list[set[int]]]:
        """Return when a department's figures change; and table and published numbers before the first change and from each one on."""
        concerned = [table for table in self._published if table.department in ("", department)]
        begins = sorted({table.from_ms for table in concerned})
        tables, numbers = [self.base], [set[int]()]
        for begin in begins:
            tables.append(self._table(figures_in_force(concerned, department, begin)))
            both = [table_in_force(concerned, whose, begin) for whose in ("", department)]
            numbers.append({table.number for table in both if table is not None})
        self._known[department] = begins, tables, numbers
        return self._known[department]

    def _table(self, figures: Mapping[str, int]) -> RuleTable:
        values: dict[str, int | bool] = dict(figures)
        if "only_working_days" in values:
            values["only_working_days"] = bool(values["only_working_days"])
        return msgspec.structs.replace(self.base, **values)
