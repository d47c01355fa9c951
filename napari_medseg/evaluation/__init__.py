"""How good a mask is, and how big what it shows."""
