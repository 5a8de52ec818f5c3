"""The page that verifies in a browser, run in node, refuses every forgery of a proof or of what comes with it for the same reason."""

import base64
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest

from explorer.offline_page import verifier_script
from tests.verification.tampering.forged_world import ForgedWorld
from tests.verification.tampering.forgeries import CATEGORIES, forgeries_of
from verification.proofs import GivenDocument, Verdict, verify_proof

NODE = shutil.which("node") or shutil.which("nodejs")
RUN_S = 60.0
DRIVER = """
const cases = JSON.parse(require("fs").readFileSync(0, "utf8"));
const bytes = (text) => (text === null ? null : Uint8Array.from(Buffer.from(text, "base64")));
console.log(JSON.stringify(cases.map(([proof, document, trust, now, recipient]) => {
  try {
    const found = verifyProof(bytes(proof), bytes(document), readTrust(bytes(trust)), now, recipient);
    return [found.isAccepted, found.code, found.brokenStep];
  } catch (error) {
    return [null, String(error.stack), null];
  }
})));
"""


class RecordingWorld(ForgedWorld):
    """Keeps what its proofs were asked with; root certificates are the trust file's, as in the page."""

    def __init__(self) -> None:
        self.asked: list[tuple[bytes, bytes | None, str | None, int]] = []
        super().__init__()

    def verify(
        self,
        proof: bytes,
        file: bytes | None = None,
        *,
        recipient: str | None = None,
        attachments: dict[str, Any] | None = None,
        now_ms: int | None = None,
    ) -> Verdict:
        # The page takes no files beside the document.
        if not attachments:
            self.asked.append((proof, file, recipient, now_ms or self.now_ms))
        return super().verify(proof, file, recipient=recipient, attachments=attachments, now_ms=now_ms)


@pytest.mark.skipif(NODE is None, reason="node is not installed: the page's script is not run outside a browser")
def test_the_page_says_of_every_forgery_what_python_says(tmp_path: Path) -> None:
    world = RecordingWorld()
    for category in CATEGORIES:
        for forgery in forgeries_of(world, category):
            forgery.attempt()
    assert len(world.asked) > 200
    trust = msgspec.json.encode(world.trust)
    cases = [(_text(proof), _text(file), _text(trust), now, who) for proof, file, who, now in world.asked]
    script = tmp_path / "verifier.js"
    script.write_text(verifier_script() + DRIVER, "utf-8")
    assert NODE is not None
    run = subprocess.run([NODE, str(script)], input=json.dumps(cases), capture_output=True, text=True, timeout=RUN_S)
    assert run.returncode == 0, run.stderr[-2_000:]
    expected = []
    for proof, file, recipient, now_ms in world.asked:
        given = None if file is None else GivenDocument(file, None, recipient)
        verdict = verify_proof(proof, given, world.trust, now_ms)
        expected.append([verdict.is_accepted, verdict.code, verdict.broken_step])
    assert json.loads(run.stdout) == expected


def _text(raw: bytes | None) -> str | None:
    return None if raw is None else base64.b64encode(raw).decode()
