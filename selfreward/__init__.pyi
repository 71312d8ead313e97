from selfreward.api import BadInput as BadInput
from selfreward.api import Recipe as Recipe
from selfreward.api import Run as Run
from selfreward.api import StageFailed as StageFailed
from selfreward.api import ask as ask
from selfreward.api import compare as compare
from selfreward.api import judge as judge
from selfreward.api import load_recipe as load_recipe
from selfreward.api import load_run as load_run
from selfreward.api import plan as plan
from selfreward.api import run as run
from selfreward.api import verify as verify

__version__: str
__all__: list[str]
