"""The README and the pages of docs/: short enough to finish, and every link leads somewhere."""

import re

import pytest

from tests.helpers import ROOT

PAGES = sorted({*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("benchmarks/results/*/README.md")})


def anchors(page: str) -> set[str]:
    """The fragments of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"(?ms)^```.*?^```", "", page), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_each_link_leads_to_a_file_and_a_heading(page):
    text = re.sub(r"(?ms)^```.*?^```|`[^`\n]*`", "", page.read_text())
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"\w+:", target):
            continue
        name, _, fragment = target.partition("#")
        path = page.parent / name if name else page
        if not path.exists() or (fragment and fragment not in anchors(path.read_text())):
            broken.append(target)
    assert not broken


@pytest.mark.parametrize(
    ("page", "lines"), [("README.md", 180), *((str(path.relative_to(ROOT)), 250) for path in ROOT.glob("docs/*.md"))]
)
def test_a_page_can_be_read_to_its_end(page, lines):
    assert len((ROOT / page).read_text().splitlines()) <= lines
