"""Puts the shared library and the program into the wheel: `pip wheel --no-deps ffi/python`.

Both are built by cargo in release mode. TICKFUSE_WHEEL_PROGRAM=0 leaves the program out. The wheel serves every Python 3
of its platform, on Linux from the C library on whose symbols the two need.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

WORKSPACE = Path(__file__).resolve().parents[2]


class Hook(BuildHookInterface[Any]):
    """What hatchling runs before it packs."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Names the built files and the platform."""
        self.folder = Path(tempfile.mkdtemp())
        # As ffi/install.sh does, which says why.
        alone = ["--lib", "--crate-type=cdylib", "--", "-C", "llvm-args=-inline-threshold=25"]
        library = self.bare(_built("rustc", "tickfuse-ffi", alone, {".so", ".dylib", ".dll"}))
        build_data["force_include"][str(library)] = f"tickfuse/{library.name}"
        binaries = [library]
        if os.environ.get("TICKFUSE_WHEEL_PROGRAM", "1") != "0":
            program = self.bare(_built("build", "tickfuse-train", ["--bin=tickfuse"], {"", ".exe"}))
            build_data["shared_scripts"][str(program)] = program.name
            binaries.append(program)
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{platform(binaries)}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Removes the copies."""
        shutil.rmtree(self.folder)

    def bare(self, binary: Path) -> Path:
        """A copy without what only debuggers read, where the system has a `strip`."""
        copy = Path(shutil.copy(binary, self.folder))
        if shutil.which("strip"):
            subprocess.run(["strip", "--strip-unneeded" if sys.platform == "linux" else "-S", copy], check=True)
        return copy


def _built(command: str, package: str, target: list[str], suffixes: set[str]) -> Path:
    """The file with one of these suffixes that a command of cargo makes of a target."""
    options = ["--release", "--package", package, "--message-format", "json-render-diagnostics", *target]
    done = subprocess.run(["cargo", command, *options], cwd=WORKSPACE, stdout=subprocess.PIPE, check=True, text=True)
    messages = [json.loads(line) for line in done.stdout.splitlines()]
    made = [m for m in messages if m["reason"] == "compiler-artifact" and m["target"]["name"] == "tickfuse"]
    return next(Path(f) for m in made for f in m["filenames"] if Path(f).suffix in suffixes)


def platform(binaries: list[Path]) -> str:
    """The platform's tag; on Linux with glibc, the oldest manylinux that has the symbols needed."""
    name = sysconfig.get_platform().replace("-", "_").replace(".", "_")
    versions = [m for b in binaries for m in re.findall(rb"GLIBC_2\.(\d+)\0", b.read_bytes())]
    if not (sys.platform == "linux" and versions):
        return name
    return name.replace("linux_", f"manylinux_2_{max(17, *map(int, versions))}_", 1)
