"""What is served: the wire form of each item of a plugin, and the immutable catalog of one generation."""
