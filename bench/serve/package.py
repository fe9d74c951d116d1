"""A model as a folder that serves raw rows on its own: plain data, whole or absent, each file's
digest checked.

manifest.json       schema, configuration, score, versions, provenance, all digests
model.safetensors   weights of the modules that its configuration makes; nodes of trees
model.onnx (.data)  graph and weights for ONNX Runtime, if the extra `serve` was installed
encoder.json        raw columns -> ids and floats
calibration.json    task -> calibration
policy.json         how it was picked
card.json           the data set it was trained on
README.md           what users must know
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch

from bench.core.arrays import Ids, Singles
from bench.core.errors import UserError, unknown
from bench.core.formats import PACKAGE, checked_format
from bench.core.plain import read_json
from bench.core.schema import Schema
from bench.core.system.atomic import atomic_folder
from bench.core.validation import validate
from bench.data.card import Card
from bench.data.encoding.encoder import Encoder
from bench.deciding.score import Score
from bench.models.training.evaluation import times_of
from bench.serve.calibration_maps import Calibration, all_prediction_names
from bench.serve.engines import (
    ENGINES,
    MODEL,
    ONNX,
    Engine,
    open_engine,
    write_onnx,
    write_weights,
)
from bench.serve.kept_history import KeptHistory, needed_of
from bench.serve.manifest import FileFacts, PackageManifest
from bench.serve.scorer import Scorer, example_rows
from bench.serve.served_model import Member, ModelPart, ModelSpec, ServedModel

MANIFEST = "manifest.json"
AGREEMENT = 1e-5
"""Largest allowed difference between a packaged model's predictions and the trained one's; relative
above 1.
"""


@dataclass(frozen=True)
class Contents:
    """The contents of a package; `card` and `policy` are plain values.

    Attributes:
        name: of the data set.
        parts: of the model, as they are trained.
        members: all trained parts of each; predictions of several are averaged.
        rows: encoded rows of validation, ids (N, S) and dense (N, D), on which engines must agree.
        outcomes: of the score, by which it was picked.
    """

    name: str
    schema: Schema
    parts: Sequence[ModelPart]
    members: Sequence[Member]
    encoder: Encoder
    rows: tuple[Ids, Singles]
    score: Score = field(default_factory=Score)
    outcomes: Sequence[str] = ()
    calibrations: Mapping[str, Calibration] = field(default_factory=dict)
    card: Mapping[str, object] = field(default_factory=dict)
    policy: Mapping[str, object] = field(default_factory=dict)
    provenance: Mapping[str, object] = field(default_factory=dict)
    readme: str = ""


def write_package(contents: Contents, folder: Path, onnx: bool = True) -> Package:
    """Writes a package, with the model in ONNX if `onnx` (some seconds), and opens it.

    Raises UserError if the score names no prediction, or for `onnx` without the extra `serve`;
    AssertionError if an engine's predictions differ from the trained model's.
    """
    spec = ModelSpec.of_trained(contents.schema, contents.parts, contents.members)
    model = spec.with_weights(contents.members)
    engines = ["eager", "onnx"] if onnx else ["eager"]
    with atomic_folder(folder) as unfinished:
        write_weights(model, unfinished / MODEL)
        if onnx:
            write_onnx(model, contents.schema, unfinished / ONNX)
        _write_plain_files(contents, unfinished)
        manifest = PackageManifest(
            name=contents.name,
            data_schema=contents.schema,
            parts=spec.parts,
            members=spec.members,
            plugins=dict(spec.plugins),
            agreement=_differences(unfinished, spec, model, contents.rows, engines),
            score=contents.score.of(contents.schema.tasks),
            outcomes=tuple(contents.outcomes),
            provenance=dict(contents.provenance),
            files={file.name: facts_of(file) for file in sorted(unfinished.iterdir())},
            digest="",
        )
        values = manifest.model_dump(mode="json")
        _write_json(unfinished / MANIFEST, values | {"digest": digest_of(values)})
    return Package.open(folder)


def _write_plain_files(contents: Contents, folder: Path) -> None:
    contents.encoder.save(folder / "encoder.json")
    calibrations = {}
    for name, calibration in contents.calibrations.items():
        calibrations[name] = calibration.model_dump(exclude_unset=True)
    _write_json(folder / "calibration.json", calibrations)
    _write_json(folder / "policy.json", dict(contents.policy))
    _write_json(folder / "card.json", dict(contents.card))
    (folder / "README.md").write_text(contents.readme, encoding="utf-8")


def _differences(
    folder: Path,
    spec: ModelSpec,
    model: ServedModel,
    rows: tuple[Ids, Singles],
    engines: Sequence[str],
) -> dict[str, float]:
    """Engine -> its largest difference from the trained model, at most `AGREEMENT`."""
    ids = np.ascontiguousarray(rows[0])
    dense = np.ascontiguousarray(rows[1])
    with torch.inference_mode():
        conditional, joint = model(torch.from_numpy(ids), torch.from_numpy(dense))
    expected = conditional.numpy(), joint.numpy()

    differences = {}
    for name in engines:
        engine = open_engine(name, folder, spec)
        difference = max(map(_largest_difference, engine(ids, dense), expected))
        assert difference <= AGREEMENT, (
            f"{name}: predictions differ by {difference} from the trained model's"
        )
        differences[name] = difference
    return differences


def _largest_difference(predictions: Singles, expected: Singles) -> float:
    differences = np.abs(predictions - expected) / np.maximum(1, np.abs(expected))
    return float(differences.max(initial=0.0))


@dataclass(frozen=True)
class Package:
    """A verified package on disk."""

    folder: Path
    manifest: PackageManifest

    @classmethod
    def open(cls, folder: Path | str) -> Package:
        """Opens and verifies a package; raises UserError if a file is missing, changed or
        unexpected.
        """
        folder = Path(folder)
        if not (folder / MANIFEST).is_file():
            raise UserError(f"expected a packaged model with a {MANIFEST}, found none at {folder}")
        values = checked_format(PACKAGE, read_json(folder / MANIFEST), folder / MANIFEST)
        manifest = validate(PackageManifest, values, str(folder / MANIFEST))
        digest = digest_of(values)
        if digest != manifest.digest:
            raise UserError(
                f"{folder / MANIFEST}: expected values of the digest {manifest.digest[:12]}.. as "
                f"packaged, found {digest[:12]}..: it was changed or damaged"
            )
        _check_files(folder, manifest)
        return cls(folder, manifest)

    @property
    def digest(self) -> str:
        """Digest of all its contents."""
        return hashlib.sha256((self.folder / MANIFEST).read_bytes()).hexdigest()

    @property
    def schema(self) -> Schema:
        """Schema of the encoded rows and the tasks."""
        return self.manifest.data_schema

    @cached_property
    def encoder(self) -> Encoder:
        """The encoder of raw rows."""
        encoder = Encoder.load(self.folder / "encoder.json")
        schema = self.schema
        if encoder.schema_of(schema.tasks, schema.group, schema.grouped, schema.scenario) != schema:
            raise UserError(
                f"{self.folder / 'encoder.json'}: expected the inputs of {MANIFEST}, found others"
            )
        return encoder

    @property
    def card(self) -> dict[str, object]:
        """The data set's card, as plain values."""
        return self._json("card.json")

    @property
    def calibrations(self) -> dict[str, Calibration]:
        """Calibrations of predictions, by name."""
        names = all_prediction_names(self.schema.tasks)
        calibrations = {}
        for name, values in self._json("calibration.json").items():
            where = f"{self.folder / 'calibration.json'}: {name[:100]}"
            if name not in names:
                raise UserError(f"{where}: {unknown('prediction', name[:100], names)}")
            calibrations[name] = validate(Calibration, values, where)
        return calibrations

    def engine(self, name: str = "eager", threads: int = 1) -> Engine:
        """Opens an engine, see `bench.serve.engines`."""
        _ = self.encoder  # which makes the schema of the model
        return open_engine(name, self.folder, self.manifest.spec, threads)

    def scorer(
        self, engine: str = "eager", threads: int = 1, history: KeptHistory | None = None
    ) -> Scorer:
        """Makes a scorer of raw rows; `history` is for rows without their history, see
        `kept_history`.
        """
        return Scorer(
            self.schema,
            self.encoder,
            self.engine(engine, threads),
            self.calibrations,
            self.manifest.score,
            self.manifest.name,
            history,
        )

    @property
    def needed_by_history(self) -> tuple[str, ...]:
        """Raw columns that rows must have for a kept history; empty if the card has none."""
        return tuple(needed_of(self._card)) if self.card.get("history") else ()

    def kept_history(self, path: Path) -> KeptHistory:
        """Opens a file with the history of groups, by the package's card."""
        return KeptHistory(path, self._card)

    @property
    def _card(self) -> Card:
        return validate(Card, self.card, str(self.folder / "card.json"))

    def _json(self, name: str) -> dict[str, object]:
        values = read_json(self.folder / name)
        if not isinstance(values, dict):
            raise UserError(
                f"{self.folder / name}: expected an object, found {type(values).__name__}"
            )
        return values


