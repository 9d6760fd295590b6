"""What is served: each item of a plugin bound to its wire form, and the immutable catalog of one generation."""
