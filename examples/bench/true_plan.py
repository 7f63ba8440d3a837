"""Plans a model of a published shape within its time and memory, killed on the way, as one command.

    python3 true_plan.py tinyllama-1.1b --work DIR [--kill-after 300,900] [--gsic "npx gsic"] [--twice] [--json FILE]

Writes the checkpoint (make_model.py; planted spectra where numpy is there) with the tokenizer of examples/tiny-gpt2,
and builds it in bounded mode with max_kl = 0.02 from the texts there, with nothing cached but what was compiled (run
any build before, so that the runtime is). The build is killed (SIGKILL) so many seconds
after it begins, once for each number, and begun again; the last one runs to its end. Prints the seconds of all of them
together, the largest sum of resident memory over the build and its children (in steps of 0.2 s), and what was planned.
With --twice it plans once more from an empty cache, without a kill, and compares graph.ts and the bundle. Ends with
code 1 above 45 minutes (--minutes) or 6 GiB, or where a build that was killed gave other bytes.
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
import time
from pathlib import Path

from footprint import Footprint

HERE = Path(__file__).resolve().parent
EXAMPLE = HERE.parent / "tiny-gpt2"
MOST_MEMORY = 6 * 2**30
CONFIG = """[model]
name = "model"
source = "model"

[calibration]
text = ["{texts}/calibration.txt"]
tokens = {tokens}

[heldout]
text = ["{texts}/heldout.txt"]
tokens = {heldout}

[quality]
mode = "bounded"
max_kl = 0.02
"""


def say(text):
    print(text, file=sys.stderr, flush=True)


class Planning:
    """The folders and commands of one model."""

    def __init__(self, options):
        self.options = options
        self.work = Path(options.work).resolve() / options.shape
        self.gsic = shlex.split(options.gsic)

    def make_model(self):
        model = self.work / "model"
        self.work.mkdir(parents=True, exist_ok=True)
        sizes = {"tokens": self.options.tokens, "heldout": self.options.tokens // 2}
        (self.work / "model.toml").write_text(CONFIG.format(texts=EXAMPLE, **sizes))
        if (model / "tokenizer.json").exists():
            return
        planted = ["--planted"] if importlib.util.find_spec("numpy") else []
        command = [sys.executable, str(HERE / "make_model.py"), self.options.shape, *planted]
        subprocess.run([*command, "--out", str(model)], check=True)
        for name in ("tokenizer_config.json", "tokenizer.json"):
            shutil.copy(EXAMPLE / "model" / name, model)

    def environment(self, name):
        """A cache of its own: what was compiled before is the usual one's, what was measured is not."""
        cache, temporary = self.work / f"cache-{name}", self.work / "tmp"
        for folder in (cache, temporary):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
        home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        objects = Path(os.environ.get("GSIC_CACHE") or Path(home) / "gsic") / "objects"
        objects.mkdir(parents=True, exist_ok=True)
        (cache / "objects").symlink_to(objects.resolve())
        return {"GSIC_CACHE": str(cache), "TMPDIR": str(temporary)}

    def build(self, name, environment, **more):
        command = [*self.gsic, "build", str(self.work / "model.toml"), "--out", str(self.work / name), "--json"]
        return Footprint(command, (), environment, **more)

    def plan(self, name, kills):
        """A planned build that is killed after so many seconds each, and goes on."""
        environment = self.environment(name)
        shutil.rmtree(self.work / name, ignore_errors=True)
        taken = []
        for seconds in kills:
            until = time.monotonic() + seconds
            taken.append(self.build(name, environment, stop=lambda: time.monotonic() >= until))
            if not taken[-1].killed:
                say(f"it ended before {seconds:g} s")
                break
            say(f"killed after {seconds:g} s; going on")
        taken.append(self.build(name, environment))
        report = json.loads(taken[-1].output)
        return {
            "killed": sum(one.killed for one in taken),
            "seconds": sum(one.seconds for one in taken),
            "resident_bytes": max(one.resident for one in taken),
            "own_bytes": max(one.own for one in taken),
            "dense_bytes": report["bytes_per_token"]["dense"],
            "plan_bytes": report["bytes_per_token"]["fast"],
            "linears": len(report["linears"]),
            "stages": "".join(taken[-1].messages),
        }

    def digest(self, name):
        hashed = hashlib.blake2b()
        for file in ("graph.ts", "model.gsi"):
            with open(self.work / name / file, "rb") as opened:
                while block := opened.read(1 << 24):
                    hashed.update(block)
        return hashed.hexdigest()


def problems(figures, minutes):
    for name, one in figures["plans"].items():
        if one["seconds"] > 60 * minutes:
            yield f"planning ({name}) took {one['seconds'] / 60:.0f} minutes"
        if one["resident_bytes"] > MOST_MEMORY:
            yield f"planning ({name}) took {one['resident_bytes'] / 2**30:.1f} GiB of memory"
    if figures.get("same_bytes") is False:
        yield "a build that was killed and went on gave other bytes"


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("shape", help="a shape of make_model.py")
    arguments.add_argument("--work", required=True, help="folder for the model, its cache and its builds")
    arguments.add_argument("--tokens", type=int, default=8192, help="of calibration; half as many are held out")
    arguments.add_argument("--kill-after", default="300,900", help="seconds, separated by commas; empty: none")
    arguments.add_argument("--minutes", type=float, default=45)
    arguments.add_argument("--gsic", default="npx gsic", help="how gsic is called")
    arguments.add_argument("--twice", action="store_true", help="plan once more without a kill, and compare")
    arguments.add_argument("--json", help="file for all figures")
    options = arguments.parse_args()
    planning = Planning(options)
    planning.make_model()
    kills = [float(part) for part in options.kill_after.split(",") if part]
    figures = {"shape": options.shape, "load_before": os.getloadavg()[0], "plans": {}}
    figures["plans"]["killed"] = planning.plan("killed", kills)
    if options.twice:
        figures["plans"]["whole"] = planning.plan("whole", [])
        figures["same_bytes"] = planning.digest("killed") == planning.digest("whole")
    if options.json:
        Path(options.json).write_text(json.dumps(figures, indent=2) + "\n")
    for name, one in figures["plans"].items():
        print(
            f"{options.shape}, {name}: {one['seconds']:.0f} s in {one['killed'] + 1} runs, "
            f"{one['resident_bytes'] / 1e9:.2f} GB of memory, {one['own_bytes'] / 1e9:.2f} GB of it not mapped files; "
            f"the plan reads {one['plan_bytes'] / one['dense_bytes']:.1%} of the dense bytes"
        )
    wrong = list(problems(figures, options.minutes))
    for problem in wrong:
        say(problem)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
