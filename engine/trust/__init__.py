"""Whether a model's code may run: inspect it, approve it, and run only the approved text."""
