"""The JSON Schema that other systems check files with: it is that of the code, and tells files from others."""

import json
from typing import Any

import jsonschema_rs
import pytest

from generators.certificate_schema import PATH, schema_file
from verification.certificate_files.annotated_copy import make_annotated_copy
from verification.certificate_files.document import CertificateDocument, encode_file
from verification.certificate_files.presentation import bind_presentation, present


@pytest.fixture
def files(world: Any, document: CertificateDocument) -> list[Any]:
    bound = bind_presentation(
        present(document, ["面积"]), world.holder, "示例银行", "抵押", world.now_ms, world.now_ms + 1
    )
    copy = make_annotated_copy(
        bound,
        world.copier.signer,
        world.copier.chain,
        reason="存档",
        recipient="示例银行",
        made_ms=world.now_ms,
        expires_ms=world.now_ms + 1,
    )
    return [json.loads(encode_file(content)) for content in (document, present(document, []), bound, copy)]


def test_the_kept_schema_is_that_of_the_code() -> None:
    assert PATH.read_bytes() == schema_file(), "run: python -m generators.certificate_schema"


def test_the_schema_takes_every_kind_of_file_and_no_other(files: list[Any]) -> None:
    validator = jsonschema_rs.validator_for(json.loads(PATH.read_bytes()))
    for content in files:
        assert validator.is_valid(content)
        for name in content:
            assert not validator.is_valid({other: content[other] for other in content if other != name})
        assert not validator.is_valid({**content, "more": 1})
        assert not validator.is_valid({**content, "format": "govnode-certificate/2"})
    document = files[0]
    for changes in ({"secret": "00"}, {"secret": "A" * 64}, {"values": [""]}, {"values": ["x"] * 129}):
        assert not validator.is_valid({**document, **changes})
