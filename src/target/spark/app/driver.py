"""Runs a script in a given folder, as if it had been started there: drivers on a Spark cluster start in folders of their own.

    driver.py FOLDER SCRIPT ARGUMENTS
"""

import os
import runpy
import sys

folder, script = sys.argv[1:3]
os.chdir(folder)
# Output is followed while it grows.
sys.stdout.reconfigure(line_buffering=True)
sys.argv = [script, *sys.argv[3:]]
sys.path[0] = os.path.dirname(os.path.abspath(script))
runpy.run_path(script, run_name="__main__")
