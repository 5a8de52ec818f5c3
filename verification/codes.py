"""What a QR code on paper or a screen carries: the link to a certificate, or a whole presentation (docs/spec/codes.md).

Both use only the 45 characters of a QR code's alphanumeric mode (ISO/IEC 18004), which takes 5.5 bits a character.
"""

from __future__ import annotations

import re
import zlib
from typing import Any, Final

import msgspec

from contracts.identifiers import MAX_IDENTIFIER_LENGTH, ROOT_OID, parse_identifier
from contracts.refusals import Refused
from verification.certificate_files.document import DocumentCore
from verification.certificate_files.presentation import FORMAT, HolderBinding, Presentation, check_presentation
from verification.certificate_files.seals import BatchSeal, IssuerSeal
from verification.errors import InputError

MAX_CODE_CHARACTERS: Final = 4_296
"""Alphanumeric characters of the largest code there is, version 40 at level L."""
PRESENTATION_PREFIX: Final = "GN1:"
"""What a compact presentation begins with; the digit is the version of the format."""
MAX_PACKED_BYTES: Final = 2_861
"""What the largest code takes of a compact presentation in base45, after the prefix."""
MAX_UNPACKED_BYTES: Final = 64 * 1024
"""Of a compact presentation before compression: what is larger is refused before it is made."""
MAX_BASE_LENGTH: Final = 200
DIGEST_PREFIX_DIGITS: Final = 20
"""Hex digits of the document's digest in a link: 80 bits, which nobody meets by trying documents."""

_ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"
_VALUES: Final = {character: value for value, character in enumerate(_ALPHABET)}
LINK_MARK: Final = "/V/"
"""Stands in every link, between the base and the identifier."""
_BASE: Final = re.compile(r"(HTTPS?://[0-9A-Z.-]+(?::[0-9]{1,5})?)((?:/[0-9A-Z.-]+)*)")
_DIGEST_PREFIX: Final = re.compile(rf"[0-9A-F]{{{DIGEST_PREFIX_DIGITS}}}")


class VerificationLink(msgspec.Struct, frozen=True):
    """A link to the verification of one certificate; whoever has it from a stranger's code trusts `identifier`, not `base`."""

    base: str
    """Address of a node or a department's site, in capital letters: https://host, perhaps a path."""
    identifier: str
    """With its root."""
    digest_prefix: str = ""
    """The first DIGEST_PREFIX_DIGITS hex digits of the document's digest in capitals, or empty."""

    @property
    def text(self) -> str:
        """The link as codes carry it."""
        tail = f"/{self.digest_prefix}" if self.digest_prefix else ""
        return f"{self.base}{LINK_MARK}{self.identifier.removeprefix(ROOT_OID)}{tail}"

    def is_of(self, document_digest: bytes) -> bool:
        """Return whether the link may be of a document with this digest; True where the link names none."""
        return document_digest.hex().upper().startswith(self.digest_prefix)


def make_link(base: str, identifier: str, document_digest: bytes | None = None) -> VerificationLink:
    """Return the link to a certificate's verification at `base`; raise InputError LINK_BASE_INVALID or IDENTIFIER_MALFORMED.

    A digest puts its beginning into the link.
    """
    capitals = normal_base(base)
    try:
        parsed = parse_identifier(identifier)
    except Refused as refused:
        raise InputError("IDENTIFIER_MALFORMED", *refused.texts) from None
    prefix = "" if document_digest is None else document_digest.hex().upper()[:DIGEST_PREFIX_DIGITS]
    return VerificationLink(capitals, parsed.text, prefix)


