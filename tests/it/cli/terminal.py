"""Runs a command on a terminal of its own: terminal.py COLUMNS ROWS STEPS COMMAND...

STEPS is JSON: a list of [text to wait for, what to type then]. All that the terminal was sent is printed at the end, then a line
with the exit code and whether the terminal echoes and edits lines again.
"""

import fcntl
import json
import os
import pty
import select
import struct
import sys
import termios
import time

columns, rows, steps = int(sys.argv[1]), int(sys.argv[2]), json.loads(sys.argv[3])
leader, follower = pty.openpty()
fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
child = os.fork()
if child == 0:
    os.setsid()
    fcntl.ioctl(follower, termios.TIOCSCTTY, 0)
    for fd in (0, 1, 2):
        os.dup2(follower, fd)
    os.close(leader)
    os.execvp(sys.argv[4], sys.argv[4:])
seen, mark, code = b"", 0, None
until = time.monotonic() + 90
while time.monotonic() < until:
    if select.select([leader], [], [], 0.05)[0]:
        try:
            seen += os.read(leader, 65536)
        except OSError:
            pass
    if steps:
        at = seen.find(steps[0][0].encode(), mark)
        if at >= 0:
            mark = at + len(steps[0][0].encode())
            os.write(leader, steps[0][1].encode())
            steps.pop(0)
    if code is None:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            code = os.waitstatus_to_exitcode(status)
            until = min(until, time.monotonic() + 0.5)
if code is None:
    os.kill(child, 9)
modes = termios.tcgetattr(follower)[3]
cooked = bool(modes & termios.ICANON) and bool(modes & termios.ECHO)
sys.stdout.buffer.write(seen)
print(f"\n[code {code}, cooked {str(cooked).lower()}, steps left {len(steps)}]")
