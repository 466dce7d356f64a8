"""The endpoint is gone: the call fails within the time that the exported settings allow."""
import time

import mlflow

start = time.time()
try:
    mlflow.log_metric("acc", 0.5)
except Exception as error:
    print("failed after %.1f seconds: %s" % (time.time() - start, type(error).__name__))
else:
    raise AssertionError("nobody listens, yet it was logged")
assert time.time() - start < 30
import atexit
import os

os._exit(0)
