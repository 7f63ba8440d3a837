"""Builds a model of a published shape, as one command, and measures what that takes.

    python3 true_size.py gptj-6b --work DIR [--targets cpu,mi300x] [--gsic "npx gsic"] [--repeat 3] [--keep]

Writes the checkpoint (make_model.py; planted spectra where numpy is there), builds it for every target, builds it
for the first target again, kills that build twice, lets it go on, compares the bundle's hash with that of the first,
runs the build for the CPU, measures it (`gsic bench`), and prints a table and, with --json, all figures. Memory is the largest sum over the
build and its children, in steps of 0.2 s; disk is the output's folder and the temporary one together. Ends with code
1 where a build takes more than 6 GiB of resident memory, copies its weights, or loses bytes by being killed. Removes
what it made but the model, unless --keep.
"""

import argparse
import hashlib
import importlib.util
import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from footprint import Footprint

HERE = Path(__file__).resolve().parent
MOST_MEMORY = 6 * 2**30
CONFIG = '[model]\nname = "model"\nsource = "model"\n\n[quality]\nmode = "exact"\n'


def say(text):
    print(text, file=sys.stderr, flush=True)


class Measurement:
    """The folders and commands of one model."""

    def __init__(self, options):
        self.options = options
        self.work = Path(options.work).resolve() / options.shape
        self.builds, self.temporary = self.work / "build", self.work / "tmp"
        self.gsic = shlex.split(options.gsic)

    def make_model(self):
        self.temporary.mkdir(parents=True, exist_ok=True)
        (self.work / "model.toml").write_text(CONFIG)
        if (self.work / "model/config.json").exists():
            return  # make_model.py writes it last
        planted = ["--planted"] if importlib.util.find_spec("numpy") else []
        command = [sys.executable, str(HERE / "make_model.py"), self.options.shape, *planted]
        subprocess.run([*command, "--out", str(self.work / "model")], check=True)

    def build(self, target, **more):
        targets = [] if target == "cpu" else ["--target", target]
        out = ["--out", str(self.builds / target)]
        command = [*self.gsic, "build", str(self.work / "model.toml"), "--mode", "exact", *targets, *out, "--json"]
        folders = (self.builds / target, self.staging(target), self.temporary)
        return Footprint(command, folders, {"TMPDIR": str(self.temporary)}, **more)

    def staging(self, target):
        return self.builds / f".{target}.staging"

    def bundle(self, target):
        return self.builds / target / "model.gsi"

    def digest(self, target):
        hashed = hashlib.blake2b()
        with open(self.bundle(target), "rb") as file:
            while block := file.read(1 << 24):
                hashed.update(block)
        return hashed.hexdigest()

    def clear(self, target):
        for folder in (self.builds / target, self.staging(target)):
            shutil.rmtree(folder, ignore_errors=True)

    def measure_build(self, target):
        say(f"building for {target}")
        self.clear(target)
        taken = self.build(target)
        report = json.loads(taken.output)
        check = report["self_check"]
        return {
            "seconds": taken.seconds,
            "resident_bytes": taken.resident,
            "own_bytes": taken.own,
            "disk_bytes": taken.disk,
            "bundle_bytes": self.bundle(target).stat().st_size,
            "longest_silence_seconds": taken.silence,
            "error": check["exactError"],
            "layers_checked": check["layers"],
            "tiles_checked": check["tiles_compared"],
            "launches": report["launches_per_token"]["exact"],
            "predicted_seconds": report["predicted_seconds_per_token"]["dense"],
        }

    def measure_kills(self, target):
        """A build that is killed at a third and at two thirds of its output, against the one that was not."""
        whole, digest = self.bundle(target).stat().st_size, self.digest(target)
        self.clear(target)
        growing = self.staging(target) / "model.gsi"
        at = []
        for part in (1 / 3, 2 / 3):
            reached = lambda: growing.exists() and growing.stat().st_blocks * 512 >= part * whole
            if self.build(target, stop=reached, period=0.02).killed:
                at.append(growing.stat().st_size)
        say(f"killed at {', '.join(f'{size / 1e9:.2f} GB' for size in at)}; going on")
        taken = self.build(target)
        same = self.digest(target) == digest
        return {"killed_at_bytes": at, "resumed_seconds": taken.seconds, "same_bytes": same}

    def measure_run(self):
        say("running")
        command = [*self.gsic, "run", str(self.builds / "cpu"), "--ids", "1,2,3,4", "--tokens", "16", "--json"]
        taken = Footprint(command, watch=".gsi", period=0.05)
        mapped = taken.mapped
        return {
            "tokens_per_second": json.loads(taken.output)["tokens_per_second"],
            "mapped_bytes": mapped["Size"],
            "mapped_resident_bytes": mapped["Rss"],
            "copied_bytes": mapped["Private_Dirty"],
            "own_bytes": taken.own,
        }

    def measure_bench(self):
        say(f"measuring; the load is {os.getloadavg()[0]:.2f}")
        command = [*self.gsic, "bench", str(self.builds / "cpu"), "--tokens", "16", "--json"]
        command += ["--repeat", str(self.options.repeat)]
        return {"load_before": os.getloadavg()[0], **json.loads(Footprint(command).output)}


