"""Speed and quality beside other engines: SmolLM2-135M, the same bf16 weights, prompts and threads.

    python3 examples/bench/peers.py [BUILD ...] [--rounds N] [--threads N] [--quick] [--json]

BUILD is a gsic build of SmolLM2-135M in bf16; every mode of it gets a row. README.md says what is
measured. Run with any Python 3.9 or later: it makes cache/venv (6 GB; llama.cpp is compiled, once),
and runs itself in it. Samples are kept in --out; run again to go on, --fresh to begin anew.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
FRONTIER = HERE.parent / "frontier"
sys.path += [str(FRONTIER), str(HERE.parent / "smollm2")]  # their modules are shared

import environment

CACHE = HERE / "cache"
REQUIREMENTS = [FRONTIER / "requirements.txt", HERE / "requirements.txt"]
PROMPT = 16  # tokens
Json = dict[str, Any]


def say(message: str) -> None:
    print(f"peers: {message}", file=sys.stderr, flush=True)


class Samples(list[Json]):
    """Measured samples, written to a file as they come."""

    def __init__(self, file: Path) -> None:
        super().__init__(json.loads(file.read_text()) if file.exists() else [])
        self.file = file

    def append(self, sample: Json) -> None:
        super().append(sample)
        say(sample.get("reason") or f"{sample['name']}: {sample['decode']:.2f} x exact")
        partial = self.file.with_suffix(".partial")
        partial.write_text(json.dumps(self), encoding="utf-8")
        partial.replace(self.file)


def produce(options: argparse.Namespace) -> Json:
    """Measures every row."""
    import contenders
    import gsic
    import measure
    import pairing

    reference = measure.make_reference(options.kl_tokens)
    models = CACHE / "models" / reference.fingerprint[:16]
    models.mkdir(parents=True, exist_ok=True)
    builds = [build.resolve() for build in options.builds]
    everybody = contenders.all_contenders(builds, reference, models)
    engines: dict[str, Json] = {}
    texts: dict[str, Json | None] = {}
    reasons: dict[str, str] = {}
    for one in everybody:
        say(f"{one.name}: model and KL")
        try:
            engine = engines[one.name] = one.prepare()
            key = {**reference.key(), "engine": engine, "packages": REQUIREMENTS[1].read_text()}
            if engine["kind"] == "gsic":
                key["bundle"] = gsic.digest_of(Path(engine["build"]))
            texts[one.name] = measure.remembered(
                key, lambda engine=engine: contenders.quality(engine, options.threads, reference)
            )
        except Exception as error:  # a row that fails stays, with the reason
            reasons[one.name] = f"{error}"
            texts[one.name] = None
    prompts = [text.ids[:PROMPT] for text in reference.texts]

    def speed(name: str) -> Json:
        job = {"engine": engines[name], "threads": options.threads, "warm": 16}
        turn = sum(1 for one in samples if one["name"] == name)
        prompt = prompts[turn % len(prompts)]
        return contenders.run_child({**job, "prompt": prompt, "tokens": options.tokens})

    digests = [gsic.digest_of(build) for build in builds]
    settings = [options.threads, options.tokens, digests, reference.fingerprint]
    key = hashlib.sha256(json.dumps(settings).encode()).hexdigest()[:12]
    file = options.out / f"peers-samples-{key}.json"
    if options.fresh:
        file.unlink(missing_ok=True)
    samples = Samples(file)
    names = [name for name in engines if name != contenders.BASE]
    pairing.rounds(contenders.BASE, names, options.rounds, speed, samples)
    one = {"median": 1.0, "least": 1.0, "most": 1.0}
    rows: list[Json] = []
    for member in everybody:
        found = pairing.summary(member.name, samples)
        if member.name == contenders.BASE:
            found |= {"decode": one, "first": one}
        found["reason"] = found["reason"] or reasons.get(member.name)
        row = {"name": member.name, "family": member.family, "texts": texts[member.name]}
        rows.append({**row, **found})
    about = measure.describe(reference)
    run = {"threads": options.threads, "tokens": options.tokens, "prompt": PROMPT}
    return {**about, **run, "rounds": options.rounds, "rows": rows}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("builds", nargs="*", type=Path, metavar="BUILD", help="gsic build folder")
    parser.add_argument("--rounds", type=int, default=5, help="of speed (5)")
    parser.add_argument("--threads", type=int, default=2, help="of every engine (2)")
    parser.add_argument("--tokens", type=int, default=128, help="decoded in a round (128)")
    parser.add_argument("--kl-tokens", type=int, default=2048, help="of each text (2048)")
    parser.add_argument("--quick", action="store_true", help="2 rounds of 32, KL on 512 tokens")
    parser.add_argument("--fresh", action="store_true", help="measure speeds again")
    parser.add_argument("--out", type=Path, default=CACHE / "result", help="where results go")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    options = parser.parse_args()
    if options.tokens < 2 or options.rounds < 1:
        parser.error("--tokens must be at least 2, and --rounds at least 1")
    if options.quick:
        options.rounds, options.tokens, options.kl_tokens = 2, 32, 512
    if not environment.inside():
        return environment.run_inside(CACHE / "venv", REQUIREMENTS)
    import peers_results
    from gsic import GsicFailed
    from llamacpp import LlamaCppFailed
    from measure import Stop
    from pairing import Failed

    options.out.mkdir(parents=True, exist_ok=True)
    try:
        document = produce(options)
    except (Failed, GsicFailed, LlamaCppFailed, Stop) as stop:
        say(str(stop))
        return 4
    (options.out / "peers.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    peers_results.chart(document["rows"], options.out / "peers.svg")
    print(json.dumps(document) if options.json else peers_results.table(document["rows"]))
    say(f"wrote {options.out / 'peers.json'} and {options.out / 'peers.svg'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
