"""Every block of docs/integration.md, as it is printed, on a running network: Python's ten lines, and curl for everybody else."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.ports import free_ports

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]
BLOCKS = re.compile(r"^```(sh|python)\n(.*?)^```", re.MULTILINE | re.DOTALL)
RUN_S = 120.0


@pytest.fixture
def page(network: Any, tmp_path: Path) -> list[tuple[str, str]]:
    """The blocks of the page in their order, with this network's addresses, in a folder where it has the page's name."""
    text = (ROOT / "docs" / "integration.md").read_text("utf-8")
    addresses = {f"http://127.0.0.1:{8551 + index}": network.url(index) for index in range(4)}
    for printed, real in {**addresses, "8700": str(free_ports(1)[0])}.items():
        text = text.replace(printed, real)
    (tmp_path / "my-network").symlink_to(network.made.folder)
    return BLOCKS.findall(text)


@pytest.mark.skipif(shutil.which("curl") is None, reason="this machine has no curl")
def test_what_the_page_prints_runs(page: list[tuple[str, str]], tmp_path: Path) -> None:
    lines = ["set -eu", "trap 'kill $(jobs -p)' EXIT"]
    for number, (language, block) in enumerate(page):
        if language == "python":
            (tmp_path / f"{number}.py").write_text(block, "utf-8")
        lines += [f"echo '== {number}'", f"python {number}.py" if language == "python" else block]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GOVNODE_")}
    environment |= {
        "PATH": f"{Path(sys.executable).parent}:{environment['PATH']}",
        "PYTHONPATH": str(ROOT),
        "PYTHONIOENCODING": "utf-8",
    }
    ended = subprocess.run(
        ["bash", "-c", "\n".join(lines)],
        capture_output=True,
        text=True,
        timeout=RUN_S,
        cwd=tmp_path,
        env=environment,
    )
    assert ended.returncode == 0, ended.stdout[-3_000:] + ended.stderr[-3_000:]
    printed = ended.stdout.split("== ")
    assert (
        printed[2].split("\n")[1]
        == "IN_FORCE {'坐落': '示例路1号'} ('CZZT', 'CZZTDM', 'CZZTDMLX', 'CZZTDMLXDM', '面积')"
    )
    over_http = json.loads(printed[3].split("\n", 1)[1])
    assert (over_http["code"], over_http["document"]["values"]) == ("IN_FORCE", {"坐落": "示例路2号"})
    last = printed[4].split("\n", 1)[1].strip()
    by_the_node, end = json.JSONDecoder().raw_decode(last)
    by_the_file = json.loads(last[end:])
    assert (by_the_node["verdict"], by_the_file["code"]) == ("IN_FORCE", "IN_FORCE")
    for name in ("deed.json", "deed2.json", "shown2.json"):
        assert json.loads((tmp_path / name).read_bytes())["format"].startswith("govnode-")
    assert (tmp_path / "issuing.token").stat().st_mode & 0o777 == 0o600
