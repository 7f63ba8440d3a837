"""Many users at once, beside other engines' own batching: SmolLM2-135M, the same bf16 weights and threads.

    python3 examples/bench/users.py [BUILD] [--rounds N] [--tokens N] [--threads N] [--quick] [--json]

BUILD is a gsic build of SmolLM2-135M in bf16 whose other modes get a row, too. users.md says what is
measured. Run with any Python 3.9 or later: it makes cache/users (llama.cpp is compiled, once) and the
models, and runs itself there. --prepare does that alone, so that the machine is quiet later.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Any

HERE = Path(__file__).resolve().parent
FRONTIER = HERE.parent / "frontier"
sys.path += [str(FRONTIER), str(HERE.parent / "smollm2")]  # their modules are shared

import environment
import pairing
import users_results
from users_results import BASE, ONE

CACHE = HERE / "cache"
COMPANY = HERE / "engines" / "company.py"
PROMPT, NEWCOMER = 16, 64  # tokens
REQUIREMENTS = [FRONTIER / "requirements.txt", HERE / "ik-requirements.txt"]
TYPES = ("BF16", "Q8_0", "Q6_K", "Q4_K_M", "Q4_1", "Q4_0")  # of llama.cpp
IK_TYPES = ("BF16", "Q8_0_R8", "Q6_0_R4", "IQ6_K")  # of ik_llama.cpp, where nobody says which
Json = dict[str, Any]
Ids = list[int]


def say(message: str) -> None:
    print(f"users: {message}", file=sys.stderr, flush=True)


class Samples(list[Json]):
    """Measured samples, of which each is said when it comes."""

    def append(self, sample: Json) -> None:
        super().append(sample)
        say(sample.get("reason") or f"{sample['name']}: {sample['rate']:.1f} tokens/s")


class Company:
    """company.py with an engine, which waits for jobs."""

    def __init__(self, process: "Popen[str]", errors: Path) -> None:
        self.process, self.errors = process, errors
        self.answer()

    def answer(self) -> Json:
        line = self.process.stdout.readline() if self.process.stdout else ""
        if not line:
            words = self.errors.read_text(errors="replace").strip().splitlines()
            raise pairing.Failed((words or ["its process ended"])[-1][:300])
        return json.loads(line)

    def do(self, job: str, **settings: Any) -> Json:
        if self.process.poll() is not None or not self.process.stdin:
            raise pairing.Failed("its process has ended")
        self.process.stdin.write(json.dumps({"job": job, **settings}) + "\n")
        self.process.stdin.flush()
        return self.answer()


@contextmanager
def company(engine: Json, threads: int) -> Iterator[Company]:
    """A process with an engine, ended with the scope. Raises pairing.Failed where it does not load."""
    with tempfile.TemporaryDirectory() as folder:
        errors = Path(folder) / "errors"
        command = [sys.executable, str(COMPANY), json.dumps(engine), str(threads)]
        with errors.open("w") as stream:
            process = Popen(command, stdin=PIPE, stdout=PIPE, stderr=stream, text=True)
        try:
            yield Company(process, errors)
        finally:
            process.kill()
            process.wait()


class Texts:
    """What each prompt was answered with, to compare in other company."""

    def __init__(self) -> None:
        self.found: dict[int, Ids] = {}
        self.compared = 0
        self.other: set[int] = set()

    def add(self, texts: list[Ids]) -> None:
        for prompt, text in enumerate(texts):
            known = self.found.setdefault(prompt, text)
            both = min(len(known), len(text))
            self.compared += known is not text
            if known[:both] != text[:both]:
                self.other.add(prompt)
            elif len(text) > len(known):
                self.found[prompt] = text

    def json(self) -> Json:
        return {"compared": self.compared, "prompts": len(self.found), "other": len(self.other)}


class Measurement:
    """All rows, each in its own process, by turns."""

    def __init__(self, rows: dict[str, Company], ids: Ids, options: argparse.Namespace) -> None:
        self.rows, self.options, self.next = rows, options, max(options.users) * PROMPT
        self.prompts = [ids[at : at + PROMPT] for at in range(0, self.next, PROMPT)]
        self.ids = ids
        self.texts = {name: Texts() for name in rows}

    def newcomers(self, count: int) -> list[Ids]:
        """Prompts that nobody had before, so that nothing of them is in a cache."""
        found = []
        for _ in range(count):
            if self.next + NEWCOMER > len(self.ids):
                self.next = self.next % NEWCOMER + 1
            found.append(self.ids[self.next : self.next + NEWCOMER])
            self.next += NEWCOMER
        return found

    def rate(self, name: str, users: int) -> Json:
        row, count = (BASE, 1) if name == ONE else (name, users)
        settings = {"prompts": self.prompts[:count], "tokens": self.options.tokens}
        found = self.rows[row].do("rate", **settings)
        self.texts[row].add(found["texts"])
        return found

    def rates(self) -> dict[int, list[Json]]:
        """Tokens a second, by users: the base with as many users before and after each row."""
        names = [ONE, *(name for name in self.rows if name != BASE)]
        result: dict[int, list[Json]] = {users: Samples() for users in self.options.users}
        for number in range(self.options.rounds):
            for users, samples in result.items():
                say(f"round {number + 1}, {users} users")
                turned = names[number % len(names) :] + names[: number % len(names)]
                round_ = Samples()
                pairing.rounds(BASE, turned, 1, lambda name, n=users: self.rate(name, n), round_)
                samples.extend({**one, "round": number} if "round" in one else one for one in round_)
        return result

    def loads(self) -> Json:
        """By row: first tokens beside eight users and alone, by turns, and gaps between tokens of the eight."""
        prompts, result = self.prompts[: min(8, max(self.options.users))], {}
        for name, row in self.rows.items():
            say(f"{name}: newcomers beside {len(prompts)} users")
            rounds = []
            for _ in range(self.options.rounds):
                before = row.do("alone", prompts=self.newcomers(3))
                found = row.do("load", prompts=prompts, newcomers=self.newcomers(6))
                after = row.do("alone", prompts=self.newcomers(3))
                idle = [*before["first_token_seconds"], *after["first_token_seconds"]]
                rounds.append({**found, "idle_seconds": idle})
            result[name] = rounds
        return result


def engines(options: argparse.Namespace, reference: Any) -> dict[str, Json]:
    """Every row's engine; what it loads is made unless it is there."""
    import contenders
    import gsic

    found = {BASE: contenders.gsic_engine(reference.build, "exact")}
    if options.build is not None:
        for mode in gsic.report_of(options.build)["modes"]:
            if mode != "exact":
                found[f"gsic {mode}"] = contenders.gsic_engine(options.build.resolve(), mode)
    for one in contenders.llama_contenders(reference):
        if one.name.split(" ")[-1] in options.types:
            say(f"{one.name}: its model")
            found[one.name] = one.prepare()
    for one in contenders.ik_contenders(reference):
        if one.name.split(" ")[-1] in options.ik:
            say(f"{one.name}: its model")
            try:
                found[one.name] = one.prepare()
            except pairing.Failed as error:
                say(f"{one.name} is left out: {error}")
    return found


