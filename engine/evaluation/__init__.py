"""A network on labelled images: its scores with their intervals by patient, and what alterations cost it."""
