"""Runs a script in a given folder, as if it had been started there: drivers on a Spark cluster start in folders of their own.

    driver.py FOLDER SCRIPT ARGUMENTS
"""

import os
import runpy
import signal
import sys
import threading
import time



def end_with(parent):
    """Spark kills the process that started this one, and not this one."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(10)
    os.kill(os.getpid(), signal.SIGKILL)


threading.Thread(target=end_with, args=(os.getppid(),), daemon=True).start()
folder, script = sys.argv[1:3]
os.chdir(folder)
# Output is followed while it grows.
sys.stdout.reconfigure(line_buffering=True)
sys.argv = [script, *sys.argv[3:]]
sys.path[0] = os.path.dirname(os.path.abspath(script))
runpy.run_path(script, run_name="__main__")
