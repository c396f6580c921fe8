"""Web page on which a network reads drawn digits."""
