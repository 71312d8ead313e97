"""Taking things along from a run: a model as a folder of transformers, records as data of other trainers, both to the hub.

Nothing is sent anywhere but by `hub.push`, which is called when a person asks for it.
"""

from selfreward.export.data import WHATS, export_data
from selfreward.export.formats import FORMATS
from selfreward.export.model import export_model

__all__ = ["FORMATS", "WHATS", "export_data", "export_model"]
