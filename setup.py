"""Maps the content folders into the package, so that an installed wheel carries them; the rest is
in pyproject.toml.
"""

import warnings
from pathlib import Path

from setuptools import find_packages, setup

# Said of each package that lies beside its setup.py; here the folder of that name is the package
# itself.
warnings.filterwarnings("ignore", "Editable installation")

CONTENT = ("datasets", "search_spaces", "reports")
SUFFIXES = (".toml", ".md")

packages = find_packages(include=["bench", "bench.*"])
package_dir = {}
package_data = {"bench": ["py.typed"], "bench.app.report": ["assets/*"]}
for kind in CONTENT:
    folders = [Path(kind), *sorted(path for path in Path(kind).rglob("*") if path.is_dir())]
    for folder in folders:
        if any(file.suffix in SUFFIXES for file in folder.iterdir()):
            name = ".".join(["bench", "_content", *folder.parts])
            packages.append(name)
            package_dir[name] = str(folder)
            package_data[name] = [f"*{suffix}" for suffix in SUFFIXES]
            if (folder / "suite.toml").is_file():
                package_data[name].append("table.parquet")  # the rows of a reference

setup(py_modules=["seesaw"], packages=packages, package_dir=package_dir, package_data=package_data)
