"""Compares the logits that a build computes on its GPU with those of the same model's build for this machine's CPU.

    python3 check.py build/gptj-hip build/gptj-cpu [--ids 1,2,3] [--mode exact]

The CPU build was compared with the float64 oracle when it was made (its report.json, `self_check`). Prints the largest
difference of a logit as a fraction of the largest logit, and how often both choose the same token. Exit code 1 above
1e-3: the bound that gsic applies to simulated lanes. Needs nothing but Python and gsic.
"""

import argparse
import array
import json
import os
import re
import struct
import subprocess
import sys
import tempfile

TOLERANCE = 1e-3


def read_logits(path):
    """Rows of the tensor `logits` [tokens, vocabulary] f32."""
    with open(path, "rb") as file:
        data = file.read()
    length = struct.unpack("<Q", data[:8])[0]
    entry = json.loads(data[8 : 8 + length])["logits"]
    begin, end = (8 + length + offset for offset in entry["data_offsets"])
    values = array.array("f", data[begin:end])
    tokens, vocabulary = entry["shape"]
    return [values[i * vocabulary : (i + 1) * vocabulary] for i in range(tokens)]


def logits(gsic, build, options, folder):
    out = os.path.join(folder, os.path.basename(os.path.normpath(build)) + ".safetensors")
    mode = [] if options.mode is None else ["--mode", options.mode]
    subprocess.run([*gsic, "logits", build, "--ids", options.ids, "--out", out, *mode], check=True)
    return read_logits(out)


def default_ids(build):
    with open(os.path.join(build, "index.ts")) as file:
        text = file.read()
    vocabulary = int(re.search(r"const vocabulary = ([\d_]+)", text)[1].replace("_", ""))
    return ",".join(str((7 + i * 7919) % vocabulary) for i in range(19))


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("gpu", help="build folder for a GPU")
    arguments.add_argument("cpu", help="build folder of the same model for this machine's CPU")
    arguments.add_argument("--ids", help="token ids (default: 19 spread over the vocabulary)")
    arguments.add_argument("--mode", choices=["exact", "bounded"])
    arguments.add_argument("--gsic", default="npx gsic", help="command that runs gsic")
    options = arguments.parse_args()
    options.ids = options.ids or default_ids(options.cpu)
    with open(os.path.join(options.cpu, "report.json")) as file:
        check = json.load(file)["self_check"]
    with tempfile.TemporaryDirectory() as folder:
        os.mkdir(os.path.join(folder, "gpu"))
        os.mkdir(os.path.join(folder, "cpu"))
        gsic = options.gsic.split()
        gpu = logits(gsic, options.gpu, options, os.path.join(folder, "gpu"))
        cpu = logits(gsic, options.cpu, options, os.path.join(folder, "cpu"))
    largest = max(max(abs(x) for x in row) for row in cpu)
    difference = max(abs(a - b) for one, other in zip(gpu, cpu) for a, b in zip(one, other))
    same = sum(list(a).index(max(a)) == list(b).index(max(b)) for a, b in zip(gpu, cpu))
    oracle = check["skipped"] or f"{check['exactError']:.1e} (exact mode)"
    print(f"CPU build from the float64 oracle: {oracle}")
    print(f"GPU from CPU, largest difference of a logit: {difference / largest:.1e} of the largest logit, {len(cpu)} tokens")
    print(f"the same token is the likeliest: {same} of {len(cpu)}")
    if not difference <= TOLERANCE * largest:
        sys.exit(f"more than {TOLERANCE}: the kernels are wrong on this device; please report it, with report.json")


if __name__ == "__main__":
    main()
