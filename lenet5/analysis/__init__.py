"""Analysis of trained networks: metrics, committees, receptive fields, robustness, pruning, and lines of digits."""
