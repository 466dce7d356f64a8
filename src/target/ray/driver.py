"""Takes attempts from a folder and runs each as a Ray task: what overdrive submits as one job instead of a job per trial.

    python3 driver.py FOLDER PROGRAM NEEDS

FOLDER/queue holds a file per attempt, whose content is the attempt's folder and whose name sorts by trial; FOLDER/taken holds those
that were made tasks. PROGRAM is overdrive, NEEDS what a task asks Ray for, as JSON. The driver ends when FOLDER/stop is there, or
when nothing came for a while. When a task is over, whatever way, what came of it is written to the file `ended` in the attempt's folder.
"""

import ctypes
import json
import os
import signal
import subprocess
import sys
import time

import ray

IDLE = 60.0  # seconds without work after which the driver ends
PARENT_DIES = 1  # PR_SET_PDEATHSIG of prctl(2)


def die_with_worker():
    """Of the child: Ray kills the worker of a task whose driver is gone, and the runner must go with it."""
    ctypes.CDLL(None).prctl(PARENT_DIES, signal.SIGKILL)


@ray.remote(max_retries=0)
def execute(program, attempt):
    """Runs one attempt to its end; what came of it is in its journal."""
    log = os.path.join(attempt, "runner.log")
    # A runner that is told to end is told so by somebody who stopped the job.
    environment = dict(os.environ, OVERDRIVE_TERM_CANCELS="1")
    with open(log, "wb") as errors:
        return subprocess.run(
            [program, "runner", attempt],
            cwd=attempt,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            preexec_fn=die_with_worker,
            check=False,
        ).returncode


def names(folder):
    """Files of a folder, the oldest trial first; drafts are left out."""
    return sorted(name for name in os.listdir(folder) if not name.startswith("."))


def tell(attempt, word):
    """Writes what came of a task, whole or not at all, to a folder that may be gone by then."""
    draft = os.path.join(attempt, "ended.new")
    try:
        with open(draft, "w", encoding="utf-8") as file:
            file.write(word)
        os.replace(draft, os.path.join(attempt, "ended"))
    except OSError as error:
        print(f"{attempt}: {error}", file=sys.stderr)


class Driver:
    """The loop."""

    def __init__(self, folder, program, needs):
        self.folder = folder
        self.program = program
        self.needs = needs
        self.queue = os.path.join(folder, "queue")
        self.taken = os.path.join(folder, "taken")
        self.tasks = {}
        # What an earlier driver took and nobody began.
        for name in names(self.taken):
            self.begin(os.path.join(self.taken, name))

    def begin(self, entry):
        """Makes a task of a file in `taken`."""
        if any(entry == known for known, _ in self.tasks.values()):
            return  # put there a second time by a controller that did not know
        with open(entry, encoding="utf-8", errors="surrogateescape") as file:
            attempt = file.read()
        if os.path.exists(os.path.join(attempt, "claim")):
            os.remove(entry)
            return
        task = execute.options(**self.needs).remote(self.program, attempt)
        self.tasks[task] = entry, attempt

    def take(self):
        """Makes tasks of all that lies in the queue."""
        for name in names(self.queue):
            entry = os.path.join(self.taken, name)
            try:
                os.rename(os.path.join(self.queue, name), entry)
            except FileNotFoundError:
                continue  # it was taken back
            self.begin(entry)

    def collect(self):
        """Tells of the tasks that are over."""
        over, _ = ray.wait(list(self.tasks), num_returns=len(self.tasks), timeout=0)
        if not over:
            over, _ = ray.wait(list(self.tasks), num_returns=1, timeout=0.02)
        for task in over:
            entry, attempt = self.tasks.pop(task)
            try:
                word = f"ended with code {ray.get(task)}"
            except Exception as error:  # whatever Ray tells of a task that died with its node
                lines = str(error).strip().splitlines() or [type(error).__name__]
                word = f"lost: {lines[0][:300]}"
            tell(attempt, word)
            os.remove(entry)

    def run(self):
        """Until nothing is wanted any more."""
        since = time.monotonic()
        while True:
            self.take()
            if self.tasks:
                since = time.monotonic()
                self.collect()
            elif os.path.exists(os.path.join(self.folder, "stop")) or time.monotonic() - since > IDLE:
                return
            else:
                time.sleep(0.02)


def main():
    """Begins."""
    folder, program, needs = sys.argv[1:4]
    ray.init(address="auto", log_to_driver=False)
    Driver(folder, program, json.loads(needs)).run()


if __name__ == "__main__":
    main()
