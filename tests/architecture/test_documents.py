"""The pages for readers hold together: every link leads somewhere, and the two indexes name every page."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    page
    for folder in ("", "docs", "docs/adr", "docs/spec", "bench", "contracts", "samples")
    for page in (ROOT / folder).glob("**/*.md" if folder in ("bench", "contracts", "samples") else "*.md")
)
LINK = re.compile(r"\]\(([^)\s]*[./#][^)\s]*)\)")
CODE = re.compile(r"```.*?```", re.DOTALL)


def _anchor(heading: str) -> str:
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading.strip().lower())
    return re.sub(r"[^\w\- ]", "", text).replace(" ", "-")


def _anchors(page: Path) -> set[str]:
    lines = CODE.sub("", page.read_text("utf-8")).splitlines()
    return {_anchor(line.lstrip("#")) for line in lines if line.startswith("#")}


def _broken(page: Path) -> list[str]:
    broken = []
    for link in LINK.findall(CODE.sub("", page.read_text("utf-8"))):
        if "://" in link:
            continue
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        if not target.exists() or (anchor and target.suffix == ".md" and anchor not in _anchors(target)):
            broken.append(link)
    return broken


def test_every_link_of_a_page_leads_to_a_file_and_a_heading() -> None:
    assert len(PAGES) > 60
    assert {str(page.relative_to(ROOT)): _broken(page) for page in PAGES if _broken(page)} == {}


@pytest.mark.parametrize("folder", ["adr", "spec"])
def test_the_index_names_every_page_of_its_folder(folder: str) -> None:
    index = ROOT / "docs" / folder / "README.md"
    named = set(LINK.findall(index.read_text("utf-8")))
    pages = {page.name for page in index.parent.glob("*.md")} - {index.name}
    assert {name for name in pages if name not in {link.partition("#")[0] for link in named}} == set()
