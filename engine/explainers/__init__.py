"""The explanation methods, one file each, over one masked-forward loop."""
