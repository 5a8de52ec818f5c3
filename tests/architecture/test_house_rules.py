"""The rules of the house that no linter knows: file and function length, tests' shape, and what starts light."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("sm_crypto", "consensus", "contracts", "node", "verification", "explorer", "sdk")
MAX_FILE_LINES = 600
MAX_FUNCTION_LINES = 70
FORBIDDEN_NAMES = {"utils.py", "util.py", "common.py", "helpers.py", "misc.py"}
HEAVY = ("web3", "eth", "fastapi", "uvicorn", "sqlalchemy", "eth_abi", "jinja2")


def _sources() -> list[Path]:
    return [path for package in (*PACKAGES, "tests") for path in sorted((ROOT / package).rglob("*.py"))]


def test_no_file_is_over_six_hundred_lines() -> None:
    long = {
        str(path.relative_to(ROOT)): n
        for path in _sources()
        if (n := len(path.read_text("utf-8").splitlines())) > MAX_FILE_LINES
    }
    assert long == {}


def _long_functions(path: Path, text: str) -> Iterator[str]:
    waiting: list[ast.AST] = [ast.parse(text)]
    while waiting:
        node = waiting.pop()
        if (
            isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            and node.end_lineno is not None
            and node.end_lineno - node.lineno + 1 > MAX_FUNCTION_LINES
        ):
            yield f"{path.relative_to(ROOT)}:{node.lineno} {node.name} ({node.end_lineno - node.lineno + 1})"
        # Functions are statements, and stand in no expression.
        for name in ("body", "orelse", "finalbody", "handlers", "cases"):
            waiting += getattr(node, name, None) or ()


def test_no_function_is_over_seventy_lines() -> None:
    # A file that is no longer holds none.
    texts = {path: path.read_text("utf-8") for path in _sources()}
    long = [
        function
        for path, text in texts.items()
        if text.count("\n") > MAX_FUNCTION_LINES
        for function in _long_functions(path, text)
    ]
    assert long == []


def test_every_file_is_named_after_a_noun_and_tests_are_no_packages() -> None:
    assert [path for path in _sources() if path.name in FORBIDDEN_NAMES] == []
    assert list((ROOT / "tests").rglob("__init__.py")) == []


def _modules_loaded_by(statement: str) -> set[str]:
    code = f"import sys\n{statement}\nprint(' '.join(sorted(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return {name.split(".")[0] for name in result.stdout.split()}


def test_offline_verification_loads_nothing_heavy() -> None:
    loaded = _modules_loaded_by("import sdk.cli.main, sdk.proofs, verification.proofs")
    assert loaded.isdisjoint({*HEAVY, "plyvel"})


def test_a_validator_starts_without_the_ethereum_libraries() -> None:
    loaded = _modules_loaded_by("import node.process")
    assert loaded.isdisjoint({"web3", "eth", "eth_abi"})


def test_one_module_imports_py_evm() -> None:
    named = re.compile(r"^\s*(?:from|import)\s+eth\b(?!_)", re.MULTILINE)
    importers = {
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        if named.search(path.read_text("utf-8"))
    }
    assert importers == {"contracts/evm.py"}


def test_no_test_sets_the_clock_of_the_whole_process() -> None:
    """An event loop that serves other tests would take the false time for true, and sleep until it comes."""
    patched = re.compile(r"""setattr\(\s*(?:time,|["'][\w.]*\btime\.\w+["'])""")
    assert patched.search('monkeypatch.setattr("sdk.client.time.monotonic", clock)')
    assert patched.search('monkeypatch.setattr(time, "time_ns", clock)')
    found = [
        path
        for path in (ROOT / "tests").rglob("*.py")
        if path != Path(__file__) and patched.search(path.read_text("utf-8"))
    ]
    assert found == []


def test_no_request_of_a_test_has_the_librarys_five_seconds() -> None:
    """On a busy machine a node may take longer to load its pages alone."""
    asking = {"get", "post", "put", "delete", "head", "request", "stream", "Client", "AsyncClient"}
    calls = [
        (f"{path.relative_to(ROOT)}:{call.lineno}", {keyword.arg for keyword in call.keywords})
        for path in sorted((ROOT / "tests").rglob("*.py"))
        if "httpx." in (text := path.read_text("utf-8"))
        for call in ast.walk(ast.parse(text))
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and isinstance(call.func.value, ast.Name)
        and (call.func.value.id, call.func.attr in asking) == ("httpx", True)
    ]
    assert calls
    # A transport of its own is no socket.
    assert [place for place, given in calls if not given & {"timeout", "transport"}] == []
