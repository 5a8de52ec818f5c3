"""The catalogue of certificate types, who may issue them and what their codes mean: REST and pages."""

from __future__ import annotations

from typing import Any

import pytest

TYPE = "11100000MB03271699001"


def test_a_type_is_told_with_its_words(site: Any) -> None:
    found = site.get(f"/api/v1/certificate-types/{TYPE}").json()
    assert (found["name"], found["code_table"], found["validity_range"]) == ("不动产权证书", "default", "长期")
    assert found["holder_category_text"] == {"zh": "自然人", "en": "person"}
    assert found["issuing_level_text"]["zh"] == "地市级"
    assert found in site.get("/api/v1/certificate-types").json()["items"]


def test_who_may_issue_a_type_is_listed(site: Any) -> None:
    found = site.get(f"/api/v1/certificate-types/{TYPE}/issuers", params={"limit": 1}).json()
    assert found["items"][0]["department"] == site.world.land
    assert found["items"][0]["department_name"]
    assert found["items"][0]["is_active"]


def test_codes_are_told_with_what_they_mean(site: Any) -> None:
    found = site.get("/api/v1/code-tables/default").json()
    effects = {one["code"]: one["effect_text"]["en"] for one in found["statuses"]}
    assert (effects["01"], effects["02"], effects["03"]) == ("in force", "not in force for now", "ended")
    cancel = next(one for one in found["operations"] if one["action"] == "cancel_transfer")
    assert cancel["to_statuses"] == ["01", "02", "99"]


@pytest.mark.parametrize(
    "path", ["certificate-types/x", "certificate-types/x/issuers", f"certificate-types/{'9' * 21}", "code-tables/none"]
)
def test_what_is_not_there_is_not_found(site: Any, path: str) -> None:
    assert site.get(f"/api/v1/{path}").json()["code"] == "NOT_FOUND"


def test_the_pages_show_the_catalogue(site: Any) -> None:
    listed = site.get("/types").text
    assert f'href="/types/{TYPE}"' in listed
    page = site.get(f"/types/{TYPE}").text
    for text in ("自然人", "地市级", "可以颁发的部门", "取消转出", site.world.land):
        assert text in page
    assert site.get("/types/x").status_code == 404
