"""Writes docs/spec/certificate-document.schema.json from the structs that read the files: `python -m generators.certificate_schema`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import msgspec

from verification.certificate_files.annotated_copy import AnnotatedCopy
from verification.certificate_files.document import CertificateDocument
from verification.certificate_files.presentation import Presentation

PATH: Final = Path(__file__).parents[1] / "docs" / "spec" / "certificate-document.schema.json"


def schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of the three kinds of file."""
    kinds, components = msgspec.json.schema_components(
        (CertificateDocument, Presentation, AnnotatedCopy), ref_template="#/$defs/{name}"
    )
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "govnode certificate files",
        "oneOf": list(kinds),
        "$defs": components,
    }


def schema_file() -> bytes:
    """Return what the file holds."""
    return msgspec.json.format(msgspec.json.encode(schema()), indent=1) + b"\n"


if __name__ == "__main__":
    PATH.write_bytes(schema_file())
