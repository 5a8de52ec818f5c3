"""The proof file: one JSON document that holds a record proof in words and hex digits (docs/spec/proof-file.md)."""

from __future__ import annotations

import importlib
import json
from typing import Any, Final, TypeAlias

import msgspec
import orjson

from consensus.messages import CommitCertificate
from consensus.validators import Validator
from contracts.records import ADDRESSES
from node.chain.block import Header
from node.chain.proof import RecordProof, SetChange
from node.chain.state_proof import ProofStep, StateLeaf, StateProof

FORMAT: Final = "govnode-proof/1"
MAX_PROOF_FILE_BYTES: Final = 16 * 1024 * 1024

# Contract and table number -> what such a record is called, here and in Chinese, and where its table is declared.
_KINDS: Final[dict[bytes, tuple[str, str, str, str]]] = {
    ADDRESSES[contract] + bytes((number,)): (kind, name, module, table)
    for contract, number, kind, name, module, table in (
        ("members", 1, "department", "部门", "contracts.accounts", "DEPARTMENTS"),
        ("members", 2, "account", "账户", "contracts.accounts", "ACCOUNTS"),
        (
            "members",
            9,
            "latest-encryption-key",
            "部门现用的加密密钥",
            "contracts.data_sharing.encryption_keys",
            "LATEST",
        ),
        ("members", 10, "encryption-key", "加密密钥", "contracts.data_sharing.encryption_keys", "ENCRYPTION_KEYS"),
        (
            "members",
            11,
            "encryption-key-owner",
            "加密密钥的归属",
            "contracts.data_sharing.encryption_keys",
            "BY_KEY_ID",
        ),
        ("certificates", 1, "certificate-type", "证照类型", "contracts.certificate_types", "TYPES"),
        ("certificates", 2, "issuer-permission", "颁发权限", "contracts.certificate_types", "PERMISSIONS"),
        ("certificates", 4, "certificate", "证照", "contracts.certificate_records", "CERTIFICATES"),
        ("certificates", 5, "history-page", "证照状态历史", "contracts.certificate_records", "HISTORY_PAGES"),
        ("catalogue", 1, "resource", "目录条目", "contracts.data_sharing.catalogue", "RESOURCES"),
        ("catalogue", 2, "resource-version", "目录条目的过往版本", "contracts.data_sharing.catalogue", "PAST_VERSIONS"),
        ("catalogue", 3, "resource-proposal", "待审的目录条目", "contracts.data_sharing.catalogue", "PROPOSALS"),
        ("catalogue", 4, "quality-review", "数据质量评价", "contracts.data_sharing.quality_reviews", "REVIEWS"),
        ("directories", 1, "duty", "职责", "contracts.data_sharing.directories", "DUTIES"),
        ("directories", 2, "system", "信息系统", "contracts.data_sharing.directories", "SYSTEMS"),
        ("open_data", 1, "dataset", "开放数据集", "contracts.data_sharing.open_data", "DATASETS"),
        ("open_data", 2, "dataset-release", "开放数据集的一版", "contracts.data_sharing.open_data", "RELEASES"),
        ("open_data", 3, "download-report", "下载量报告", "contracts.data_sharing.open_data", "REPORTS"),
        ("sharing", 1, "request", "共享申请", "contracts.data_sharing.sharing", "REQUESTS"),
        ("sharing", 2, "request-count", "条目的申请数", "contracts.data_sharing.sharing", "RESOURCE_COUNTS"),
        ("sharing", 3, "resource-request", "条目的一项申请", "contracts.data_sharing.sharing", "RESOURCE_REQUESTS"),
        ("sharing", 4, "refusal-reasons", "拒绝的理由", "contracts.data_sharing.refusal_reasons", "REASONS"),
        ("sharing", 5, "correction", "数据校核", "contracts.data_sharing.corrections", "CORRECTIONS"),
        ("sharing", 6, "dispute", "争议", "contracts.data_sharing.disputes", "DISPUTES"),
        ("sharing", 7, "recall", "撤回", "contracts.data_sharing.recalls", "RECALLS"),
        ("access", 1, "access-stream", "访问记录序列", "contracts.data_sharing.access", "STREAMS"),
        ("access", 2, "access-batch", "访问记录批次", "contracts.data_sharing.access", "BATCHES"),
        ("access", 3, "access-stream-name", "访问记录序列的名称", "contracts.data_sharing.access", "STREAM_NAMES"),
        ("access", 4, "access-stream-count", "访问记录序列数", "contracts.data_sharing.access", "STREAM_COUNT"),
        ("anchors", 1, "anchor", "存证", "contracts.anchors", "ANCHORS"),
        ("batches", 1, "batch", "证照批次", "contracts.batches", "BATCHES"),
        ("batches", 4, "batch-position", "证照在批次中的位置", "contracts.batches", "POSITIONS"),
        ("audits", 1, "auditing-authority", "审计机关", "contracts.data_sharing.audits", "AUTHORITIES"),
        ("audits", 2, "audit-query", "审计查询", "contracts.data_sharing.audits", "QUERIES"),
        ("audits", 3, "audit-finding", "审计发现", "contracts.data_sharing.audits", "FINDINGS"),
        ("audits", 6, "audit-figures", "审计阈值表", "contracts.data_sharing.audit_figures", "FIGURE_TABLES"),
        ("authorisations", 1, "authorisation", "授权", "contracts.authorisations", "AUTHORISATIONS"),
        ("authorisations", 2, "fetch", "凭授权的取用", "contracts.authorisations", "FETCHES"),
        ("deliveries", 1, "delivery-count", "交付合计", "contracts.data_sharing.deliveries", "HEADS"),
        ("deliveries", 2, "delivery", "交付", "contracts.data_sharing.deliveries", "DELIVERIES"),
        ("deadlines", 1, "calendar", "工作日历", "contracts.data_sharing.deadlines", "CALENDARS"),
        ("deadlines", 2, "region-terms", "地区时限", "contracts.data_sharing.deadlines", "REGIONS"),
        ("deadlines", 3, "term-version", "时限的一版", "contracts.data_sharing.deadlines", "TERM_VERSIONS"),
        ("products", 1, "product", "数据产品", "contracts.data_sharing.product_records", "PRODUCTS"),
        ("products", 2, "product-fact", "数据产品的评估或交易", "contracts.data_sharing.product_records", "FACTS"),
        (
            "products",
            3,
            "product-objection",
            "对数据产品的异议",
            "contracts.data_sharing.product_records",
            "OBJECTIONS",
        ),
        ("products", 4, "formula", "贡献评分公式", "contracts.data_sharing.product_records", "FORMULAS"),
        ("products", 5, "formula-count", "贡献评分公式数", "contracts.data_sharing.product_records", "FORMULA_COUNT"),
    )
}
_PREFIX_LENGTH: Final = 21
OTHER_KIND: Final = "other"
KIND_NAMES: Final = {kind: name for kind, name, _, _ in _KINDS.values()}
"""What records of each kind are called in Chinese; OTHER_KIND has no name."""

