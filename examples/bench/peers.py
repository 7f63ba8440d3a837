"""Speed and quality beside other engines: SmolLM2-135M, the same bf16 weights, prompts and threads.

    python3 examples/bench/peers.py [BUILD ...] [--file FILE] [--rounds N] [--long N] [--quick] [--json]

BUILD is a gsic build of SmolLM2-135M in bf16; every mode of it gets a row. With --file, the rows are
those of one GGUF file in gsic, llama.cpp and ik_llama.cpp, and BUILD is a build of that file.
README.md says what is measured. Run with any Python 3.9 or later: it makes cache/venv (6 GB;
llama.cpp is compiled, once), and runs itself in it; --prepare does that, makes all models and
measures KL, so that the machine is quiet later. Samples are kept in --out; run again to go on,
--fresh to begin anew.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

HERE = Path(__file__).resolve().parent
FRONTIER = HERE.parent / "frontier"
sys.path += [str(FRONTIER), str(HERE.parent / "smollm2")]  # their modules are shared

import environment

if TYPE_CHECKING:
    from subjects import Subject

CACHE = HERE / "cache"
REQUIREMENTS = [
    FRONTIER / "requirements.txt",
    HERE / "ik-requirements.txt",
    HERE / "requirements.txt",
]
FAMILIES = ("gsic", "llama.cpp", "ik_llama.cpp", "CTranslate2", "ONNX Runtime", "PyTorch")
BROKEN = 3.0  # nats: a model that is so far from the reference says nothing
BUSY = 0.5  # load of a minute before anything is measured
Json = dict[str, Any]


@dataclass(frozen=True)
class Lengths:
    """Of one measurement's texts, in tokens."""

    first: int  # of the prompt whose first token is waited for
    behind: int  # of the prompt that decoding follows
    families: tuple[str, ...]  # that are measured so


SHORT = Lengths(512, 16, FAMILIES)
LONG = Lengths(2048, 4096, FAMILIES[:3])


def say(message: str) -> None:
    print(f"peers: {message}", file=sys.stderr, flush=True)


class Samples(list[Json]):
    """Measured samples, written to a file as they come."""

    def __init__(self, file: Path, fresh: bool) -> None:
        if fresh:
            file.unlink(missing_ok=True)
        super().__init__(json.loads(file.read_text()) if file.exists() else [])
        self.file = file

    def append(self, sample: Json) -> None:
        super().append(sample)
        say(sample.get("reason") or f"{sample['name']}: {sample['decode']:.2f} x exact")
        partial = self.file.with_suffix(".partial")
        partial.write_text(json.dumps(self), encoding="utf-8")
        partial.replace(self.file)


