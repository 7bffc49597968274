"""A network's layers: one pass as a graph, what each tensor's axes are, and the layer the CAMs look at."""
