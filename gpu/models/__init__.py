"""Model families behind one seam, `family.Family`."""
