"""`seesaw deploy`: the pick as a registered model."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from bench.cli.options import Home, Json, Raw
from bench.cli.output import TerminalProgress, print_json, say
from bench.errors import UserError


class Alias(StrEnum):
    """The alias of a new version."""

    champion = "champion"
    challenger = "challenger"


def deploy(
    target: Annotated[str, typer.Argument(metavar="RUN|picked.json", help="A run, or the pick of one data set.")],
    as_: Annotated[Alias, typer.Option("--as", help="Alias of the new version.")] = Alias.champion,
    name: Annotated[str | None, typer.Option(help="Name of the registered model; default: the data set's.")] = None,
    policy: Annotated[Path | None, typer.Option("--policy", help="TOML file; default: the suite's policy.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the trainings; default: the run's.")] = None,
    threads: Annotated[int, typer.Option(help="Threads to train with; 0 means all cores.", min=0)] = 0,
    force: Annotated[bool, typer.Option("--force", help="Keep a model below its prediction intervals.")] = False,
    no_onnx: Annotated[bool, typer.Option("--no-onnx", help="Leave out the model in ONNX.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the steps, and do nothing.")] = False,
    promote: Annotated[bool, typer.Option("--promote", help="Make the challenger champion; trains nothing.")] = False,
    rollback: Annotated[bool, typer.Option("--rollback", help="Swap champion and previous.")] = False,
    raw: Raw = None,
    json: Json = False,
    home: Home = None,
) -> None:
    """Train the picked configuration for production, package it, and register it in MLflow."""
    from bench.home import resolve_home
    from bench.machine import cores
    from bench.production.engines import without_onnx
    from bench.run.deploy import deploying, make_package, plan, register
    from bench.tracking.registry import Registry

    if promote + rollback + (as_ is not Alias.champion) > 1:
        raise UserError("expected one of --as challenger, --promote and --rollback, found two")
    planned = plan(resolve_home(home), target, policy, name, seed)
    uri = planned.part.run.tracking_uri
    if promote or rollback or dry_run:
        registry = Registry(uri)
        if rollback:
            moves = registry.rollback(planned.name)
        else:
            moves = registry.promote(planned.name) if promote else registry.moves(planned.name, as_.value, "(new)")
        if not dry_run:
            registry.apply(planned.name, moves)
        if json:
            print_json({"model": planned.name, "tracking": uri, "moves": [vars(each) for each in moves]})
            return
        if not (promote or rollback):
            say(planned.pick.reason)
            what = planned.network.name
            say(f"would train {what} on {planned.options.seeds} seeds and register the model at {uri}")
            say(f"score: {planned.score}")
        for move in moves:
            say(f"{planned.name}: {'would do: ' if dry_run else ''}{move}")
        return
    lacking = "" if no_onnx else without_onnx()
    if lacking:
        TerminalProgress().note(f"the package will have no model in ONNX: {lacking}")
    onnx = not no_onnx and not lacking
    with deploying(planned):
        package = make_package(planned, raw, force, threads or cores(), TerminalProgress(), onnx)
        number, moves = register(planned, package, as_.value)
    if json:
        document: dict[str, Any] = {"model": planned.name, "version": number, "alias": as_.value, "tracking": uri}
        document |= {"package": str(package.folder), "agreement": package.manifest.agreement}
        document |= {"score": package.manifest.score.model_dump(mode="json"), "outcomes": package.manifest.outcomes}
        print_json(document | {"moves": [vars(each) for each in moves], "test": package.manifest.provenance["test"]})
        return
    say(planned.pick.reason)
    for engine, difference in package.manifest.agreement.items():
        say(f"{engine}: probabilities differ by at most {difference:.1e} from the trained model's")
    say(f"score: {package.manifest.score}")
    say(f"package: {package.folder}", whole=True)
    for move in moves:
        say(f"{planned.name}: {move}")
    model = f"models:/{planned.name}@{as_.value}"
    say(f"serve:   MLFLOW_TRACKING_URI={uri} mlflow models serve -m {model} --env-manager local", whole=True)
