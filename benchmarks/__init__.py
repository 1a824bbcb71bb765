"""Measurements of running servers, ours and others; `make bench` prints them. No measurement is part of the tests."""
