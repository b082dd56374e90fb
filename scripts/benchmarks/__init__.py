"""Measurements of the whole, by `scripts/bench`. Never part of the tests: machines are noisy."""
