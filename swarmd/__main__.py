"""`python -m swarmd` is `swarmd`."""

from swarmd.cli.app import main

main()
