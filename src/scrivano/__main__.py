"""`python -m scrivano` is `scrivano`."""

from scrivano.cli import main

main()
