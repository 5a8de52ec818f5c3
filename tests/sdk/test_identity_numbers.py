"""No identity number of a person gets on the ledger in a reason, a case's number or a system's name; other numbers do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from contracts.data_sharing.directories import Duty
from contracts.data_sharing.product_records import Claim
from contracts.data_sharing.resources import ResourceItem
from contracts.identifiers import is_uscc, make_identifier
from sdk.certificate_sharing.exchange import decode_request
from sdk.certificates import StatusChange, change_status
from sdk.client import Client
from sdk.identity_numbers import check_free_text, check_free_texts, has_resident_number
from verification.errors import InputError

NUMBER = "999999197002070011"
CHILD = "999999201202070007"
"""Of one born when cases were numbered by their day."""


@pytest.mark.parametrize(
    "text",
    [
        f"持证人甲 {NUMBER} 涉案",
        f"身份证{NUMBER}。",
        "999999 19700207 0011",
        "999999-19700207-0011",
        "９９９９９９１９７００２０７００１１",
        "证号 11010519491231002x 挂失",
        f"2 {NUMBER}",
        NUMBER,
        "999999.19700207.0011",
        "999999_19700207/0011",
        "999999·19700207—0011",
        "999999 - 19700207  0011",
        "999999\t19700207\u00a00011",
        "٩٩٩٩٩٩١٩٧٠٠٢٠٧٠٠١١",
        "九九九九九九一九七〇〇二〇七〇〇一一",
        "999999⑲70⓪②0700⑪",
        "999999,19700207，0011",
        "999999：19700207；0011",
        "999999（19700207）0011",
        "9 9 9 9 9 9|1970|02|07|0011",
        "999999\u200b19700207\u2060\u20600011",
        f"1{NUMBER}",
        f"{NUMBER}1",
        f"20261122{NUMBER}0001",
        "11010519491231002×",
        "张三11010519491231002Х，李四",
        "110105 19491231 002 ✕",
        "999999    19700207      0011",
        "999999 -- 19700207 ---- 0011",
        "玖玖玖玖玖玖壹玖柒零零贰零柒零零壹壹",
        "999999<br>19700207<br/><br>0011",
        '999999<span class="day">19700207</span>&nbsp;0011',
        "&#57;99999197002070011",
        f'999999<SPAN style="{"a" * 300}">19700207</SPAN><!-- day -->0011',
        "999999&amp;nbsp;19700207&lt;br&gt;0011",
        "https://data.example.gov.cn/?n=999999%2019700207%200011",
        "2099999920120207004X",
        "99999920120207004X13800138000",
        "1380013800099999920120207004X",
    ],
)
def test_an_identity_number_is_found_in_a_text(text: str) -> None:
    assert has_resident_number(text)
    with pytest.raises(InputError, match="reason") as caught:
        check_free_text("reason", text)
    assert caught.value.code == "IDENTITY_NUMBER"
    assert text not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "示(2026)不动产权第9000001号",
        "(2026)京0101执12345号",
        "999999197002070012",  # another check character
        "999999197002300017",  # 30 February
        "310115201911220017123",  # a case's number: region, day, count, and by chance the check character
        "110105194912310021234",  # a longer run with another check character
        "1、2、3、4、5、6、7、8、9、10、11、12、13、14、15、16、17、18",
        "13800138000、13900139000；010-66668888",
        "2026-11-22 至 2027-11-21，共 365 日，3650.00 万元",
        "11990100MB0000002X",  # a credit code
        make_identifier("11100000MB03271699001", "11990100MB0000002X", "20269000001"),
        "ab" * 32,
        "110.105 1949-12-31 10:14",  # a number, a date and a time, and by chance the check character
        "110105 1949-12-31 10:14:30",
        "701234197002070014",  # no region begins with 70
        "50%19700207 999999 0011",
        f"{CHILD}0",  # as a case's number may be
        f"1{CHILD}",
        f"13800138000{CHILD}",
        f"{CHILD}999999201503110009",
        "规格 99999920120207004×3",  # of size or count, and by chance X the check character
        "99999920120207004x200",
        "99999920120207004X12800138000",  # no telephone
        "编码310115<14件>20191122<p>0017",
        "<tr><td>310115</td><td>20191122</td><td>0017</td></tr>",
        "面积<100 且 >50：999999<19700207",
    ],
)
def test_other_numbers_are_none(text: str) -> None:
    check_free_text("reason", text)


@pytest.mark.parametrize(
    "arguments",
    [
        {"name": f"张三{NUMBER}"},
        {"number": NUMBER},
        {"items": ["面积", NUMBER]},
        {"resource": ResourceItem(NUMBER, "text")},
        {"categories": [NUMBER]},
        {"unit": NUMBER},
        {"format": NUMBER},
    ],
)
def test_names_and_numbers_of_what_is_entered_are_looked_through(arguments: dict[str, Any]) -> None:
    with pytest.raises(InputError) as caught:
        check_free_texts(arguments)
    assert caught.value.code == "IDENTITY_NUMBER"


@pytest.mark.parametrize(
    "arguments",
    [
        {"code": NUMBER},
        {"code": "999999-19700207-0011"},
        {"form": f"甲 {NUMBER}"},
        {"reference": f"甲{NUMBER}"},
        {"statuses": [["code", NUMBER]]},
        {"duties": [Duty(NUMBER, "登记", "条例")]},
    ],
)
def test_a_code_is_no_identity_number(arguments: dict[str, Any]) -> None:
    with pytest.raises(InputError) as caught:
        check_free_texts(arguments)
    assert caught.value.code == "IDENTITY_NUMBER"


def test_other_codes_are_codes() -> None:
    # A department's code may have the check characters of both standards.
    assert is_uscc("119911197002071288")
    assert has_resident_number("119911197002071288")
    codes = ["307001002/000045", "0x" + NUMBER + "a" * 22, "119911197002071288", "110105194912310022"]
    check_free_texts({"code": codes[0], "department": codes[2], "account": codes[1], "duties": codes})


def test_no_call_with_one_is_signed(node: Any, identifier: str) -> None:
    before = len(node.receipts)
    with Client(node.url, node.chain.clerk) as client:
        for method, said in (("suspend", "reason"), ("record_other", "description")):
            with pytest.raises(InputError) as caught:
                client.call("certificates", method, identifier=identifier, **{said: f"甲 {NUMBER}"})
            assert (caught.value.code, said in caught.value.en) == ("IDENTITY_NUMBER", True)
        # The good ones before it are not sent either: a list is mended and given again as a whole.
        with pytest.raises(InputError):
            change_status(client, "suspend", [StatusChange(identifier, "挂失"), StatusChange(identifier, NUMBER)])
    assert len(node.receipts) == before


def test_the_command_says_which_reason(run: Any, tmp_path: Path) -> None:
    key = ("--key", tmp_path / "none.key")
    status, _, err = run("cert", "suspend", "1.2.3", "--reason", f"甲 {NUMBER}", *key)
    assert (status, "IDENTITY_NUMBER" in err, "--reason" in err, NUMBER in err) == (1, True, True, False)
    listed = tmp_path / "list.csv"
    listed.write_text(f"identifier,reason\n1.2.3,挂失\n1.2.4,甲 {NUMBER}\n", "utf-8")
    status, _, err = run("cert", "suspend", "--csv", listed, *key)
    assert (status, "IDENTITY_NUMBER" in err, "reason [2]" in err) == (1, True, True)


@pytest.mark.parametrize("place", ["caseNumber", "system"])
def test_an_issuer_takes_no_request_with_one(place: str) -> None:
    texts = {"caseNumber": "W-1", "system": "窗口"} | {place: f"甲 {NUMBER}"}
    body = (
        f'{{"useCause": "抵押", "grant": "{"ab" * 32}", "caseNumber": "{texts["caseNumber"]}", '
        f'"system": "{texts["system"]}", "requestId": "{"ab" * 16}", "accessToken": "{"ab" * 32}"}}'
    )
    with pytest.raises(InputError) as caught:
        decode_request(body.encode())
    assert (caught.value.code, place in caught.value.en) == ("IDENTITY_NUMBER", True)


@pytest.mark.parametrize(
    "arguments",
    [
        {"claim": Claim(("hold",), f"由 {NUMBER} 采集", bytes(32))},
        {"duties": [Duty("D-1", "登记", "条例", "", (f"办理 {NUMBER}",))]},
        {"finding": f"{NUMBER} 的面积有误"},
        {"items": [NUMBER], "tasks": ("甲", NUMBER)},
    ],
)
def test_an_identity_number_within_an_entry_is_found(arguments: dict[str, Any]) -> None:
    with pytest.raises(InputError) as caught:
        check_free_texts(arguments)
    assert caught.value.code == "IDENTITY_NUMBER"
    check_free_texts({"reason": "正常", "duties": [Duty("D-1", "登记", "条例")]})
