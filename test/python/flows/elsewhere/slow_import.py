"""Its import takes for ever, and has started something by then."""

import subprocess

subprocess.run(["sleep", "600"])
