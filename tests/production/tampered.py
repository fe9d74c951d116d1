"""Packages that somebody changed, with digests to match, so that only what they hold gives them away."""

import json
import shutil

from bench.production.package import digest_of, facts_of


def tampered(package, into, name, change):
    """A copy of a package with the JSON of one file changed, in place or replaced, and its digest made right."""
    shutil.copytree(package, into)
    (into / name).write_bytes(edited((into / name).read_bytes(), change))
    sign(into)
    return into


def edited(contents, change):
    values = json.loads(contents)
    given = change(values)
    values = values if given is None else given
    return values if isinstance(values, bytes) else json.dumps(values).encode()


def sign(folder):
    """Makes the manifest's digests those of the files and its own; where it has no list of files, it stays."""
    try:
        manifest = json.loads((folder / "manifest.json").read_bytes())
        for name in manifest["files"]:
            manifest["files"][name] = facts_of(folder / name).model_dump()
        manifest["digest"] = digest_of(manifest)
    except (ValueError, KeyError, TypeError, RecursionError, FileNotFoundError):
        return
    (folder / "manifest.json").write_text(json.dumps(manifest))
