"""`python -m selfreward.cli`: the command where it is not installed."""

from selfreward.cli import main

main()
