"""Write the directory chain of an invented capital as tables for `govnode catalogue import`, the same bytes at every run.

    python samples/make_catalogue.py FOLDER [--departments 50 --duties 8000 --systems 1900 --resources 44000]

Beside duties.csv, systems.csv and resources.csv lies network.toml, a network of as many departments with a publisher and an approver
each. Without numbers it is that of a whole capital. All names are invented; the region 99 is none. What is kept in
samples/catalogue is of three departments of the demonstration's network: SMALL.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

VALIDATORS = 4
SMALL = (3, 9, 6, 15)
"""Departments, duties, systems and resources of the tables that are kept."""
BODIES = (
    *(
        "数据资源管理局",
        "自然资源和规划局",
        "住房和城乡建设局",
        "行政审批局",
        "公安局",
        "民政局",
        "教育局",
        "卫生健康委员会",
    ),
    *(
        "人力资源和社会保障局",
        "市场监督管理局",
        "交通运输局",
        "生态环境局",
        "农业农村局",
        "商务局",
        "文化和旅游局",
        "应急管理局",
    ),
    *("财政局", "统计局", "司法局", "水务局", "城市管理局", "医疗保障局", "退役军人事务局", "体育局", "气象局"),
)
MATTERS = (
    *(
        "登记",
        "许可",
        "备案",
        "年检",
        "处罚",
        "监测",
        "补贴",
        "资格",
        "合同",
        "投诉",
        "评价",
        "档案",
        "统计",
        "缴费",
        "预约",
    ),
)
OBJECTS = (
    *(
        "企业",
        "个体工商户",
        "房屋",
        "土地",
        "车辆",
        "学校",
        "医院",
        "从业人员",
        "工程项目",
        "食品经营",
        "道路",
        "河道",
        "老年人",
        "社会组织",
    ),
)
ITEMS = (
    ("编号", "C"),
    ("名称", "C"),
    ("日期", "D"),
    ("金额", "Y"),
    ("面积", "N"),
    ("状态", "C"),
    ("有效期止", "D"),
    ("数量", "I"),
)
LIBRARIES = ("", "", "", "人口", "法人", "空间地理", "政务服务", "交通管理", "卫生健康", "市场监管")
SHARING = (("无条件共享", ""), ("有条件共享", "须说明所办事项，仅限核验"), ("不予共享", "《保密法》第十三条"))
CYCLES = ("实时", "每日", "每周", "每月", "每季", "每年")

DUTY_HEAD = ("提供方代码", "职责代码", "职责名称", "职责依据", "责任处室", "职责事项")
SYSTEM_HEAD = ("提供方代码", "系统代码", "系统名称", "系统简介", "所在网络", "对应职责代码")
RESOURCE_HEAD = (
    *(
        "提供方代码",
        "资源代码",
        "资源名称",
        "资源摘要",
        "资源格式",
        "数据项",
        "共享类型",
        "共享条件",
        "共享方式",
        "更新周期",
        "数据分级",
    ),
    *("是否开放", "层级", "分类名称", "所属库", "回流层级", "回流来源", "职责代码", "系统代码"),
)


def department_code(number: int) -> str:
    """Return the unified social credit code of a department, from 1, with its check character (GB 32100)."""
    alphabet = "0123456789ABCDEFGHJKLMNPQRTUWXY"
    body = f"11990100MB{number:07d}"
    total = sum(alphabet.index(character) * pow(3, place, 31) for place, character in enumerate(body))
    return body + alphabet[-total % 31]


def department_name(number: int) -> str:
    """Return the name of a department, from 1."""
    around, place = divmod(number - 1, len(BODIES))
    return f"示范市{'' if around == 0 else f'第{around}区'}{BODIES[place]}"


def duties(departments: int, count: int) -> Iterator[Sequence[str]]:
    """Yield the rows of the directory of duties; those of a department are numbered from 1."""
    for number in range(count):
        owner, own = number % departments + 1, number // departments + 1
        matter, thing = MATTERS[own % len(MATTERS)], OBJECTS[own // len(MATTERS) % len(OBJECTS)]
        tasks = "；".join(f"{thing}{matter}{step}" for step in ("受理", "审查", "办结"))
        basis = f"《示范市{thing}管理条例》第{own % 60 + 1}条"
        yield department_code(owner), f"Z{own:04d}", f"{thing}{matter}（{own}）", basis, f"业务{own % 9 + 1}处", tasks


def systems(departments: int, count: int, duty_count: int) -> Iterator[Sequence[str]]:
    """Yield the rows of the directory of systems, each with up to two duties of its department."""
    for number in range(count):
        owner, own = number % departments + 1, number // departments + 1
        served = _duties_of(owner, departments, duty_count)
        named = "；".join(f"Z{place % served + 1:04d}" for place in (own, own * 7) if served)
        name = f"{OBJECTS[own % len(OBJECTS)]}{MATTERS[own % len(MATTERS)]}管理系统{own}"
        network = ("政务外网", "互联网", "业务专网")[own % 3]
        named = "；".join(dict.fromkeys(named.split("；")))
        yield department_code(owner), f"S{own:03d}", name, f"{name}，供窗口与后台办理业务", network, named


def resources(departments: int, count: int, duty_count: int, system_count: int) -> Iterator[Sequence[str]]:
    """Yield the rows of the catalogue; one in forty is open, one in thirty is returned by the province."""
    for number in range(count):
        owner, own = number % departments + 1, number // departments + 1
        thing, matter = OBJECTS[own % len(OBJECTS)], MATTERS[own // len(OBJECTS) % len(MATTERS)]
        sharing, basis = SHARING[0 if number % 10 < 5 else 1 if number % 10 < 9 else 2]
        items = "；".join(f"{thing}{name}:{kind}" for name, kind in ITEMS[: 3 + own % (len(ITEMS) - 2)])
        duty, system = _duties_of(owner, departments, duty_count), _duties_of(owner, departments, system_count)
        is_open, is_returned = number % 40 == 0, number % 30 == 7
        yield (
            department_code(owner),
            f"3{owner:02d}{own % 100:03d}{own % 7:03d}/{own:06d}",
            f"{thing}{matter}信息（{own}）",
            f"{department_name(owner)}在{thing}{matter}中形成的数据，{CYCLES[own % 6]}更新",
            "JSON",
            items,
            sharing,
            basis,
            "接口" if own % 4 else "文件",
            CYCLES[own % 6],
            "重要" if number % 50 == 11 else "一般",
            "是" if is_open and sharing != "不予共享" else "否",
            "地市级",
            f"部门；{BODIES[(owner - 1) % len(BODIES)]}",
            LIBRARIES[own % len(LIBRARIES)],
            "省级" if is_returned else "",
            "示范省大数据中心" if is_returned else "",
            f"Z{own % duty + 1:04d}" if duty else "",
            f"S{own % system + 1:03d}" if system else "",
        )


def _duties_of(owner: int, departments: int, count: int) -> int:
    """Return how many of `count` entries dealt out in turn a department has."""
    return count // departments + (owner <= count % departments)


def network(departments: int) -> str:
    """Return the description of a network of these departments, the first four with a validator each."""
    lines = [
        "# 示范网络，由 samples/make_catalogue.py 生成",
        "[network]",
        'name = "示范市目录链"',
        "chain_id = 20250802",
    ]
    for number in range(1, departments + 1):
        roles = '["governor"]'
        accounts = [f'{{ name = "governor", roles = {roles} }}'] if number == 1 else []
        accounts += [
            f'{{ name = "publisher-{number:02d}", roles = ["publisher", "recorder"] }}',
            f'{{ name = "approver-{number:02d}", roles = ["approver", "requester"] }}',
        ]
        lines += [
            *("", "[[departments]]", f'code = "{department_code(number)}"', f'name = "{department_name(number)}"'),
            *('region = "990100"', 'level = "city"', f'parent = "{"" if number == 1 else department_code(1)}"'),
            f"accounts = [{', '.join(accounts)}]",
        ]
    for number in range(1, VALIDATORS + 1):
        owner = min(number, departments)
        lines += [
            *(
                "",
                "[[nodes]]",
                f'name = "node{number}"',
                f'department = "{department_code(owner)}"',
                "validator = true",
            ),
            *(f'p2p = "127.0.0.1:{26650 + number}"', f'http = "127.0.0.1:{8550 + number}"'),
            f"explorer = {'true' if number == 1 else 'false'}",
        ]
    return "\n".join(lines) + "\n"


def _write(path: Path, head: Sequence[str], rows: Iterator[Sequence[str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(head)
        writer.writerows(rows)


def write_tables(folder: Path, departments: int, duty_count: int, system_count: int, count: int) -> None:
    """Write the three tables into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / "duties.csv", DUTY_HEAD, duties(departments, duty_count))
    _write(folder / "systems.csv", SYSTEM_HEAD, systems(departments, system_count, duty_count))
    _write(folder / "resources.csv", RESOURCE_HEAD, resources(departments, count, duty_count, system_count))


def main(folder: Path, departments: int, duty_count: int, system_count: int, count: int) -> None:
    """Write the tables and the network's description into a folder."""
    write_tables(folder, departments, duty_count, system_count, count)
    (folder / "network.toml").write_text(network(departments), "utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    for option, default in (("departments", 50), ("duties", 8_000), ("systems", 1_900), ("resources", 44_000)):
        parser.add_argument(f"--{option}", type=int, default=default)
    given = parser.parse_args()
    main(given.folder, given.departments, given.duties, given.systems, given.resources)
