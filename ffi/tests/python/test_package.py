"""The package as a whole: its example, its program, what it imports and what it says of its types."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import tickfuse
from conftest import ROOT, Case

PACKAGE = Path(tickfuse.__file__).parent
ENVIRONMENT = {"PYTHONPATH": str(PACKAGE.parent)}


def python(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """A fresh interpreter that sees the package."""
    command, environment = [sys.executable, *map(str, arguments)], os.environ | ENVIRONMENT
    environment.pop("TICKFUSE_PROGRAM", None)
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def as_module(scripts: Path) -> str:
    """Code that does what `python -m tickfuse` does where programs are installed in `scripts`."""
    return (
        f"import runpy, sysconfig; sysconfig.get_path = lambda *_: {str(scripts)!r}; "
        "runpy.run_module('tickfuse', run_name='__main__')"
    )


def test_the_example_runs_and_is_the_readmes(lstm: Case) -> None:
    example = ROOT / "ffi" / "examples" / "window.py"
    done = python(example, lstm.path)
    assert done.returncode == 0, done.stderr
    told, streamed = done.stdout.splitlines()
    assert told.startswith("{'y.a': 0.") and "('one', 'one', 'one')" in told
    assert streamed.startswith("Answer(y.a=0.")
    body = example.read_text().split('"""\n', 1)[1].strip()
    assert body in (ROOT / "README.md").read_text()


def test_no_frame_library_is_imported() -> None:
    done = python(
        "-c", "import sys, tickfuse; print(*[m for m in ('pandas', 'polars', 'pyarrow', 'torch') if m in sys.modules])"
    )
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr


def test_importing_needs_no_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TICKFUSE_LIBRARY", "/nowhere.so")
    done = python("-c", "import tickfuse\ntry: tickfuse.Model('m')\nexcept tickfuse.LibraryError as e: print(e)")
    assert done.stdout.startswith("/nowhere.so: the shared library was not loaded"), done.stderr


def test_every_public_name_exists_and_is_documented() -> None:
    assert sorted(tickfuse.__all__) == list(tickfuse.__all__)
    for name in tickfuse.__all__:
        assert getattr(tickfuse, name).__doc__, name
    assert (PACKAGE / "py.typed").is_file()


@pytest.mark.skipif(os.name == "nt", reason="a shell script stands in for the program")
def test_the_module_becomes_the_program(tmp_path: Path) -> None:
    program = tmp_path / "tickfuse"
    program.write_text('#!/bin/sh\necho "$@"\nexit 2\n')
    program.chmod(0o755)
    done = python("-c", as_module(tmp_path), "inspect", "a b", "--json")
    assert (done.returncode, done.stdout) == (2, "inspect a b --json\n"), done.stderr


def test_a_program_that_is_nowhere_is_said_to_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    done = python("-c", as_module(Path("/nowhere")))
    assert done.returncode == 1
    assert done.stderr.startswith("tickfuse: expected the program tickfuse in /nowhere or /nowhere or on the search path")
