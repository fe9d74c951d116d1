"""`seesaw suites` and `seesaw spaces`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from bench.app.cli.output import CommandOutput, print_table, say


def suites() -> CommandOutput:
    """List the suites, with their data and budgets."""
    from bench.app.runs.suite import load_suite
    from bench.core.system import content
    from bench.data import load_card

    listed = []
    for name in content.names("reports"):
        suite = load_suite(name)
        datasets = [dataset.id for dataset in suite.datasets]
        fetched = all(not (card := load_card(each)).files or card.sources for each in datasets)
        about = {"name": name, "title": suite.title, "datasets": datasets, "space": suite.space}
        listed.append(about | {"lengths": suite.budget.lengths, "fetched": fetched})
    yield {"suites": listed}
    rows = []
    for each in listed:
        data = "fetched" if each["fetched"] else "--raw DIR"
        rows.append([each["name"], each["title"], each["space"], f"{each['lengths']:g}", data])
    print_table(["suite", "title", "space", "full lengths", "data"], rows)


def spaces(
    space: Annotated[
        str | None, typer.Argument(help="A name or a space's path: show that space.")
    ] = None,
    dataset: Annotated[
        str | None, typer.Option(help="Fit the space to this data set, and show what is left out.")
    ] = None,
) -> CommandOutput:
    """List the search spaces, or show one: its size, its branches, its defaults."""
    from bench.core.system import content
    from bench.search.space import describe_space, load_space

    if space is not None:
        document = describe_space(space, dataset)
        load_space(space).validate_against_config(document["tasks"])
        yield document
        _show(document)
        return
    listed = [describe_space(name, dataset) for name in content.names("search_spaces")]
    yield {"spaces": listed}
    rows = [
        [one["name"], one["title"], one["size"]["text"], len(one["left_out"])] for one in listed
    ]
    columns = ["space", "title", "configurations", *(["left out"] if dataset else [])]
    print_table(columns, [row[: len(columns)] for row in rows])


def _show(document: dict[str, Any]) -> None:
    say(f"{document['name']}: {document['title']}")
    say(f"{document['size']['text']}, for the tasks {', '.join(document['tasks'])}")
    defaults = {
        switch: branches[0] for switch, branches in document["branches"].items()
    } | document["defaults"]
    say(
        *(
            f"{of}: {', '.join(branches)}; by default {defaults[of]}"
            for of, branches in document["branches"].items()
        )
    )
    rows = [
        [
            row["name"],
            ", ".join(map(" = ".join, row["when"].items())) or "everywhere",
            _range(row),
            row["default"],
        ]
        for row in document["parameters"]
        if row["type"] != "switch"
    ]
    print_table(["parameter", "where", "values", "default"], rows)
    if document["fixed"]:
        say("fixed: " + ", ".join(f"{name} = {value}" for name, value in document["fixed"].items()))
    say(*(f"left out: {branch}: {reason}" for branch, reason in document["left_out"].items()))


def _range(row: dict[str, Any]) -> str:
    if "options" in row:
        return " | ".join(str(option) or "none" for option in row["options"])
    return f"{row['low']:g} to {row['high']:g}{', log' if row['log'] else ''}"