# How the file nests: a struct and what stands in its fields; a list of one stands for any number.
Shape: TypeAlias = "tuple[type[msgspec.Struct], dict[str, Shape]] | list[Shape]"
_VALIDATORS: Final[Shape] = [(Validator, {})]
_WALK: Final[Shape] = [
    (SetChange, {"header": (Header, {}), "certificate": (CommitCertificate, {}), "validators": _VALIDATORS})
]
STATE_SHAPE: Final[Shape] = (StateProof, {"leaf": (StateLeaf, {}), "steps": [(ProofStep, {})]})
FINALITY_SHAPES: Final[dict[str, Shape]] = {
    "header": (Header, {}),
    "certificate": (CommitCertificate, {}),
    "validators": _VALIDATORS,
    "walk": _WALK,
}
"""The parts that say why a header is final, in the order of a proof's fields."""
_PARTS: Final[dict[str, Shape]] = {"state": STATE_SHAPE, **FINALITY_SHAPES}
_NAMES: Final = ("format", "version", "record", *_PARTS)
_RECORD_NAMES: Final = ("kind", "key", "value", "fields")


class ProofFileError(Exception):
    """The bytes are not a proof file: `part` names the malformed part (file, record, signatures or a name of the top level)."""

    def __init__(self, part: str, reason: str) -> None:
        super().__init__(f"{part}: {reason}")
        self.part = part
        self.reason = reason


