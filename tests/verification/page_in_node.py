"""The page that verifies in a browser, run in node and compared with the node's own code."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from explorer.offline_page import verifier_script
from sdk.trust import load_trust
from verification.proofs import GivenDocument, verify_proof
from verification.trust import TrustFile

NODE = shutil.which("node") or shutil.which("nodejs")
NEEDS_NODE = pytest.mark.skipif(
    NODE is None, reason="node is not installed: the page's script is not run outside a browser"
)
DRIVER = """
const cases = JSON.parse(require("fs").readFileSync(0, "utf8"));
const bytes = (text) => (text === null ? null : Uint8Array.from(Buffer.from(text, "base64")));
console.log(JSON.stringify(cases.map(({ proof, document, trust, now, recipient }) => {
  try {
    const found = verifyProof(bytes(proof), bytes(document), readTrust(bytes(trust)), now, recipient);
    return {
      isAccepted: found.isAccepted, code: found.code, brokenStep: found.brokenStep, zh: found.zh,
      height: found.height === null ? null : Number(found.height),
      steps: found.steps.map((step) => [step.code, step.state, step.finding]),
      values: found.file === null ? null : found.file.values,
      fileSteps: found.file === null ? null : found.file.steps.map((step) => [step.code, step.state, step.finding]),
    };
  } catch (error) {
    return { thrown: String(error.stack) };
  }
})));
"""


class Case(NamedTuple):
    """What is verified: a proof, perhaps with a document, and who asks."""

    name: str
    proof: bytes
    document: bytes | None = None
    recipient: str | None = None


def run_page(cases: list[Any], tmp_path: Path, driver: str = DRIVER) -> list[dict[str, Any]]:
    """Return what the page's script, driven by a few lines, prints for the cases."""
    assert NODE is not None
    script = tmp_path / "verifier.js"
    script.write_text(verifier_script() + driver, "utf-8")
    run = subprocess.run(
        [NODE, str(script)], input=json.dumps(cases), capture_output=True, text=True, timeout=100, check=False
    )
    assert run.returncode == 0, run.stderr[-2_000:]
    answers: list[dict[str, Any]] = json.loads(run.stdout)
    return answers


def differences(cases: list[Case], trust_path: Path, now_ms: int, tmp_path: Path) -> list[str]:
    """Return where the page and the node's own code differ; texts of what breaks are the page's own."""
    trust = load_trust(trust_path)
    trust_text = base64.b64encode(trust_path.read_bytes()).decode()
    asked = [
        {
            "proof": base64.b64encode(case.proof).decode(),
            "document": None if case.document is None else base64.b64encode(case.document).decode(),
            "trust": trust_text,
            "now": now_ms,
            "recipient": case.recipient,
        }
        for case in cases
    ]
    found = []
    for case, answer in zip(cases, run_page(asked, tmp_path), strict=True):
        expected = expect(case, trust, now_ms)
        if expected["brokenStep"] == "file":
            # Which steps were not reached depends on what a file that cannot be read would have been.
            del expected["steps"]
        got = {name: answer.get(name) for name in expected}
        if got != expected:
            found.append(f"{case.name}\n  expected {expected}\n  found    {got} {answer.get('thrown', '')}")
    return found


def expect(case: Case, trust: TrustFile, now_ms: int) -> dict[str, Any]:
    given = None if case.document is None else GivenDocument(case.document, None, case.recipient)
    verdict = verify_proof(case.proof, given, trust, now_ms)
    file = verdict.document
    expected = {
        "isAccepted": verdict.is_accepted,
        "code": verdict.code,
        "brokenStep": verdict.broken_step,
        "height": verdict.height,
        "steps": [[step.code, step.state, step.finding] for step in verdict.steps],
        "fileSteps": None if file is None else [[step["step"], step["state"], step["code"]] for step in file["steps"]],
        "values": None if file is None or file["values"] is None else [list(pair) for pair in file["values"].items()],
    }
    if verdict.is_accepted:
        expected["zh"] = verdict.zh
    return expected
