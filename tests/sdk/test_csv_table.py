"""Lists in CSV: columns under either name, and faults that say which columns there are."""

from __future__ import annotations

from pathlib import Path

import pytest

from sdk.certificates import StatusChange, load_status_changes
from verification.errors import InputError


def test_columns_have_the_names_of_lists_to_verify(tmp_path: Path) -> None:
    listed = tmp_path / "list.csv"
    listed.write_text("\ufeff证照标识, 原因\n1.2.3,灭失\n", "utf-8")
    assert load_status_changes(listed) == [StatusChange("1.2.3", "灭失")]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("证照标识,姓名\n1.2.3,甲\n", ("reason", "原因", "姓名")),
        ("证照标识,原因,姓名\n1.2.3,灭失,甲\n", ("姓名", "recipient")),
        ("证照标识,identifier,原因\n1,1,x\n", ("identifier",)),
        ("identifier,reason\n", ("至少一行", "at least one row", "line 2:")),
        ("", ("identifier", "none")),
    ],
)
def test_what_is_wrong_with_a_list_names_its_columns(tmp_path: Path, text: str, said: tuple[str, ...]) -> None:
    listed = tmp_path / "list.csv"
    listed.write_text(text, "utf-8")
    with pytest.raises(InputError) as caught:
        load_status_changes(listed)
    assert caught.value.code == "CSV_INVALID"
    for part in said:
        assert part in f"{caught.value.zh} / {caught.value.en}"
