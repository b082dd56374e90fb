"""Which jobs take the next denoising step. Pure: no torch, no clock, no I/O, no threads."""
