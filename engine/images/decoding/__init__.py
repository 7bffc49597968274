"""Pictures decoded in a separate process: client, worker, protocol, opening, pixels, budget."""
