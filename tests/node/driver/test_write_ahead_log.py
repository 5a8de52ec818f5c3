from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consensus.events import LockState
from consensus.messages import Proposal, Vote, VoteKind
from consensus.timeouts import TimeoutKind
from node.driver.write_ahead_log import (
    BlockLogged,
    BuiltLogged,
    HeightLogged,
    LogRecord,
    OwnProposalLogged,
    OwnVoteLogged,
    ProposalLogged,
    TimeoutLogged,
    VoteLogged,
    WriteAheadLog,
)

LOCK = LockState(0, b"\x01" * 32, 0, b"\x01" * 32)
PROPOSAL = Proposal(7, 0, b"\x01" * 32, -1, 2, b"\x05" * 64)
VOTE = Vote(VoteKind.PREVOTE, 7, 0, None, 1, b"\x06" * 64)
RECORDS: list[LogRecord] = [
    BlockLogged(b"header", [b"one", b"two"], []),
    BuiltLogged(0, b"\x01" * 32),
    OwnProposalLogged(4, PROPOSAL, LOCK),
    ProposalLogged(PROPOSAL, is_valid=True, is_timely=False),
    VoteLogged(VOTE),
    TimeoutLogged(TimeoutKind.PREVOTE, 0),
    OwnVoteLogged(5, VOTE, LOCK),
]


def _write(path: Path, height: int, records: list[LogRecord]) -> None:
    log = WriteAheadLog(path)
    log.begin(height, is_voting=True)
    for record in records:
        log.append(record)
    log.sync()
    log.close()


def _read(path: Path) -> list[LogRecord]:
    log = WriteAheadLog(path)
    log.close()
    return log.records


def test_a_new_log_is_empty(tmp_path: Path) -> None:
    log = WriteAheadLog(tmp_path / "log")
    assert (log.records, log.height, log.is_torn) == ([], None, False)
    log.close()


def test_records_come_back_in_order(tmp_path: Path) -> None:
    _write(tmp_path / "log", 7, RECORDS)
    log = WriteAheadLog(tmp_path / "log")
    assert log.height == 7
    assert log.records == [HeightLogged(7, is_voting=True), *RECORDS]
    assert not log.is_torn
    log.close()


def test_a_log_taken_up_goes_on_behind_its_last_record(tmp_path: Path) -> None:
    _write(tmp_path / "log", 7, RECORDS[:3])
    log = WriteAheadLog(tmp_path / "log")
    log.append(RECORDS[3])
    log.close()
    assert _read(tmp_path / "log")[1:] == RECORDS[:4]


@pytest.mark.parametrize("kept", [0, 1, 3])
def test_nothing_of_an_older_height_shows_through(tmp_path: Path, kept: int) -> None:
    log = WriteAheadLog(tmp_path / "log")
    for height in (7, 8, 9):
        log.begin(height, is_voting=True)
        for record in RECORDS if height < 9 else RECORDS[:kept]:
            log.append(record)
    log.close()
    reopened = WriteAheadLog(tmp_path / "log")
    assert reopened.records == [HeightLogged(9, is_voting=True), *RECORDS[:kept]]
    assert not reopened.is_torn
    reopened.close()


def test_a_cut_at_every_byte_leaves_the_whole_records_before_it(tmp_path: Path) -> None:
    _write(tmp_path / "whole", 7, RECORDS)
    content = (tmp_path / "whole").read_bytes()
    whole = [HeightLogged(7, is_voting=True), *RECORDS]
    path = tmp_path / "cut"
    lengths = set()
    for size in range(len(content)):
        path.write_bytes(content[:size])
        log = WriteAheadLog(path)
        assert log.records == whole[: len(log.records)]
        assert len(log.records) < len(whole)
        lengths.add(len(log.records))
        # What is written next is found again, and nothing that was cut comes back behind it.
        if log.height is None:
            log.begin(7, is_voting=True)
            kept: list[LogRecord] = [HeightLogged(7, is_voting=True)]
        else:
            kept = log.records
        log.append(RECORDS[5])
        log.close()
        assert _read(path) == [*kept, RECORDS[5]]
    assert lengths == set(range(len(whole)))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(st.data())
def test_damage_anywhere_cuts_the_log_there_and_never_invents_a_record(tmp_path: Path, data: st.DataObject) -> None:
    _write(tmp_path / "whole", 7, RECORDS)
    content = bytearray((tmp_path / "whole").read_bytes())
    position = data.draw(st.integers(0, len(content) - 1))
    content[position] ^= data.draw(st.integers(1, 255))
    (tmp_path / "damaged").write_bytes(content)
    log = WriteAheadLog(tmp_path / "damaged")
    whole = [HeightLogged(7, is_voting=True), *RECORDS]
    assert log.records == whole[: len(log.records)]
    assert len(log.records) < len(whole)
    log.close()
    (tmp_path / "whole").unlink()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100)
@given(st.binary(max_size=400))
def test_any_file_opens(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "any").write_bytes(content)
    log = WriteAheadLog(tmp_path / "any")
    log.begin(3, is_voting=False)
    log.close()
    assert _read(tmp_path / "any") == [HeightLogged(3, is_voting=False)]


def test_a_record_torn_in_its_middle_is_named_as_torn(tmp_path: Path) -> None:
    _write(tmp_path / "log", 7, RECORDS)
    content = (tmp_path / "log").read_bytes()
    (tmp_path / "log").write_bytes(content[:-5] + bytes(5))
    log = WriteAheadLog(tmp_path / "log")
    assert log.is_torn
    assert len(log.records) == len(RECORDS)
    log.close()


def test_the_file_is_for_its_owner_only(tmp_path: Path) -> None:
    _write(tmp_path / "log", 7, [])
    assert (tmp_path / "log").stat().st_mode & 0o777 == 0o600
