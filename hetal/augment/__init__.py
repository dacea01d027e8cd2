"""Strong augmentation of images, and its operations."""

from hetal.augment.strong import Strong

__all__ = ["Strong"]
