"""A local page on which one draws a digit and watches the network read it."""
