"""`python -m tickfuse` runs the program `tickfuse` that the wheel brings along."""

import os
import subprocess
import sys

from tickfuse import _program
from tickfuse.errors import ProgramError


def main() -> None:
    """Becomes the program; its exit code is this one's."""
    try:
        arguments = [_program.path(), *sys.argv[1:]]
    except ProgramError as e:
        sys.exit(f"tickfuse: {e}")
    if os.name == "nt":
        sys.exit(subprocess.run(arguments, check=False).returncode)
    os.execv(arguments[0], arguments)


if __name__ == "__main__":
    main()
