"""Writes the generated parts of the docs, or checks that they are up to date (`--check`)."""

import sys
from pathlib import Path

from andon.model.diagrams import states_page
from andon.rules.github_permissions import permissions_page
from andon.rules.rescue_page import rescue_page

DOCS = Path(__file__).parent
PAGES = {"states.md": states_page, "permissions.md": permissions_page, "rescue.md": rescue_page}


def main() -> int:
    """Exit code 1 when `--check` finds a page that differs."""
    stale = False
    for name, make in PAGES.items():
        path, text = DOCS / name, make()
        if "--check" not in sys.argv:
            path.write_text(text, encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != text:
            print(f"docs/{name} is not what the tables say. Run: make docs", file=sys.stderr)
            stale = True
    return int(stale)


if __name__ == "__main__":
    sys.exit(main())
