"""`seesaw suites`."""

from __future__ import annotations

from bench.cli.options import Json
from bench.cli.output import print_json, print_table


def suites(json: Json = False) -> None:
    """List the suites, with their data and budgets."""
    from bench import content
    from bench.data import load_card
    from bench.suite import load_suite

    listed = []
    for name in content.names("reports"):
        suite = load_suite(name)
        datasets = [dataset.id for dataset in suite.datasets]
        fetched = all(not (card := load_card(each)).files or card.sources for each in datasets)
        listed.append(
            {
                "name": name,
                "title": suite.title,
                "datasets": datasets,
                "space": suite.space,
                "lengths": suite.budget.lengths,
                "fetched": fetched,
            }
        )
    if json:
        print_json({"suites": listed})
        return
    rows = [
        [
            each["name"],
            each["title"],
            each["space"],
            f"{each['lengths']:g}",
            "fetched" if each["fetched"] else "--raw DIR",
        ]
        for each in listed
    ]
    print_table(["suite", "title", "space", "full lengths", "data"], rows)