def normal_base(base: str) -> str:
    """Return the base of links as codes carry it; raise InputError LINK_BASE_INVALID.

    Scheme and host are put into capitals, which mean the same; a path with small letters is refused, since codes would change it.
    """
    scheme, separator, rest = base.strip().rstrip("/").partition("://")
    host, slash, path = rest.partition("/")
    capitals = f"{scheme.upper()}{separator}{host.upper()}{slash}{path}"
    if len(capitals) > MAX_BASE_LENGTH or _BASE.fullmatch(capitals) is None or LINK_MARK in f"{capitals}/":
        raise InputError(
            "LINK_BASE_INVALID",
            f"链接前缀应为 https://主机[:端口][/路径]，路径只用大写字母、数字、点和连字符，至多 {MAX_BASE_LENGTH} 字符，"
            f"实为 {base[:80]!r}",
            f"expected the link's base as https://host[:port][/PATH], the path of capital letters, digits, dots and hyphens, "
            f"at most {MAX_BASE_LENGTH} characters; found {base[:80]!r}",
        )
    return capitals


def read_link(text: str) -> VerificationLink:
    """Return the parts of a link; raise InputError CODE_UNKNOWN on anything else. Scheme and host may be in small letters."""
    base, mark, tail = text.partition(LINK_MARK)
    identifier, slash, prefix = tail.partition("/")
    if (
        not mark
        or len(text) > MAX_BASE_LENGTH + MAX_IDENTIFIER_LENGTH + DIGEST_PREFIX_DIGITS + 4
        or bool(slash) != bool(_DIGEST_PREFIX.fullmatch(prefix))
        or identifier.startswith(ROOT_OID)
    ):
        raise _unknown()
    try:
        return msgspec.structs.replace(make_link(base, identifier), digest_prefix=prefix)
    except InputError:
        raise _unknown() from None


def read_code(text: str) -> VerificationLink | Presentation:
    """Return what a code carries; raise InputError CODE_UNKNOWN where it is no code of ours, CODE_MALFORMED where it is a damaged one.

    A presentation so read is well-formed and no more: it is verified as the file of it (encode_file) is.
    """
    if text.startswith(PRESENTATION_PREFIX):
        return unpack_presentation(text)
    return read_link(text)


def pack_presentation(presentation: Presentation) -> str:
    """Return a presentation as the text of a code, which unpack_presentation turns back; raise InputError CODE_TOO_SMALL.

    Nothing is left out: what it was worth as a file it is worth as a code. The refusal names the fields that would fit.
    """
    raw = _pack(presentation)
    if len(raw) <= MAX_PACKED_BYTES:
        return PRESENTATION_PREFIX + encode_base45(raw)
    fitting = presentation
    while fitting.fields and len(_pack(fitting)) > MAX_PACKED_BYTES:
        largest = max(fitting.fields, key=lambda one: len(one.value.encode()))
        fitting = msgspec.structs.replace(fitting, fields=tuple(one for one in fitting.fields if one != largest))
    names = "、".join(fitting.core.fields[one.position].name for one in fitting.fields)
    zh = f"放得下的字段：{names}" if names else "一个字段也放不下，请改用出示文件"
    en = f"these fields would fit: {names}" if names else "not even one field fits: hand over the file instead"
    raise InputError(
        "CODE_TOO_SMALL",
        f"出示件压缩后 {len(raw)} 字节，一个二维码至多 {MAX_PACKED_BYTES} 字节；{zh}",
        f"the presentation takes {len(raw)} bytes, a code holds {MAX_PACKED_BYTES}; {en}",
    )


def unpack_presentation(text: str) -> Presentation:
    """Return the presentation in the text of a code; raise InputError CODE_MALFORMED, or what a presentation's file raises."""
    if not text.startswith(PRESENTATION_PREFIX) or len(text) > MAX_CODE_CHARACTERS:
        raise _malformed(f"expected {PRESENTATION_PREFIX} and at most {MAX_CODE_CHARACTERS} characters")
    raw = _inflate(decode_base45(text[len(PRESENTATION_PREFIX) :]))
    try:
        packed = _DECODER.decode(raw)
        presentation = msgspec.convert(_content_of(packed), Presentation)
    except (msgspec.DecodeError, Refused, ValueError) as error:
        raise _malformed(str(error)) from None
    check_presentation(presentation)
    if _ENCODER.encode(_packed_of(presentation)) != raw:
        raise _malformed("expected the shortest MessagePack")
    return presentation