def gigabytes(size):
    return f"{size / 1e9:.2f} GB"


def table(shape, figures):
    builds = figures["builds"]
    rows = [
        (shape, *(f"for {target}" for target in builds)),
        ("---", *("---" for _ in builds)),
        ("seconds", *(f"{one['seconds']:.0f}" for one in builds.values())),
        ("resident memory at most", *(gigabytes(one["resident_bytes"]) for one in builds.values())),
        ("of it not mapped files", *(gigabytes(one["own_bytes"]) for one in builds.values())),
        ("the bundle", *(gigabytes(one["bundle_bytes"]) for one in builds.values())),
        ("longest time without a word", *(f"{one['longest_silence_seconds']:.0f} s" for one in builds.values())),
        ("most on disk, output and temporary files", *(gigabytes(one["disk_bytes"]) for one in builds.values())),
        ("logits to the float64 oracle, of the largest", *(f"{one['error']:.1e}" for one in builds.values())),
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def sentences(figures):
    kills, run, bench = figures["kills"], figures.get("run"), figures.get("bench")
    at = ", ".join(gigabytes(size) for size in kills["killed_at_bytes"])
    same = "the same bytes" if kills["same_bytes"] else "OTHER BYTES"
    yield f"Killed at {at} of its output; the next build took {kills['resumed_seconds']:.0f} s and gave {same}."
    if run is not None:
        sizes = [gigabytes(run[key]) for key in ("mapped_bytes", "mapped_resident_bytes", "copied_bytes", "own_bytes")]
        yield "gsic run: {} mapped, {} of them resident, {} copied, {} of memory besides.".format(*sizes)
    if bench is not None:
        exact = bench["modes"]["exact"]
        speed, ceiling = exact["decode_tokens_per_second"], bench["read_ceiling_bytes_per_second"]
        yield (
            f"gsic bench: {speed['median']:.2f} tokens/s ({speed['least']:.2f} to {speed['most']:.2f}), "
            f"{exact['share_of_ceiling']:.2f} of the read ceiling, {ceiling['median'] / 1e9:.1f} GB/s "
            f"({ceiling['least'] / 1e9:.1f} to {ceiling['most'] / 1e9:.1f}); load before {bench['load_before']:.2f}."
        )


def problems(figures):
    for target, one in figures["builds"].items():
        if one["resident_bytes"] > MOST_MEMORY:
            yield f"the build for {target} took {gigabytes(one['resident_bytes'])} of memory"
    if not figures["kills"]["same_bytes"]:
        yield "a build that was killed and went on gave other bytes"
    if figures.get("run", {}).get("copied_bytes", 0) > 0:
        yield "weights were copied"


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("shape", help="a shape of make_model.py")
    arguments.add_argument("--work", required=True, help="folder for the model and its builds")
    arguments.add_argument("--targets", default="cpu,mi300x")
    arguments.add_argument("--gsic", default="npx gsic", help="how gsic is called")
    arguments.add_argument("--repeat", type=int, default=3, help="measurements of speed; 0: none")
    arguments.add_argument("--keep", action="store_true", help="keep the builds")
    arguments.add_argument("--json", help="file for all figures")
    options = arguments.parse_args()
    measurement = Measurement(options)
    measurement.make_model()
    targets = options.targets.split(",")
    figures = {"shape": options.shape, "builds": {}}
    for target in targets:
        figures["builds"][target] = measurement.measure_build(target)
        if target == targets[0]:
            figures["kills"] = measurement.measure_kills(target)
        if target == "cpu":
            figures["run"] = measurement.measure_run()
            if options.repeat > 0:
                figures["bench"] = measurement.measure_bench()
        if not options.keep:
            measurement.clear(target)
    if options.json:
        Path(options.json).write_text(json.dumps(figures, indent=2) + "\n")
    print(table(options.shape, figures))
    print("\n" + "\n".join(sentences(figures)))
    wrong = list(problems(figures))
    for problem in wrong:
        say(problem)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
