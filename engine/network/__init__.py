"""From a model folder to a classifier: load the network, learn its structure, choose the device."""
