"""Augmentation of whole batches by torch, on the device that trains, drawn as albumentations draws one picture."""
