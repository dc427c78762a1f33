"""``python -m me2sdk.cli``."""

from me2sdk.cli import main

main()
