"""Build a web page on which a network reads drawn digits."""
