"""Whether a model's code may run: inspection, approvals, permission, and running it on its own."""