class ProofFile(msgspec.Struct, frozen=True):
    """A proof as the file has it, with what the file says of the record: its kind, and its fields in words (None: none)."""

    proof: RecordProof
    kind: str
    fields: Any


def encode_proof_file(proof: RecordProof) -> bytes:
    """Return the proof as indented JSON in UTF-8."""
    kind = record_kind(proof.key)
    content = {
        "format": FORMAT,
        "version": proof.version,
        "record": {
            "kind": kind,
            "key": proof.key.hex(),
            "value": None if proof.value is None else proof.value.hex(),
            "fields": record_fields(proof.key, proof.value),
        },
        **{name: to_words(getattr(proof, name)) for name in _PARTS},
    }
    return msgspec.json.format(msgspec.json.encode(content), indent=1) + b"\n"


def decode_proof_file(raw: bytes) -> ProofFile:
    """Return what the file holds; raise ProofFileError on anything but a proof file."""
    content = read_json(raw)
    check_names("file", content, _NAMES)
    if content["format"] != FORMAT:
        raise ProofFileError("file", f"expected the format {FORMAT}, found {str(content['format'])[:40]!r}")
    record = content["record"]
    check_names("record", record, _RECORD_NAMES)
    values = [
        content["version"],
        hex_bytes("record", record["key"]),
        None if record["value"] is None else hex_bytes("record", record["value"]),
        *(struct_values(part, shape, content[part]) for part, shape in _PARTS.items()),
    ]
    try:
        proof = msgspec.convert(values, RecordProof, builtin_types=(bytes,))
    except msgspec.ValidationError as error:
        raise ProofFileError(part_of(str(error), RecordProof.__struct_fields__), str(error)) from None
    return ProofFile(proof, record["kind"], record["fields"])


def read_json(raw: bytes) -> Any:
    """Return the JSON in the bytes of a proof file; raise ProofFileError on anything else, and on names that stand twice."""
    if len(raw) > MAX_PROOF_FILE_BYTES:
        raise ProofFileError("file", f"expected at most {MAX_PROOF_FILE_BYTES} bytes, found {len(raw)}")
    try:
        # Two decoders: this one takes nothing but JSON, and bounds its depth by itself; the other sees names that stand twice.
        orjson.loads(raw)
        return json.loads(raw, object_pairs_hook=unambiguous_object)
    except (ValueError, RecursionError) as error:
        raise ProofFileError("file", f"expected JSON: {error}") from None


def record_kind(key: bytes) -> str:
    """Return what the record at a key in state is called, OTHER_KIND where it has no name."""
    known = _KINDS.get(key[:_PREFIX_LENGTH])
    return OTHER_KIND if known is None else known[0]


def record_types() -> dict[str, tuple[bytes, type[msgspec.Struct]]]:
    """Return, for every kind of record that has a name, what its keys begin with and its type; imports the contracts of all."""
    return {
        kind: (prefix, getattr(importlib.import_module(module), table).kind)
        for prefix, (kind, _, module, table) in _KINDS.items()
    }


def record_of(key: bytes, value: bytes) -> msgspec.Struct | None:
    """Return the record in its type, None where the kind is not known; raise ProofFileError when the value is not one."""
    known = _KINDS.get(key[:_PREFIX_LENGTH])
    if known is None:
        return None
    # Only the contract at hand is imported: verification should cost little more than its cryptography.
    table = getattr(importlib.import_module(known[2]), known[3])
    try:
        record: msgspec.Struct = table.decode(value)
    except (msgspec.DecodeError, ValueError) as error:
        raise ProofFileError("record", f"expected the encoding of a {known[0]}: {error}") from None
    return record


