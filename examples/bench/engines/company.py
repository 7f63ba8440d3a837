"""One engine in a process of its own, with many users at once. Needs what its engine needs.

    python3 company.py ENGINE THREADS

ENGINE is an engine as child.py takes it, in JSON. Reads jobs from standard input, a line of JSON
each, and answers each with a line: {"ready": true} first, then what `rate`, `load` or `alone` return.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

HERE = Path(__file__).resolve().parent

Json = dict[str, Any]
Ids = list[int]
USERS = 16  # at once, at most
LIMIT = 448  # tokens of a text: more than any measurement waits for
LEAST = 8  # tokens of each user between two newcomers
ALONE = 40  # tokens of each user before the first


@dataclass
class Text:
    """A request, and what came of it."""

    prompt: Ids
    limit: int
    asked: float = field(default_factory=time.perf_counter)
    ids: Ids = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    ended: bool = False

    def append(self, token: int) -> None:
        self.ids.append(token)
        self.times.append(time.perf_counter())


class Batch(Protocol):
    """A loaded model that many texts share."""

    def submit(self, prompt: Ids, limit: int) -> Text:
        """Adds a request: greedy tokens, at most `limit`."""
        ...

    def step(self) -> None:
        """One pass; what comes of it is appended to the texts."""
        ...

    def cancel(self, text: Text) -> None:
        """Ends a text, at the latest with the next pass."""
        ...


def until(batch: Batch, done: Callable[[], bool]) -> None:
    while not done():
        batch.step()


def begin(batch: Batch, prompts: Sequence[Ids]) -> list[Text]:
    """A user for each prompt; returns when all have their first token."""
    texts = [batch.submit(prompt, LIMIT) for prompt in prompts]
    until(batch, lambda: all(text.ids or text.ended for text in texts))
    return texts


def end(batch: Batch, texts: Sequence[Text]) -> None:
    for text in texts:
        if not text.ended:
            batch.cancel(text)
    until(batch, lambda: all(text.ended for text in texts))


def rate(batch: Batch, prompts: Sequence[Ids], tokens: int) -> Json:
    """Tokens a second of all users together, as long as all write, and the time to the last first token.

    The time begins when the last prompt is read, and ends when every user has so many tokens more,
    or when a text ends.
    """
    asked = time.perf_counter()
    texts = begin(batch, prompts)
    start = time.perf_counter()
    before = [len(text.ids) for text in texts]

    def done() -> bool:
        whole = all(len(text.ids) - was >= tokens for text, was in zip(texts, before))
        return whole or any(text.ended for text in texts)

    until(batch, done)
    seconds = time.perf_counter() - start
    written = sum(len(text.ids) for text in texts) - sum(before)
    if written == 0:
        raise RuntimeError("a text ended before anything was measured; give other prompts")
    end(batch, texts)
    return {
        "decode_tokens_per_second": written / seconds,
        "first_token_seconds": start - asked,
        "tokens": written,
        "texts": [text.ids for text in texts],
    }


def alone(batch: Batch, prompts: Sequence[Ids]) -> Json:
    """Seconds to the first token of each prompt, with nobody else there."""
    first = []
    for prompt in prompts:
        text = batch.submit(prompt, 1)
        until(batch, lambda text=text: text.ended)
        first.append((text.times or [time.perf_counter()])[0] - text.asked)
    return {"first_token_seconds": first}


def load(batch: Batch, prompts: Sequence[Ids], newcomers: Sequence[Ids]) -> Json:
    """The same beside users who write; and the seconds between two tokens of these, newcomers' passes and all, and
    before anybody came."""
    users = begin(batch, prompts)
    early = [len(text.ids) for text in users]
    until(batch, lambda: all(len(text.ids) - was >= ALONE or text.ended for text, was in zip(users, early)))
    before = [len(text.ids) for text in users]
    first = []
    for prompt in newcomers:
        reached = len(users[0].ids) + LEAST
        until(batch, lambda reached=reached: len(users[0].ids) >= reached or users[0].ended)
        if any(text.ended for text in users):
            break
        text = batch.submit(prompt, 1)
        until(batch, lambda text=text: text.ended)
        first.append((text.times or [time.perf_counter()])[0] - text.asked)
    found = {
        "first_token_seconds": first,
        "gaps": gaps_of(users, before),
        "gaps_alone": gaps_of(users, early, before),
    }
    end(batch, users)
    return found


def gaps_of(texts: Sequence[Text], begins: Sequence[int], ends: Sequence[int] | None = None) -> list[float]:
    """Seconds between two tokens of each text, of which the later is number `begin` or behind it, and before `end`."""
    return [
        later - earlier
        for i, (text, begin) in enumerate(zip(texts, begins))
        for earlier, later in zip(
            text.times[begin - 1 :], text.times[begin : ends[i] if ends else None]
        )
    ]


def open_batch(engine: Json, threads: int) -> Batch:
    if engine["kind"] == "gsic":
        from gsic_batch import GsicBatch

        return GsicBatch(Path(engine["build"]), engine["mode"], threads)
    sys.path += [str(HERE.parents[1] / "frontier"), str(HERE.parents[1] / "smollm2")]
    if engine["kind"] == "ik_llama.cpp":
        from ik_batch import IkBatch

        return IkBatch(Path(engine["file"]), threads, engine["repack"])
    from llama_batch import LlamaBatch

    return LlamaBatch(Path(engine["file"]), threads)


JOBS: dict[str, Callable[..., Json]] = {"rate": rate, "alone": alone, "load": load}


def main() -> int:
    batch = open_batch(json.loads(sys.argv[1]), int(sys.argv[2]))
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        job = json.loads(line)
        print(json.dumps(JOBS[job.pop("job")](batch, **job)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
