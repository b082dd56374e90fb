"""The GPU side of Atelier: one worker process that batches single denoising steps."""
