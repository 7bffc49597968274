"""DICOM objects of an explanation: its maps, its overlays and a report, in new series of the image's own study."""
