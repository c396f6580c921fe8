"""Build a web page on which a network recognises drawn digits."""