def encode_base45(raw: bytes) -> str:
    """Return bytes in the alphabet of alphanumeric codes: two bytes in three characters, the last odd one in two (RFC 9285)."""
    characters = []
    for start in range(0, len(raw), 2):
        chunk = raw[start : start + 2]
        value = int.from_bytes(chunk)
        for _ in range(len(chunk) + 1):
            value, digit = divmod(value, 45)
            characters.append(_ALPHABET[digit])
    return "".join(characters)


def decode_base45(text: str) -> bytes:
    """Return the bytes of a text in base45 (RFC 9285); raise InputError CODE_MALFORMED on anything that the encoding does not give."""
    raw = bytearray()
    for start in range(0, len(text), 3):
        group = text[start : start + 3]
        if len(group) == 1 or any(character not in _VALUES for character in group):
            raise _malformed(f"expected groups of three base45 characters, found {group!r} at {start}")
        value = sum(_VALUES[character] * 45**place for place, character in enumerate(group))
        if value >= 256 ** (len(group) - 1):
            raise _malformed(f"expected a group of at most {len(group) - 1} bytes, found {group!r} at {start}")
        raw += value.to_bytes(len(group) - 1)
    return bytes(raw)


class _PackedCore(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A core without what follows from the identifier, bytes as bytes; the identifiers without their root."""

    identifier: str
    type_name: str
    issuer_name: str
    issued_on: str
    valid_from: str
    valid_to: str
    predecessor: str
    holder_commitment: bytes
    holder_key: bytes
    fields: tuple[tuple[str, bytes], ...]
    attachments: tuple[tuple[str, str, bytes], ...]


class _PackedBatch(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    batch: str
    count: int
    root: bytes
    manifest_digest: bytes
    position: int
    path: tuple[bytes, ...]


class _PackedSeal(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    signed_ms: int
    signature: bytes
    chain: tuple[bytes, ...]
    batch: _PackedBatch | None


class _PackedBinding(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    recipient: str
    purpose: str
    made_ms: int
    expires_ms: int
    signature: bytes


class _Packed(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    core: _PackedCore
    fields: tuple[tuple[int, str, bytes], ...]
    attachments: tuple[tuple[int, int, bytes, bytes], ...]
    seal: _PackedSeal
    binding: _PackedBinding | None


_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(_Packed)


def _pack(presentation: Presentation) -> bytes:
    return zlib.compress(_ENCODER.encode(_packed_of(presentation)), 9)


def _inflate(compressed: bytes) -> bytes:
    """Return what zlib made smaller, up to MAX_UNPACKED_BYTES, with nothing behind it."""
    stream = zlib.decompressobj()
    try:
        raw = stream.decompress(compressed, MAX_UNPACKED_BYTES)
    except zlib.error as error:
        raise _malformed(str(error)) from None
    if not stream.eof or stream.unused_data:
        raise _malformed(f"expected one zlib stream of at most {MAX_UNPACKED_BYTES} bytes")
    return raw


def _packed_of(presentation: Presentation) -> _Packed:
    core, seal, binding = presentation.core, presentation.seal, presentation.binding
    return _Packed(
        _PackedCore(
            core.identifier.removeprefix(ROOT_OID),
            core.type_name,
            core.issuer_name,
            core.issued_on,
            core.valid_from,
            core.valid_to,
            core.predecessor.removeprefix(ROOT_OID),
            bytes.fromhex(core.holder_commitment),
            bytes.fromhex(core.holder_key),
            tuple((one.name, bytes.fromhex(one.commitment)) for one in core.fields),
            tuple((one.name, one.media_type, bytes.fromhex(one.commitment)) for one in core.attachments),
        ),
        tuple((one.position, one.value, bytes.fromhex(one.salt)) for one in presentation.fields),
        tuple(
            (one.position, one.size, bytes.fromhex(one.sm3), bytes.fromhex(one.salt))
            for one in presentation.attachments
        ),
        _packed_seal(seal),
        None if binding is None else _packed_binding(binding),
    )


def _packed_seal(seal: IssuerSeal | BatchSeal) -> _PackedSeal:
    batch = None
    if isinstance(seal, BatchSeal):
        batch = _PackedBatch(
            seal.batch,
            seal.count,
            bytes.fromhex(seal.root),
            bytes.fromhex(seal.manifest_digest),
            seal.position,
            tuple(map(bytes.fromhex, seal.path)),
        )
    return _PackedSeal(seal.signed_ms, bytes.fromhex(seal.signature), tuple(map(bytes.fromhex, seal.chain)), batch)


def _packed_binding(binding: HolderBinding) -> _PackedBinding:
    return _PackedBinding(
        binding.recipient, binding.purpose, binding.made_ms, binding.expires_ms, bytes.fromhex(binding.signature)
    )


def _content_of(packed: _Packed) -> dict[str, Any]:
    """Return a presentation's members as its file has them; what they may be, the file's own rules say."""
    return {
        "format": FORMAT,
        "core": _core_of(packed.core),
        "fields": [{"position": at, "value": value, "salt": salt.hex()} for at, value, salt in packed.fields],
        "attachments": [
            {"position": at, "size": size, "sm3": digest.hex(), "salt": salt.hex()}
            for at, size, digest, salt in packed.attachments
        ],
        "seal": _seal_of(packed.seal),
        "binding": None
        if packed.binding is None
        else {**msgspec.structs.asdict(packed.binding), "signature": packed.binding.signature.hex()},
    }


def _core_of(packed: _PackedCore) -> DocumentCore:
    parsed = parse_identifier(packed.identifier)
    content = {
        "ZZBS": parsed.text,
        "ZZMC": packed.type_name,
        "ZZLXDM": parsed.type_code,
        "ZZBFJG": packed.issuer_name,
        "ZZBFJGDM": parsed.issuer_code,
        "ZZBFRQ": packed.issued_on,
        "ZZYXQQSRQ": packed.valid_from,
        "ZZYXQJZRQ": packed.valid_to,
        "associatedZzeCertID": ROOT_OID + packed.predecessor if packed.predecessor else "",
        "holder_commitment": packed.holder_commitment.hex(),
        "holder_key": packed.holder_key.hex(),
        "fields": [{"name": name, "commitment": commitment.hex()} for name, commitment in packed.fields],
        "attachments": [
            {"name": name, "media_type": media_type, "commitment": commitment.hex()}
            for name, media_type, commitment in packed.attachments
        ],
    }
    return msgspec.convert(content, DocumentCore)


def _seal_of(packed: _PackedSeal) -> dict[str, Any]:
    content: dict[str, Any] = {
        "kind": "issuer",
        "signed_ms": packed.signed_ms,
        "signature": packed.signature.hex(),
        "chain": [der.hex() for der in packed.chain],
    }
    if packed.batch is not None:
        batch = packed.batch
        content |= {
            **msgspec.structs.asdict(batch),
            "kind": "batch",
            "root": batch.root.hex(),
            "manifest_digest": batch.manifest_digest.hex(),
            "path": [sibling.hex() for sibling in batch.path],
        }
    return content


def _malformed(reason: str) -> InputError:
    return InputError(
        "CODE_MALFORMED",
        f"二维码内容损坏或被改动，请重新拍摄：{reason}",
        f"the content of the code is damaged or was changed, photograph it again: {reason}",
    )


def _unknown() -> InputError:
    return InputError(
        "CODE_UNKNOWN",
        f"不是证照核验二维码：应为 https://…/V/证照标识 形式的链接，或以 {PRESENTATION_PREFIX} 开头的出示码",
        f"no code of a certificate: expected a link https://.../V/IDENTIFIER, or a presentation that begins with {PRESENTATION_PREFIX}",
    )
