"""What takes too long for a test: kills by the hundred, a server that runs for long, power cuts at every write."""
