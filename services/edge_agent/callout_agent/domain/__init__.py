"""What the agent decides: pure, so that it can be tried without clock, disk or network."""
