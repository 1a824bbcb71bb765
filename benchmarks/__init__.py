"""Measurements of a running server; `make bench` prints them. Never part of the tests."""