def quality(name: str, engine: Json, options: argparse.Namespace, reference: Any) -> float:
    """Mean KL to the bf16 model over the texts, of the engine's own logits."""
    import contenders
    import gsic
    import measure
    import peers_results

    say(f"{name}: KL")
    key = {**reference.key(), "users": name, "threads": options.threads}
    if engine["kind"] == "gsic":
        key["bundle"] = gsic.digest_of(Path(engine["build"]))
    else:
        key["engine"] = engine
    texts = measure.remembered(
        key, lambda: contenders.quality(engine, options.threads, reference)
    )
    return peers_results.kl_of({"texts": texts}) or 0.0


def produce(options: argparse.Namespace) -> Json | None:
    """Measures everything; None where it only prepares."""
    import measure

    reference = measure.make_reference(options.kl_tokens)
    found = engines(options, reference)
    kl = {name: quality(name, engine, options, reference) for name, engine in found.items()}
    if options.prepare:
        return None
    ids = [one for text in reference.texts for one in text.ids]
    with ExitStack() as stack:
        opened = {n: stack.enter_context(company(e, options.threads)) for n, e in found.items()}
        for name, row in opened.items():
            say(f"{name}: warms up")
            row.do("rate", prompts=[ids[-PROMPT:]], tokens=8)
        measurement = Measurement(opened, ids, options)
        rates = measurement.rates()
        loads = measurement.loads()
    texts = {name: one.json() for name, one in measurement.texts.items()}
    about = {"threads": options.threads, "tokens": options.tokens, "rounds": options.rounds}
    return {**about, "kl": kl, "texts": texts, **users_results.summary(rates, loads)}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("build", nargs="?", type=Path, metavar="BUILD", help="gsic build folder")
    parser.add_argument("--users", default="1,4,8,16", help="numbers of users (1,4,8,16)")
    parser.add_argument("--rounds", type=int, default=5, help="of everything (5)")
    parser.add_argument("--threads", type=int, default=2, help="of every engine (2)")
    parser.add_argument("--tokens", type=int, default=64, help="of each user in a round (64)")
    parser.add_argument("--types", default=",".join(TYPES), help="of llama.cpp (all); BF16 is always there")
    parser.add_argument("--ik", default=",".join(IK_TYPES), help="types of ik_llama.cpp")
    parser.add_argument("--kl-tokens", type=int, default=2048, help="of each text (2048)")
    parser.add_argument("--quick", action="store_true", help="2 rounds of 32 tokens, KL on 512")
    parser.add_argument("--prepare", action="store_true", help="make all that is loaded, and end")
    parser.add_argument("--out", type=Path, default=CACHE / "result", help="where results go")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the tables")
    options = parser.parse_args()
    try:
        options.users = sorted({int(one) for one in options.users.split(",")})
    except ValueError:
        parser.error("--users: give numbers, such as 1,4,8")
    if not all(1 <= one <= 16 for one in options.users):
        parser.error("--users: a number from 1 to 16 each")
    if not 2 <= options.tokens <= 256 or options.rounds < 1:
        parser.error("--tokens must be 2 to 256, and --rounds at least 1")
    if options.quick:
        options.rounds, options.tokens, options.kl_tokens = 2, 32, 512
    options.types = ["BF16", *filter(None, options.types.split(","))]
    options.ik = list(filter(None, options.ik.split(",")))
    if not set(options.types) <= set(TYPES):
        parser.error(f"--types: some of {', '.join(TYPES)}")
    if not environment.inside():
        return environment.run_inside(CACHE / "users", REQUIREMENTS)
    from gsic import GsicFailed
    from llamacpp import LlamaCppFailed
    from measure import Stop

    try:
        document = produce(options)
    except (pairing.Failed, GsicFailed, LlamaCppFailed, Stop) as stop:
        say(str(stop))
        return 4
    if document is None:
        return 0
    options.out.mkdir(parents=True, exist_ok=True)
    file = options.out / "users.json"
    file.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(document) if options.json else users_results.table(document))
    say(f"wrote {file}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
