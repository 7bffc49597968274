"""A faster copy of a network that gives the same answers: tracing, fusion, precision, transfer, tuning."""
