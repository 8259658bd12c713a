"""`python -m scripts COMMAND ...` is the command `twostream COMMAND ...`."""

import sys

from scripts.cli import main

sys.exit(main())
