"""Whether a picture's data is whole: decoders fill up what is lost, mostly without a word."""
