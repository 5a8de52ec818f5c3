"""Whole processes that die, stand still, lose their data or their disk's room, beside others that go on."""

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.machine import refusal_of

pytestmark = pytest.mark.e2e


SMALL_DISK = """
import os, shutil, subprocess, sys
data, room, config = sys.argv[1:]
kept = data + ".kept"
shutil.copytree(data, kept)
used = sum(int(line.split()[0]) for line in subprocess.check_output(["du", "-sk", kept], text=True).splitlines())
subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={used + int(room)}k", "tmpfs", data], check=True)
shutil.copytree(kept, data, dirs_exist_ok=True)
ended = subprocess.run([sys.executable, "-m", "sdk.cli.main", "start", "--config", config])
# What the node signed must outlive the disk it was on, or its key would sign the same heights twice.
shutil.rmtree(kept)
shutil.copytree(data, kept)
sys.exit(ended.returncode)
"""
"""Runs a node on a disk that has `room` KiB left, in a mount namespace of its own; leaves its data beside the folder."""


def anchor(network: Any, index: int) -> int:
    """Make one transaction final through a node, and return its height."""
    with network.client("land-clerk", index) as client:
        return int(client.call("anchors", "anchor", digest=secrets.token_bytes(32), label="x").height)


def status(network: Any, index: int) -> dict[str, Any]:
    with network.client(index=index) as client:
        return dict(client.status())


def test_the_chain_goes_on_whichever_one_is_killed(network: Any) -> None:
    for killed, name in enumerate(network.names):
        network.supervisor.kill(name)
        # Four heights: each of the others, and the dead one, has its turn to propose.
        first = anchor(network, (killed + 1) % 4)
        while anchor(network, (killed + 2) % 4) < first + 4:
            pass
        network.heal()
    assert len(network.roots(network.wait_until_level())) == 1


def test_one_that_stood_still_goes_on_where_the_others_are(network: Any) -> None:
    still = network.supervisor.process_id("node3")
    os.kill(still, signal.SIGSTOP)
    try:
        heights = [anchor(network, 0) for _ in range(8)]
    finally:
        os.kill(still, signal.SIGCONT)
    network.wait_until_level(heights[-1])
    assert network.supervisor.process_id("node3") == still
    assert len(network.roots(heights[-1])) == 1


def test_one_whose_data_is_gone_abstains_catches_up_and_votes_again(network: Any) -> None:
    anchor(network, 0)
    network.supervisor.kill("node4")
    folder = network.made.folder / "node4"
    shutil.rmtree(folder / "data")
    said = (folder / "node.log").stat().st_size
    network.heal()
    network.wait(lambda: b"abstaining" in (folder / "node.log").read_bytes()[said:], "the word that it abstains")

    def votes() -> bool:
        anchor(network, 0)
        return bool(status(network, 3)["is_voting"])

    network.wait(votes, "the vote of the one that caught up")
    assert len(network.roots(network.wait_until_level())) == 1


@contextlib.contextmanager
def on_a_small_disk(network: Any, name: str, room_kib: int) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """Run a node on a disk with little room; afterwards its data is what it left there."""
    config = network.made.folder / name / "node.toml"
    data, log = config.parent / "data", config.parent / "small-disk.log"
    command = ["unshare", "-rm", sys.executable, "-c", SMALL_DISK, str(data), str(room_kib), str(config)]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)
    try:
        yield process, log
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    shutil.rmtree(data)
    data.with_name("data.kept").rename(data)


def test_one_whose_disk_is_full_says_so_the_others_go_on_and_it_comes_back_with_room(
    network: Any, tmp_path: Path
) -> None:
    refusal = refusal_of("unshare", "-rm", "mount", "-t", "tmpfs", "tmpfs", str(tmp_path))
    if refusal:
        pytest.skip(
            f"this machine does not mount a small disk; a limit on file sizes is tested in its place: {refusal}"
        )
    network.supervisor.kill("node1")
    with on_a_small_disk(network, "node1", 3_000) as (full, log):

        def has_ended() -> bool:
            network.make_heavy_block(1)
            return full.poll() is not None

        network.wait(has_ended, "the end of a node without room")
        assert full.returncode in {1, 70}
        words = log.read_text("utf-8")
        assert "No space left" in words or "disk" in words, words[-500:]
        assert "driver_fault" not in words, words[-2_000:]
        height = anchor(network, 1)
    network.heal()
    network.wait_until_level(height)
    assert len(network.roots(height)) == 1