class Run:
    """The rows of a subject, prepared one by one, and then measured by turns."""

    def __init__(self, subject: Subject, options: argparse.Namespace) -> None:
        self.subject, self.options = subject, options
        self.rows = [one for one in subject.contenders if one.family in options.only]
        self.engines: dict[str, Json] = {}
        self.texts: dict[str, Json | None] = {}
        self.reasons: dict[str, str] = {}

    def prepare(self) -> None:
        """Makes what each row's engine loads, and measures KL, unless that was done before."""
        import contenders
        import measure
        import peers_results

        reference, threads = self.subject.reference, self.options.threads
        packages = "".join(file.read_text() for file in REQUIREMENTS[1:])
        for one in self.rows:
            say(f"{one.name}: model and KL")
            self.texts[one.name] = None
            try:
                engine = one.prepare()
                identity = contenders.identity(engine)
                key = {**reference.key(), "engine": identity, "packages": packages}
                self.texts[one.name] = measure.remembered(
                    key, lambda engine=engine: contenders.quality(engine, threads, reference)
                )
                kl = peers_results.kl_of({"texts": self.texts[one.name]})
                if kl is None or not kl < BROKEN:
                    self.texts[one.name] = None
                    raise ValueError(f"computes another function on this CPU: KL {kl:.1f}")
                self.engines[one.name] = engine
                say(f"{one.name}: KL {kl:.4f}")
            except Exception as error:  # a row that fails stays, with the reason
                self.reasons[one.name] = f"{error}"

    def speeds(self, lengths: Lengths, rounds: int, tokens: int) -> list[Json]:
        """Measures the rows of these families, each by turns with the base."""
        import contenders
        import gsic
        import pairing

        families = lengths.families
        rows = [one for one in self.rows if one.family in families and one.name in self.engines]
        builds = [engine["build"] for engine in self.engines.values() if "build" in engine]
        key = [lengths.first, lengths.behind, tokens, self.options.threads]
        key += [self.subject.reference.fingerprint]
        key += sorted({gsic.digest_of(Path(build)) for build in builds})
        digest = hashlib.sha256(json.dumps(key).encode()).hexdigest()[:12]
        file = self.options.out / f"peers-samples-{digest}.json"
        samples = Samples(file, self.options.fresh)
        room = max(lengths.first + 1, lengths.behind + tokens)
        job = {"threads": self.options.threads, "context": -(-room // 256) * 256}

        def measure(name: str) -> Json:
            turn = sum(1 for one in samples if one["name"] == name)
            ids = self.subject.ids[turn % len(self.subject.ids)]
            speed = {"first": ids[: lengths.first], "behind": ids[: lengths.behind]}
            speed["tokens"] = tokens
            return contenders.run_child({**job, "engine": self.engines[name], "speed": speed})

        others = [one.name for one in rows if one.name != contenders.BASE]
        pairing.rounds(contenders.BASE, others, rounds, measure, samples)
        return samples

    def measured(self) -> list[Json]:
        """Every row with its speeds, KL, and the reason why one is missing."""
        import contenders
        import pairing

        if contenders.BASE not in self.engines:
            raise pairing.Failed(self.reasons.get(contenders.BASE, "--only leaves gsic out"))
        short = self.speeds(SHORT, self.options.rounds, self.options.tokens)
        long = self.speeds(LONG, self.options.long, max(2, self.options.tokens // 2))
        rows: list[Json] = []
        for member in self.rows:
            if member.name == contenders.BASE:
                found = {**pairing.base_summary(short), "long": pairing.base_summary(long)}
            else:
                found = pairing.summary(member.name, short)
                found["long"] = pairing.summary(member.name, long)
            reason = found["reason"] or self.reasons.get(member.name)
            found["reason"] = reason or found["long"]["reason"]
            row = {"name": member.name, "family": member.family, "texts": self.texts[member.name]}
            rows.append({**row, **found})
        return rows


def produce(options: argparse.Namespace) -> Json | None:
    """Measures every row; None where it only prepares."""
    import measure
    import subjects

    load = os.getloadavg()[0]
    builds = [build.resolve() for build in options.builds]
    if options.file is None:
        subject = subjects.smollm2(builds, options.kl_tokens, CACHE / "models")
    else:
        subject = subjects.one_file(options.file.resolve(), builds, options.kl_tokens)
    run = Run(subject, options)
    run.prepare()
    if options.prepare:
        for name, reason in run.reasons.items():
            say(f"{name}: {reason}")
        return None
    if load > BUSY:
        say(f"something else ran here (load {load:.1f}): engines that wait in loops will seem slow")
    rows = run.measured()
    lengths = {"short": [SHORT.first, SHORT.behind], "long": [LONG.first, LONG.behind]}
    about = {"threads": options.threads, "tokens": options.tokens, "lengths": lengths}
    about |= {"rounds": options.rounds, "long_rounds": options.long, "load_before": load}
    return {**measure.describe(subject.reference), **about, "rows": rows}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("builds", nargs="*", type=Path, metavar="BUILD", help="gsic build folder")
    parser.add_argument("--file", type=Path, help="a GGUF file, instead of SmolLM2's bf16 weights")
    parser.add_argument("--rounds", type=int, default=3, help="of speed (3)")
    parser.add_argument("--long", type=int, default=1, help="rounds of long texts (1)")
    parser.add_argument("--threads", type=int, default=2, help="of every engine (2)")
    parser.add_argument("--tokens", type=int, default=128, help="decoded in a round (128)")
    parser.add_argument("--kl-tokens", type=int, default=2048, help="of each text (2048)")
    parser.add_argument(
        "--only", default=",".join(FAMILIES), help="families, such as gsic,llama.cpp"
    )
    parser.add_argument(
        "--quick", action="store_true", help="one round of 32, no long texts, KL on 512 tokens"
    )
    parser.add_argument("--prepare", action="store_true", help="make models, measure KL, and end")
    parser.add_argument("--fresh", action="store_true", help="measure speeds again")
    parser.add_argument("--out", type=Path, default=CACHE / "result", help="where results go")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    options = parser.parse_args()
    if options.tokens < 2 or options.rounds < 1 or options.long < 0:
        parser.error("--tokens must be at least 2, --rounds at least 1, and --long at least 0")
    options.only = options.only.split(",")
    if not set(options.only) <= set(FAMILIES):
        parser.error(f"--only: some of {', '.join(FAMILIES)}")
    if options.quick:
        options.rounds, options.long, options.tokens, options.kl_tokens = 1, 0, 32, 512
    return options


def main() -> int:
    options = arguments()
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
    if document is None:
        return 0
    name = "peers" if options.file is None else f"peers-{options.file.stem}"
    result, picture = options.out / f"{name}.json", options.out / f"{name}.svg"
    result.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    peers_results.chart(document["rows"], picture)
    print(json.dumps(document) if options.json else peers_results.table(document["rows"]))
    say(f"wrote {result} and {picture}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
