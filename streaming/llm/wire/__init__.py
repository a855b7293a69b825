"""HTTP/1.1 to a model, from its address to the pieces of an answer's body."""
