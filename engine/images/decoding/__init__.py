"""Pictures are decoded in a separate process, so that a bad one costs no more than itself."""
