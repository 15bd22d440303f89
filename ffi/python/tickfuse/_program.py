"""The program `tickfuse`: found, run, its refusals raised."""

import collections
import json
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tickfuse.errors import ProgramError

ENVIRONMENT = "TICKFUSE_PROGRAM"
N_KEPT_LINES = 20


def path() -> str:
    """`TICKFUSE_PROGRAM`, else the program beside this interpreter, else the one on the search path."""
    named = os.environ.get(ENVIRONMENT)
    if named:
        return named
    name = "tickfuse" + (".exe" if os.name == "nt" else "")
    schemes = [sysconfig.get_path("scripts"), sysconfig.get_path("scripts", sysconfig.get_preferred_scheme("user"))]
    for folder in schemes:
        if (Path(folder) / name).is_file():
            return str(Path(folder) / name)
    found = shutil.which(name)
    if found is None:
        raise ProgramError(f"expected the program {name} in {' or '.join(schemes)} or on the search path, found none")
    return found


def document(arguments: Sequence[str | os.PathLike[str]], show: bool = False) -> Any:
    """Runs the program with `--json` and reads what it prints; `show` passes its progress on to standard error.

    An interrupt is passed on too, so that the program ends in order, and raised when it has.
    """
    command = [path(), *(os.fspath(a) for a in arguments), "--json"]
    with tempfile.TemporaryFile() as out:
        try:
            process = subprocess.Popen(command, stdout=out, stderr=subprocess.PIPE, text=True, errors="replace")
        except OSError as e:
            raise ProgramError(f"{command[0]}: {e}") from None
        with process:
            kept = _follow(process, show)
        if process.returncode:
            raise ProgramError(f"{' '.join(command[:3])}: {kept or 'it said nothing'}", exit_code=process.returncode)
        out.seek(0)
        return json.load(out)


def _follow(process: "subprocess.Popen[str]", show: bool) -> str:
    """Reads standard error to its end; returns the last lines."""
    kept: collections.deque[str] = collections.deque(maxlen=N_KEPT_LINES)
    assert process.stderr is not None
    try:
        for line in process.stderr:
            kept.append(line)
            if show:
                sys.stderr.write(line)
    except KeyboardInterrupt:
        process.send_signal(signal.SIGINT)
        process.wait()
        raise
    process.wait()
    told = "".join(kept)
    return told[told.rfind("tickfuse: ") :].removeprefix("tickfuse: ").strip() if "tickfuse: " in told else told.strip()
