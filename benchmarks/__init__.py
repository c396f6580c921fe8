"""Benchmarks. ``python -m benchmarks`` compares the speed of lenet5 with that of other libraries."""
