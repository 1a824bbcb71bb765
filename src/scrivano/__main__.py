"""`python -m scrivano` is `scrivano`."""

from scrivano.cli.app import main

main()
