"""The game of the lesson: only what you have built may be used. `from groundup import game`.

`table` holds the rules, `names` finds the public name of running code, `rules` stands at the door,
`inputs`, `trials` and `contracts` say what is tried, `compare` finds the smallest difference,
`tree` draws. Must not know notebooks.
"""

from groundup.notebook.game.compare import Disagreement
from groundup.notebook.game.play import Game, GameError, Unlocked, game
from groundup.notebook.game.rules import NotBuiltYet

__all__ = ["Disagreement", "Game", "GameError", "NotBuiltYet", "Unlocked", "game"]
