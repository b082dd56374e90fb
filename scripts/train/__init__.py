"""Trains the embedded model from nothing: drawn scenes, captions, autoencoder, text, UNet.

Nothing outside this package is read: the data is drawn here. The package knows nothing of the
studio or of the engine; its product is a folder that stock diffusers loads.
"""
