"""What a noise setting does to data: numbers, tables of them, and a picture of rows."""

from hetal.noise.show.corrupted import Corrupted, corrupted_by
from hetal.noise.show.counts import Counts, count
from hetal.noise.show.picture import save_picture
from hetal.noise.show.tables import show

__all__ = ["Corrupted", "Counts", "corrupted_by", "count", "save_picture", "show"]
