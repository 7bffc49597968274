"""The Textual app: what a person sees. No arithmetic on saliency here, and no torch at import."""
