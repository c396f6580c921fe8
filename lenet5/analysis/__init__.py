"""Analysis of trained networks: metrics, receptive fields, robustness, pruning, and reading lines of digits."""
