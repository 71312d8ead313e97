"""Seeds: the human data a run starts from (`load`), and the EFT seed that is built from its ranked part (`eft`).

`rows` opens files, folders and hub data sets, `forms/` knows what their columns mean, `reading` turns the one into the other,
`choosing` says which of it is used, and `data` puts the parts together.
"""

from selfreward.seeds.eft import agrees, build_eft
from selfreward.seeds.load import Seeds, load_seeds, write_seeds

__all__ = ["Seeds", "agrees", "build_eft", "load_seeds", "write_seeds"]
