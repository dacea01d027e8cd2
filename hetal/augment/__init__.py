"""Strong augmentation of images: `Strong`, and the operations that it draws from."""

from hetal.augment.strong import Strong

__all__ = ["Strong"]
