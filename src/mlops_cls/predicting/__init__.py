"""What the predict verb is made of: which pictures, their answers in a stream, and where those are written."""
