"""A package of the workspace, whose modules lead to each other in a circle."""

from . import rows
from .rows import Row

VERSION = "one"
