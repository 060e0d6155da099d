"""Starts a scheduler or workers inside a container: `src/backends/docker/members.ts` is its other side."""

import os
import sys

if __name__ == "__main__":
    here = os.path.dirname(os.path.abspath(__file__))
    from flow_clusters import member

    sys.path[:] = [path for path in sys.path if os.path.abspath(path or ".") != here]  # the user's own, as elsewhere
    sys.exit(member.main(sys.argv[1], here))
