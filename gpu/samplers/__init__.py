"""Samplers as tables of coefficients, probed from diffusers' own schedulers."""
