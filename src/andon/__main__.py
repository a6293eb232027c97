"""`python -m andon`, the same as `andon`."""

import sys

from andon.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
