"""`python -m tickfuse` runs the program `tickfuse` that the wheel brings along."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path


def program() -> str:
    """The program beside this interpreter, else the one on the search path."""
    name = "tickfuse" + (".exe" if os.name == "nt" else "")
    schemes = [sysconfig.get_path("scripts"), sysconfig.get_path("scripts", sysconfig.get_preferred_scheme("user"))]
    for folder in schemes:
        if (Path(folder) / name).is_file():
            return str(Path(folder) / name)
    found = shutil.which(name)
    if found is None:
        sys.exit(f"tickfuse: expected the program {name} in {' or '.join(schemes)} or on the search path, found none")
    return found


def main() -> None:
    """Becomes the program; its exit code is this one's."""
    arguments = [program(), *sys.argv[1:]]
    if os.name == "nt":
        sys.exit(subprocess.run(arguments, check=False).returncode)
    os.execv(arguments[0], arguments)


if __name__ == "__main__":
    main()
