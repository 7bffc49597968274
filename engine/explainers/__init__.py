"""The explanation methods: which there are, how each is set, and how each makes its map."""
