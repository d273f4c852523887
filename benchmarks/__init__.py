"""Benchmarks: what fitting, simulating and reporting cost, beside yardsticks of the same run."""
