"""The code that a node draws for a certificate, and the page that its link opens."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any

import httpx
import pypdfium2
import pytest

from contracts.identifiers import ROOT_OID
from explorer.app import make_rest
from explorer.code_reading_process import find_codes
from explorer.settings import ExplorerSettings
from sm_crypto.sm3 import sm3
from verification.code_image import code_svg
from verification.codes import make_link, normal_base

DOCUMENT = "一份合成的不动产权证书\n".encode()


def verdict_of(page: str) -> str:
    found = re.search(r'id="verdict".*?<code>([A-Z_]+)</code>', page, re.DOTALL)
    assert found is not None, page[:2_000]
    return found[1]


def test_the_code_of_a_certificate_leads_to_its_verification(site: Any) -> None:
    identifier = site.world.certificate
    link = make_link(site.url, identifier, sm3(DOCUMENT))
    answer = site.get(f"/api/v1/certificates/{identifier}/code")
    assert answer.headers["content-type"] == "image/svg+xml"
    assert answer.content == code_svg(link.text)
    page = site.get(link.text.removeprefix(link.base)).text
    assert verdict_of(page) == "IN_FORCE"
    # On a telephone's screen the verdict comes first, with what to look at before believing it.
    assert page.index("您从二维码来到这里") < page.index('id="verdict"') < page.index('id="verify-form"')
    typed = site.get("/verify", params={"identifier": identifier}).text
    assert "您从二维码来到这里" not in typed
    assert typed.index('id="verdict"') < typed.index('id="verify-form"'), "an answer is what was asked for"


def test_a_slip_is_printed_with_the_same_code_and_nothing_personal(site: Any) -> None:
    identifier = site.world.certificate
    answer = site.get(f"/api/v1/certificates/{identifier}/slip")
    assert answer.headers["content-type"] == "application/pdf"
    assert find_codes(answer.content).texts == (make_link(site.url, identifier, sm3(DOCUMENT)).text,)
    words = str(pypdfium2.PdfDocument(answer.content)[0].get_textpage().get_text_bounded()).replace("\r\n", "")
    for shown in (identifier, "示范市自然资源和规划局", "起长期", site.url):
        assert shown in words
    assert site.get(f"/api/v1/certificates/{site.world.identifier('2025999999')}/slip").json()["code"] == "NOT_FOUND"


def test_of_a_batch_whose_manifest_is_elsewhere_the_link_names_no_document(
    make_world: Callable[[], Any], fill: Callable[[Any], None], serve: Callable[..., Any]
) -> None:
    world = make_world()
    fill(world)
    digests = {"root": sm3(b"root"), "manifest_digest": sm3(b"manifest")}
    type_code = world.certificate.removeprefix(ROOT_OID).split(".")[0]
    serials = {"first": "2026500", "last": "2026501"}
    _, refusal = world.call("land", "batches", "issue_batch", type_code=type_code, **serials, count=2, **digests)
    assert refusal is None, refusal
    site = serve(world)
    identifier = world.identifier("2026501")
    link = make_link(site.url, identifier)
    assert site.get(f"/api/v1/certificates/{identifier}/code").content == code_svg(link.text)
    assert find_codes(site.get(f"/api/v1/certificates/{identifier}/slip").content).texts == (link.text,)
    assert verdict_of(site.get(link.text.removeprefix(link.base)).text) == "IN_BATCH"


def test_a_link_tells_what_became_of_the_certificate(site: Any) -> None:
    short = {name: f"/V/{getattr(site.world, name).removeprefix(ROOT_OID)}" for name in ("certificate", "revoked")}
    assert verdict_of(site.get(short["certificate"]).text) == "IN_FORCE"
    page = site.get(short["revoked"]).text
    assert verdict_of(page) == "ENDED"
    places = [page.index(part) for part in ('id="verdict"', "<details", 'id="verify-form"', "</details>")]
    assert places == sorted(places), "on a telephone the verdict is what shows, and the form is folded beneath it"
    assert "<details" not in site.get("/verify", params={"identifier": site.world.revoked}).text
    assert verdict_of(site.get(f"{short['certificate']}/{'0A' * 10}").text) == "DOCUMENT_CHANGED"
    unknown = site.world.identifier("2025999999").removeprefix(ROOT_OID)
    assert verdict_of(site.get(f"/V/{unknown}").text) == "NOT_ON_LEDGER"


@pytest.mark.parametrize("tail", ["abc", "%22%3E%3Cscript%3E", "1.2/3", f"{'A' * 300}", f"{ROOT_OID}X", "V"])
def test_what_is_no_link_of_ours_is_explained(site: Any, tail: str) -> None:
    answer = site.get(f"/V/{tail}")
    assert answer.status_code == 200
    assert "无法核验" in answer.text
    assert "<script>" not in answer.text


def test_no_code_is_drawn_of_what_the_ledger_does_not_have(site: Any) -> None:
    unknown = site.world.identifier("2025999999")
    assert site.get(f"/api/v1/certificates/{unknown}/code").json()["code"] == "NOT_FOUND"
    assert site.get("/api/v1/certificates/1234/code").json()["code"] == "PARAMETER_INVALID"


def test_the_operator_says_where_codes_lead(
    make_world: Callable[[], Any], fill: Callable[[Any], None], serve: Callable[..., Any]
) -> None:
    world = make_world()
    fill(world)
    site = serve(world, link_base=normal_base("https://chain.example.cn/CERT/"))
    link = make_link("https://chain.example.cn/CERT", world.certificate, sm3(DOCUMENT))
    assert site.get(f"/api/v1/certificates/{world.certificate}/code").content == code_svg(link.text)


def test_an_address_that_no_code_carries_is_not_drawn(site: Any) -> None:
    app: Any = make_rest(site.world.view, ExplorerSettings(None), 0).app

    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://[::1]:8551") as client:
            return await client.get(f"/api/v1/certificates/{site.world.certificate}/code")

    assert asyncio.run(ask()).json()["code"] == "LINK_BASE_UNSET"