def _check_files(folder: Path, manifest: PackageManifest) -> None:
    for path in sorted(folder.iterdir()):
        if path.name not in (*manifest.files, MANIFEST):
            raise UserError(
                f"{folder}: expected the files of its {MANIFEST} alone, found '{path.name}' "
                "beside them"
            )
    for name, expected in manifest.files.items():
        if not (folder / name).is_file():
            raise UserError(f"{folder}: expected the file '{name}' of the package, found none")
        facts = facts_of(folder / name)
        if facts != expected:
            raise UserError(
                f"{folder / name}: expected sha256 {expected.sha256[:12]}.. ({expected.size:,} "
                f"bytes) as packaged, found {facts.sha256[:12]}.. ({facts.size:,} bytes): it was "
                "changed or damaged"
            )


def digest_of(manifest: Mapping[str, object]) -> str:
    """Digest of a manifest's values except its own."""
    values = {name: value for name, value in manifest.items() if name != "digest"}
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def facts_of(file: Path) -> FileFacts:
    """Digest and size of a file."""
    with file.open("rb") as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
    return FileFacts(sha256=sha256, size=file.stat().st_size)


def _write_json(path: Path, values: Mapping[str, object]) -> None:
    path.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")


RUNS = (20, 2000)
"""Minimum and maximum number of timed calls."""
WARM = 5


