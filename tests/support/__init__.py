"""Real servers, data sets and comparisons for the tests and the demo; Linux only."""
