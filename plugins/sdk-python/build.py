"""Builds a handler into a component: ``python build.py FOLDER WIT OUT``.

FOLDER contains ``handler.py``; WIT is the folder of the contract. The interpreter that runs this must be that of the virtual
environment in which toolchain.txt is installed, because its other programs are used.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import release
import tzdata


def build(folder: Path, wit: Path, out: Path) -> None:
    """Builds the handler in a folder."""
    sdk = Path(__file__).resolve().parent
    compiler = Path(sys.executable).parent / "componentize-py"
    with tempfile.TemporaryDirectory() as temporary:
        component = Path(temporary) / "handler.wasm"
        (Path(temporary) / "eventos_zones.py").write_text(zones())
        # With WASI, which the daemon satisfies: without it, `print` would trap. `eventos.component` is the SDK's module with
        # the exports; it imports the author's `handler`.
        command = [compiler, "-d", wit, "-w", "handler", "componentize", "-p", sdk, "-p", folder, "-p", temporary]
        command += ["eventos.component", "-o", component]
        # Leaves no compiled files among the sources.
        subprocess.run(command, check=True, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"})
        out.write_bytes(release.patch(component.read_bytes()))


def zones() -> str:
    """Returns the source of a module with the data of all time zones, which a handler cannot read from files."""
    package = Path(tzdata.__file__).parent
    names = (package / "zones").read_text().split()
    files = {name: (package / "zoneinfo" / name).read_bytes() for name in names}
    # Many zones are other names of one, so each content is in memory once.
    contents = list(dict.fromkeys(files.values()))
    index = {content: i for i, content in enumerate(contents)}
    places = {name: index[content] for name, content in files.items()}
    return f"_CONTENTS = {contents!r}\nZONES = {{name: _CONTENTS[i] for name, i in {places!r}.items()}}\n"


def main() -> int:
    """Runs the program; returns its exit code."""
    if len(sys.argv) != 4:
        print("usage: python build.py FOLDER WIT OUT", file=sys.stderr)
        return 2
    folder, wit, out = map(Path, sys.argv[1:])
    try:
        build(folder, wit, out)
    except (OSError, subprocess.CalledProcessError, release.Unsupported) as error:
        print(f"error: cannot build a handler from {folder}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