def record_fields(key: bytes, value: bytes | None) -> Any:
    """Return the record's fields in words, None where there is no record or its kind is not known.

    Only those that its bytes have: a later release may know of more, and what was written before it still reads the same.
    """
    record = None if value is None else record_of(key, value)
    return None if value is None or record is None else _words_of(record, msgspec.msgpack.decode(value))


def is_same_json(found: Any, expected: Any) -> bool:
    """Return whether two values of JSON are the same, each in its one form: 0e0 and false are not 0, as they are in Python."""
    if type(found) is not type(expected):
        return False
    if isinstance(expected, dict):
        return found.keys() == expected.keys() and all(is_same_json(found[name], expected[name]) for name in expected)
    if isinstance(expected, list):
        return len(found) == len(expected) and all(map(is_same_json, found, expected))
    return bool(found == expected)


def to_words(value: Any) -> Any:
    """Return a value in JSON's types: structs as objects, bytes as hex digits."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, msgspec.Struct):
        return {name: to_words(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, list | tuple):
        return [to_words(item) for item in value]
    return value


def _words_of(value: Any, encoded: Any) -> Any:
    """Return a value in words as far as its encoding goes: a struct's fields that the encoded array has."""
    if isinstance(encoded, list) and isinstance(value, msgspec.Struct):
        return {
            name: _words_of(getattr(value, name), item)
            for name, item in zip(value.__struct_fields__, encoded, strict=False)
        }
    if isinstance(encoded, list) and isinstance(value, list | tuple):
        return [_words_of(item, inner) for item, inner in zip(value, encoded, strict=True)]
    return to_words(value)


def unambiguous_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object of JSON; raise ValueError on a name that stands twice: readers would take different ones for it."""
    content: dict[str, Any] = {}
    for name, value in pairs:
        if name in content:
            raise ValueError(f"the name {name[:40]!r} stands twice in one object")
        content[name] = value
    return content


def struct_values(part: str, shape: Shape | None, value: Any) -> Any:
    """Return a part of the file as the struct's values in order, hex digits as bytes; raise ProofFileError naming the part."""
    if isinstance(value, str):
        return hex_bytes(part, value)
    if isinstance(value, list):
        inner = shape[0] if isinstance(shape, list) else None
        return [struct_values(part, inner, item) for item in value]
    if isinstance(value, dict):
        if not isinstance(shape, tuple):
            raise ProofFileError(part, "expected no object here, found one")
        kind, children = shape
        names = kind.__struct_fields__
        check_names(part, value, names)
        # A certificate's signatures are checked in a step of their own.
        return [
            struct_values("signatures" if name == "signatures" else part, children.get(name), value[name])
            for name in names
        ]
    return value


def hex_bytes(part: str, text: Any) -> bytes:
    """Return the bytes of lower-case hex digits; raise ProofFileError naming the part on anything else."""
    try:
        raw = bytes.fromhex(text)
    except (TypeError, ValueError):
        raw = None
    # fromhex takes capitals and spaces too: one value has one form here.
    if raw is None or raw.hex() != text:
        raise ProofFileError(part, f"expected lower-case hex digits, found {str(text)[:40]!r}")
    return raw


def check_names(part: str, value: Any, names: tuple[str, ...]) -> None:
    """Return if a value is an object with exactly these names; raise ProofFileError naming the part otherwise."""
    if not isinstance(value, dict) or set(value) != set(names):
        found = ", ".join(sorted(map(str, value)))[:80] if isinstance(value, dict) else type(value).__name__
        raise ProofFileError(part, f"expected an object with {', '.join(names)}, found {found}")


def part_of(message: str, names: tuple[str, ...]) -> str:
    """Return the part of a proof that msgspec's message speaks of: `... - at $[3][1]` is in the fourth of these fields."""
    _, _, where = message.partition("`$[")
    index, _, inner = where.partition("]")
    if not index.isdigit():
        return "file"
    name = names[int(index)]
    if name == "certificate" and inner.startswith(f"[{CommitCertificate.__struct_fields__.index('signatures')}]"):
        return "signatures"
    return {"key": "record", "value": "record", "version": "file"}.get(name, name)
