"""`python -m safeboundary_lint`."""

import sys

from safeboundary_lint.cli import main

if __name__ == "__main__":
    sys.exit(main())
