"""Runs a command and measures what it takes: time, memory, disk, and how long it says nothing."""

import os
import signal
import subprocess
import threading
import time


def processes_under(root):
    """A process and its descendants."""
    parents = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat") as file:
                parents[int(name)] = int(file.read().rpartition(")")[2].split()[1])
        except OSError:
            continue  # it has ended
    found = [root]
    for process in found:
        found += [child for child, parent in parents.items() if parent == process]
    return found


def resident(process):
    """Resident bytes of a process: its own, and those of mapped files."""
    fields = {}
    try:
        with open(f"/proc/{process}/status") as file:
            for line in file:
                name, _, value = line.partition(":")
                if name.startswith("Rss"):
                    fields[name] = int(value.split()[0]) * 1024
    except OSError:
        pass  # it has ended
    return fields.get("RssAnon", 0) + fields.get("RssShmem", 0), fields.get("RssFile", 0)


def mapping(process, ending):
    """Of a process's mappings of files with this ending: bytes mapped, resident, and copied (private and changed)."""
    sizes = {"Size": 0, "Rss": 0, "Private_Dirty": 0}
    inside = False
    try:
        with open(f"/proc/{process}/smaps") as file:
            for line in file:
                words = line.split()
                if "-" in words[0]:
                    inside = words[-1].endswith(ending)
                elif inside and words[0][:-1] in sizes:
                    sizes[words[0][:-1]] += int(words[1]) * 1024
    except OSError:
        pass  # it has ended
    return sizes


def disk_use(*folders):
    total = 0
    for folder in folders:
        for place, _, names in os.walk(folder):
            for name in names:
                try:
                    total += os.lstat(os.path.join(place, name)).st_blocks * 512
                except OSError:
                    continue  # it was removed
    return total


class Footprint:
    """
    What a command took, all of its processes together: `seconds`; `own`, `resident` and `disk`, bytes at most;
    `silence`, the longest time in seconds without a line on stderr; `output`, its standard output; `mapped`, of its
    mappings of files with the ending `watch`. `stop` says when to kill it, as SIGKILL does; `killed`, whether it did.
    """

    def __init__(self, command, folders=(), environment=None, watch=None, stop=lambda: False, period=0.2):
        self.own = self.resident = self.disk = 0
        self.silence = 0.0
        self.killed = False
        self.mapped = {"Size": 0, "Rss": 0, "Private_Dirty": 0}
        self.messages = []
        began = self.heard = time.monotonic()
        child = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
        )
        readers = [threading.Thread(target=one, args=(child,)) for one in (self._read_output, self._listen)]
        for reader in readers:
            reader.start()
        while child.poll() is None:
            self._sample(child.pid, folders, watch)
            if stop():
                os.killpg(child.pid, signal.SIGKILL)
                self.killed = True
            time.sleep(period)
        self.seconds = time.monotonic() - began
        for reader in readers:
            reader.join()
        if child.returncode != 0 and not self.killed:
            raise SystemExit(f"{' '.join(command)} ended with {child.returncode}\n" + "".join(self.messages))

    def _read_output(self, child):
        self.output = child.stdout.read()

    def _listen(self, child):
        for line in child.stderr:
            now = time.monotonic()
            self.silence = max(self.silence, now - self.heard)
            self.heard = now
            self.messages.append(line)

    def _sample(self, root, folders, watch):
        processes = processes_under(root)
        sizes = [resident(process) for process in processes]
        self.own = max(self.own, sum(own for own, _ in sizes))
        self.resident = max(self.resident, sum(own + files for own, files in sizes))
        self.disk = max(self.disk, disk_use(*folders))
        if watch is not None:
            for process in processes:
                for name, size in mapping(process, watch).items():
                    self.mapped[name] = max(self.mapped[name], size)
