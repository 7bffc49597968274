"""NIfTI volumes: found by content, unpacked apart, cut into slices that lie as radiologists expect them."""
