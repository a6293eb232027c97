"""`tally [FILE...]`: counts the files, or standard input."""

import sys
from pathlib import Path

from .report import report


def run() -> None:
    """Prints one report for all files together."""
    files = sys.argv[1:]
    try:
        text = "".join(Path(name).read_text(encoding="utf-8") for name in files) if files else sys.stdin.read()
    except (OSError, UnicodeDecodeError) as error:
        sys.exit(f"tally: {error}")
    sys.stdout.write(report(text))


if __name__ == "__main__":
    run()
