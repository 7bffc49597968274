"""What a weights file is, which networks it holds, and which of its tensors is which of a network's (no torch)."""
