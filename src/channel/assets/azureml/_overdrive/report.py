"""The report file: one JSON object a line, appended with one `write` each; read by the runner on the same machine.

Lines must stay below 4096 bytes, so that appends of several processes never mix; a longer one goes to a file of its own in the
folder `<report file>.d` and the line names it: {"side": "<file name>"}.
"""
import io
import json
import os
import sys
import time

LINE_BYTES = 4096


def plain(value):
    """JSON form of a value: NaN and infinities as text, anything unknown by its repr."""
    if isinstance(value, float):
        if value != value:
            return "NaN"
        if value in (float("inf"), float("-inf")):
            return "Infinity" if value > 0 else "-Infinity"
        return value
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return repr(value)


def number(value):
    """The other way round: the three words become floats again."""
    if isinstance(value, str) and value in ("NaN", "Infinity", "-Infinity"):
        return float(value.replace("Infinity", "inf"))
    return value


class Ledger(object):
    """An append-only file of JSON lines."""

    _warned = False

    def __init__(self, path):
        self.path = path

    def append(self, *records):
        """Appends records in order. A disk that refuses is told once on standard error; the script goes on."""
        try:
            self._append([self._line(record) for record in records])
        except (IOError, OSError) as error:
            if not Ledger._warned:
                Ledger._warned = True
                sys.stderr.write("overdrive: cannot append to %s: %s\n" % (self.path, error))

    def _line(self, record):
        text = json.dumps(plain(record), sort_keys=False)
        data = text.encode("utf-8") + b"\n"
        if len(data) < LINE_BYTES:
            return data
        folder = self.path + ".d"
        os.makedirs(folder, exist_ok=True)
        name = "%d-%d.json" % (os.getpid(), time.time() * 1e9)
        temporary = os.path.join(folder, "." + name)
        with open(temporary, "wb") as file:
            file.write(data)
        os.rename(temporary, os.path.join(folder, name))
        return json.dumps({"side": name}).encode("utf-8") + b"\n"

    def _append(self, lines):
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_CLOEXEC", 0)
        descriptor = os.open(self.path, flags, 0o600)
        try:
            block = b""
            for line in lines:
                if block and len(block) + len(line) > LINE_BYTES:
                    _write(descriptor, block)
                    block = b""
                block += line
            if block:
                _write(descriptor, block)
        finally:
            os.close(descriptor)

    def read(self):
        """All whole records so far; a line that does not parse is passed over."""
        try:
            with io.open(self.path, "rb") as file:
                data = file.read()
        except (IOError, OSError):
            return
        for line in data.split(b"\n")[:-1]:
            record = _parse(line)
            if record is not None and "side" in record:
                try:
                    with io.open(os.path.join(self.path + ".d", os.path.basename(record["side"])), "rb") as file:
                        record = _parse(file.read())
                except (IOError, OSError):
                    record = None
            if record is not None:
                yield record


def _parse(line):
    try:
        record = json.loads(line.decode("utf-8"))
    except ValueError:
        return None
    return record if isinstance(record, dict) else None


def _write(descriptor, data):
    """One write; the rest of a short one (full disk that recovers) follows."""
    while data:
        data = data[os.write(descriptor, data):]
