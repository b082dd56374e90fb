"""Ways of serving pictures, on the same weights: ours and its rivals, behind one interface."""
