"""Speed of lenet5 beside other libraries: ``python -m benchmarks``."""
