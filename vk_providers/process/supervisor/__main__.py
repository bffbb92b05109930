"""Start of the supervisor; in: the pod's folder as the only argument. See `start`.

Run as a folder, this file belongs to no package and its folder is the first entry of ``sys.path``,
where its module names could shadow those of the standard library. Both are corrected here.
"""

import importlib
import sys

if __name__ == "__main__":
    folder = sys.path.pop(0)
    sys.path.insert(0, folder + "/..")
    start = importlib.import_module("supervisor.start")
    del sys.path[0]
    sys.exit(start.main(sys.argv[1]))
