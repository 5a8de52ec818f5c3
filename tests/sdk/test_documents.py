"""Documents: digests, commitments to holders, days of China."""

from pathlib import Path

import pytest

from sdk.documents import document_digest
from verification.days import day_end_ms, day_start_ms, show_time
from verification.errors import InputError
from verification.holders import Holder, holder_commitment, holder_salt


def test_digest_is_sm3_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "证照 file.pdf"
    path.write_bytes(b"abc")
    assert document_digest(path).hex() == "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"


def test_missing_document_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read") as caught:
        document_digest(tmp_path / "none.pdf")
    assert caught.value.code == "FILE_UNREADABLE"


def test_days_are_those_of_china() -> None:
    assert day_start_ms("1970-01-02") == 16 * 3_600_000
    assert day_end_ms("1970-01-01") == day_start_ms("1970-01-02") - 1
    assert show_time(day_start_ms("2025-03-03")) == "2025-03-03 00:00:00 (UTC+8)"


@pytest.mark.parametrize(
    "text", ["", "2025-1-2", "20250102", "2025-02-30", "2025-W01-1", "02/01/2025", "2025-01-02T00:00"]
)
def test_malformed_days_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        day_start_ms(text)


def test_commitment_depends_on_secret_certificate_and_every_field_of_the_holder() -> None:
    secret = bytes(32)
    holder = Holder("111", "999999197002070011", "示例持证人0001")
    base = holder_commitment(holder_salt(secret, "1.2.3"), holder)
    others = {
        holder_commitment(holder_salt(b"\1" * 32, "1.2.3"), holder),
        holder_commitment(holder_salt(secret, "1.2.4"), holder),
        holder_commitment(holder_salt(secret, "1.2.3"), Holder("001", holder.code, holder.name)),
        holder_commitment(holder_salt(secret, "1.2.3"), Holder(holder.code_type, "9", holder.name)),
        holder_commitment(holder_salt(secret, "1.2.3"), Holder(holder.code_type, holder.code, "示例")),
    }
    assert len(base) == 32
    assert len(others | {base}) == 6
    assert base == holder_commitment(holder_salt(secret, "1.2.3"), holder)