@dataclass(frozen=True)
class Latency:
    """Times of one engine on batches of one size.

    `request_ms` is the median of whole requests, from raw rows to the score. `p50_ms`, `p99_ms` and
    `rows_per_s` (from the mean time) are of the model alone, from encoded rows to probabilities.
    """

    engine: str
    threads: int
    batch: int
    p50_ms: float
    p99_ms: float
    request_ms: float
    rows_per_s: float
    calls: int


def latencies(
    package: Package,
    engines: Sequence[str],
    threads: Sequence[int],
    batches: Sequence[int],
    seconds: float,
) -> list[Latency]:
    """Measures engines (by default all available) with each number of threads on batches of each
    size.

    No call of a configuration starts after `seconds`. Raises UserError for an unknown or
    unavailable engine.
    """
    example = example_rows(package.encoder)
    measured = []
    for engine in engines or available(package):
        for thread_count in threads:
            scorer = package.scorer(engine, thread_count)
            for batch in batches:
                places = np.arange(batch) % len(example)
                rows = example.iloc[places].reset_index(drop=True)
                ids, dense = scorer.encode(scorer.rows.table(rows))
                model_seconds = _times(partial(scorer.engine, ids, dense), seconds)
                request_seconds = _times(partial(scorer.predict, rows), seconds / 4)
                p50_ms, p99_ms = np.percentile(model_seconds, (50, 99)) * 1e3
                measured.append(
                    Latency(
                        engine,
                        thread_count,
                        batch,
                        float(p50_ms),
                        float(p99_ms),
                        float(np.median(request_seconds)) * 1e3,
                        batch / float(np.mean(model_seconds)),
                        len(model_seconds),
                    )
                )
    return measured


def available(package: Package) -> list[str]:
    """Engines that can run a package here."""
    has_onnx = ONNX in package.manifest.files
    has_onnx &= all(map(find_spec, ("onnxruntime", "onnx")))
    return [name for name in ENGINES if name != "onnx" or has_onnx]


def _times(run: Callable[[], object], seconds: float) -> list[float]:
    times_of(run, WARM, WARM, 0.0)
    return times_of(run, *RUNS, seconds)
