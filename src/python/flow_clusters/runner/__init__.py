"""One process runs one unmodified flow on the address of a scheduler."""
