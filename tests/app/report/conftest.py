"""Pages of made-up runs, and a browser to open them in."""

import os
from pathlib import Path

import pytest
from made_up import objectives_of, records_of, section_of

from bench.app.report.page import write_page

CHROMIUM = Path(os.environ.get("CHROMIUM", "/usr/bin/chromium"))


@pytest.fixture(scope="session")
def section():
    """Sixty trials, nine of them confirmed, and a served front of two outcomes."""
    return section_of(records_of(), objectives_of(), served=2)


@pytest.fixture(scope="session")
def browser():
    playwright = pytest.importorskip(
        "playwright.sync_api",
        exc_type=ImportError,
        reason="playwright is not installed, or not whole",
    )
    if not CHROMIUM.is_file():
        pytest.skip(f"no Chromium at {CHROMIUM}; the variable CHROMIUM names another place")
    options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=str(CHROMIUM), args=options)
        yield opened
        opened.close()


@pytest.fixture(scope="session")
def pages(tmp_path_factory):
    folder, by_name = tmp_path_factory.mktemp("pages"), {}
    for name, count, served, confirmed in (
        *(
            ("2", 2, 2, 9),
            ("3", 3, 3, 9),
            ("5", 5, 5, 9),
            ("unnamed 2", 2, 2, 9),
            ("unnamed", 3, 3, 9),
        ),
        *(("score", 2, 2, 9), ("heads 1", 1, 0, 9), ("heads 3", 3, 0, 9), ("search", 2, 0, 0)),
    ):
        records = records_of(objectives=count, confirmed=confirmed)
        options = {"served": served, "today": "unnamed" not in name, "logged": name == "score"}
        section = section_of(records, objectives_of(count), **options)
        by_name[name] = section, write_page([section], folder / f"{name}.html", "quick-7")
    return by_name
