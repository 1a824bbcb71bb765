"""Checks that take too long for a test: hundreds of kills, a long run, power cuts at every write."""
