"""Test whether a map can be believed: the exact cells, and four questions about every map."""
