"""
A build as a model of EleutherAI's lm-eval. Where lm-eval finds models of other packages by their entry points:

    lm-eval run --model gsic --model_args build=build/tiny-gpt2,mode=bounded --tasks hellaswag

With any lm-eval from 0.4.9 on the same by `python -m gsic.lm_eval` in place of `lm-eval`, or, in Python, behind
`import gsic.lm_eval`, `lm_eval.simple_evaluate("gsic", {"build": "build/tiny-gpt2"}, ...)`.
"""

from collections.abc import Sequence
from itertools import takewhile
from typing import Any

import lm_eval.models  # its own models, which it registers only while there are no others
import numpy as np
from lm_eval.api.instance import Instance
from lm_eval.api.model import TemplateLM
from lm_eval.api.registry import register_model
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window
from tqdm import tqdm

from .generation import Options, Sampling
from .model import Model

_TOKENS = 256
"""Most tokens of a generated answer where a task says nothing, as for lm-eval's other models."""
_READ = frozenset(("until", "max_gen_toks", "do_sample", "temperature", "top_k", "top_p", "min_p", "seed"))
"""What of a task's generation_kwargs is understood."""

Scored = tuple[float, bool]
"""The log-probability of a continuation, and whether greedy decoding gives it."""


@register_model("gsic")
class GsicLM(TemplateLM):
    """
    `build` is the folder of a build; `mode`, `threads` and `target` as in `gsic.load`. Texts longer than `max_length`
    tokens (the model's context) are read in windows of so many, and prompts lose their beginning, as lm-eval's `hf` does.
    """

    def __init__(
        self,
        build: str,
        mode: str | None = None,
        threads: int | str = 0,
        target: str | None = None,
        max_length: int | str | None = None,
        **_: Any,
    ):
        # lm-eval also hands over the options of its command line, as batch_size and device, which mean nothing here.
        super().__init__()
        self.model = Model(build, mode, threads=int(threads), target=target)
        self.max_length = min(int(max_length or self.model.context), self.model.context)
        self._session = self.model.session()
        self._read: list[int] = []
        """The tokens that the session holds."""

    @property
    def eot_token_id(self) -> int:
        """The token that ends a text, and stands in front of what has no context. ValueError if the model has none."""
        if self.model.end_of_text is None:
            raise ValueError(f"{self.model.name}: the model has no end of text, which lm-eval puts before a text")
        return self.model.end_of_text

    @property
    def prefix_token_id(self) -> int:
        """What the tokenizer puts in front of every text; the end of text where it puts nothing."""
        front = self.model.encode("")
        return front[0] if front else self.eot_token_id

    def tok_encode(self, string: str, add_special_tokens: bool | None = None, **_: Any) -> list[int]:
        """Ids of a text; without what the tokenizer puts in front if `add_special_tokens` is False."""
        ids = self.model.encode(string, parse_special=True)
        front = self.model.encode("")
        has_two = front != [] and ids[len(front) : 2 * len(front)] == front
        return ids[len(front) :] if add_special_tokens is False or has_two else ids

    def loglikelihood_rolling(self, requests: list[Instance], disable_tqdm: bool = False) -> list[float]:
        """The log-probability of whole texts, in windows of `max_length` tokens."""
        windows, owners = [], []
        for owner, request in enumerate(requests):
            ids = self.tok_encode(request.args[0])
            for window in get_rolling_token_windows(ids, self.prefix_token_id, self.max_length, 1):
                context, continuation = make_disjoint_window(window)
                windows.append((("", ""), context, continuation))
                owners.append(owner)
        sums = [0.0] * len(requests)
        for owner, (sum_, _) in zip(owners, self._loglikelihood_tokens(windows, disable_tqdm=disable_tqdm)):
            sums[owner] += sum_
        for request, sum_ in zip(requests, sums):
            self.cache_hook.add_partial("loglikelihood_rolling", request.args, sum_)
        return sums

    def _loglikelihood_tokens(
        self,
        requests: list[tuple[tuple[str, str], list[int], list[int]]],
        disable_tqdm: bool = False,
        **_: Any,
    ) -> list[Scored]:
        found: list[Scored] = [(0.0, True)] * len(requests)
        # Those that begin alike stand together, and the session reads what they share once.
        order = sorted(range(len(requests)), key=lambda at: requests[at][1] + requests[at][2])
        for at in tqdm(order, disable=disable_tqdm, desc="gsic: log-probabilities"):
            texts, context, continuation = requests[at]
            if continuation:
                found[at] = self._score(context, continuation)
            self.cache_hook.add_partial("loglikelihood", texts, found[at])
        return found

    def _score(self, context: list[int], continuation: list[int]) -> Scored:
        """Of a continuation; of one longer than `max_length`, of its last tokens, as of a context that is too long."""
        ids = (context + continuation)[-(self.max_length + 1) :]
        wanted = ids[1:][-len(continuation) :]
        logits: np.ndarray = self._logits(ids[:-1], len(wanted)).astype(np.float64)
        largest = logits.max(axis=-1, keepdims=True)
        log_sum = np.log(np.exp(logits - largest).sum(axis=-1)) + largest[:, 0]
        of_wanted = logits[np.arange(len(wanted)), wanted]
        return float((of_wanted - log_sum).sum()), bool((logits.argmax(axis=-1) == wanted).all())

    def _logits(self, ids: list[int], wanted: int) -> np.ndarray:
        """Logits behind the last `wanted` tokens of a text: [wanted, vocabulary] f32."""
        shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(self._read, ids)))
        shared = min(shared, len(ids) - wanted)
        self._session.rewind(shared)
        self._read = ids
        return np.asarray(self._session.evaluate(ids[shared:], wanted))

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        """Answers up to the first of a task's `until`. ValueError for a way of generating that gsic has not."""
        streams = []
        for request in requests:
            prompt, options = request.args[0], _options(request.args[1])
            room = self.max_length - options["max_tokens"]
            if room < 1:
                limit = f"of {self.max_length} tokens has no room for max_gen_toks = {options['max_tokens']}"
                raise ValueError(f"{self.model.name}: a text {limit} and a prompt; set fewer in generation_kwargs")
            streams.append(self.model.stream(self.tok_encode(prompt)[-room:], **options))
        texts = []
        for request, stream in zip(requests, tqdm(streams, disable=disable_tqdm, desc="gsic: answers")):
            texts.append(stream.read().text)
            self.cache_hook.add_partial("generate_until", request.args, texts[-1])
        return texts


def _options(asked: dict[str, Any]) -> Options:
    """What a task's generation_kwargs ask for."""
    unknown = sorted(set(asked) - _READ)
    if unknown:
        raise ValueError(f"gsic generates without {', '.join(unknown)}; take them out of generation_kwargs")
    until: str | Sequence[str] = asked.get("until") or []
    temperature = float(asked.get("temperature") or 0)
    sampling = Sampling(
        temperature=temperature if asked.get("do_sample", temperature > 0) else 0.0,
        top_k=int(asked.get("top_k") or 0),
        top_p=float(asked.get("top_p") or 1),
        min_p=float(asked.get("min_p") or 0),
        seed=int(asked.get("seed") or 0),
    )
    stop = [until] if isinstance(until, str) else list(until)
    return {"max_tokens": int(asked.get("max_gen_toks") or _TOKENS), "sampling": sampling, "stop": stop}


if __name__ == "__main__":
    from lm_eval.__main__ import cli_evaluate

    cli_evaluate()
