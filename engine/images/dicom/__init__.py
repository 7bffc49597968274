"""DICOM images: found by content, decoded apart, shown by their window; nothing that names a patient leaves them."""
