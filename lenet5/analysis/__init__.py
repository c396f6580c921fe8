"""What to find out about a trained network: figures, receptive fields, robustness, and a sweep along a line."""
