"""What is asked of a model, and what it answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypedDict

from .header import Bias, SamplingOptions
from .integers import MOST_32, MOST_64, token_id, whole

End = Literal["limit", "end_of_text", "context", "stop", "cancelled"]
"""
Why a text ended: it has as many tokens as were asked for; the model's own end of text, or one of `stop_ids`; the context
is full; one of the texts of `stop` came; it was closed.
"""


@dataclass(frozen=True)
class Sampling:
    """
    How tokens are chosen. First the model's logits are changed, by the penalties and by `bias`, in this order; then come
    temperature, top_k, top_p and min_p. The same seed gives the same text, alone or in any company.
    """

    temperature: float = 0.0
    """0: greedy, the likeliest token."""
    top_k: int = 0
    """Only the so many likeliest; 0: all."""
    top_p: float = 1.0
    """Only the likeliest that have this probability together."""
    min_p: float = 0.0
    """Only those that have at least so many times the probability of the likeliest."""
    seed: int = 0
    """From 0 to 2^64 - 1."""
    repetition_penalty: float = 1.0
    """Divides positive logits of tokens of the text, and multiplies negative ones."""
    presence_penalty: float = 0.0
    """Is taken from the logits of generated tokens."""
    frequency_penalty: float = 0.0
    """The same, for each time that the token was generated."""
    bias: Mapping[int, float] = field(default_factory=dict)
    """Is added to the logit of a token, by its id."""

    def options(self) -> SamplingOptions:
        """As gsic.h takes it. ValueError for an integer that is out of its range, GsicError for an id that is none."""
        bias = (Bias * len(self.bias))(*(Bias(token_id(id), value) for id, value in self.bias.items()))
        return SamplingOptions(
            self.temperature,
            whole(self.top_k, "top_k", MOST_32),
            self.top_p,
            whole(self.seed, "seed", MOST_64),
            self.min_p,
            self.repetition_penalty,
            self.presence_penalty,
            self.frequency_penalty,
            bias,
            len(bias),
        )


class Options(TypedDict, total=False):
    """What may be said of a text besides its prompt."""

    max_tokens: int
    """128 where nothing is said."""
    sampling: Sampling
    """How tokens are chosen; greedily where nothing is said."""
    stop: Sequence[str]
    """The text ends before the first of these that comes; a text of its own stands for a list of it."""
    stop_ids: Sequence[int]
    """Tokens that end the text, besides the model's end of text."""
    log_probabilities: bool
    """Whether tokens have theirs."""
    alternatives: int
    """Of so many likeliest tokens in each place, too."""


@dataclass(frozen=True)
class Request:
    """A prompt and what is asked for; the fields that `Options` has are its."""

    prompt: Sequence[int]
    max_tokens: int = 128
    sampling: Sampling = Sampling()
    stop: Sequence[str] = ()
    stop_ids: Sequence[int] = ()
    log_probabilities: bool = False
    alternatives: int = 0
    score_prompt: bool = False
    """Whether the prompt's tokens come too, with their log-probabilities."""

    @property
    def is_scored(self) -> bool:
        """Whether anything has a log-probability."""
        return self.log_probabilities or self.score_prompt or self.alternatives > 0


@dataclass(frozen=True)
class Alternative:
    """A token that might stand in a place."""

    id: int
    log_probability: float
    """The natural logarithm of its probability there."""


@dataclass(frozen=True)
class Token:
    """
    A token of a text. Log-probabilities are natural logarithms of the model's own probabilities: before penalties, biases
    and temperature.
    """

    id: int
    text: str
    """What can be shown after it, in whole characters; empty in the middle of one, or while `stop` might begin."""
    log_probability: float | None
    """None where it was not asked for, and of the first token of a scored text."""
    alternatives: tuple[Alternative, ...]
    """The likeliest tokens in its place, likeliest first: as many as were asked for."""


@dataclass(frozen=True)
class Generation:
    """A whole text."""

    text: str
    tokens: list[Token]
    end: End

    @property
    def ids(self) -> list[int]:
        """Ids of the tokens."""
        return [token.id for token in self.tokens]


class StopText:
    """Ends a text before the first of some texts, and keeps back what might be the beginning of one."""

    def __init__(self, texts: Sequence[str]):
        # A text is a sequence of texts, too: of its characters, which nobody means.
        self._texts = [text for text in ([texts] if isinstance(texts, str) else texts) if text]
        self._kept = ""

    def take(self, text: str) -> tuple[str, bool]:
        """What may be shown now that `text` has come, and whether the text has ended."""
        self._kept += text
        found = [at for at in (self._kept.find(stop) for stop in self._texts) if at >= 0]
        if found:
            shown, self._kept = self._kept[: min(found)], ""
            return shown, True
        kept = max((self._overlap(stop) for stop in self._texts), default=0)
        cut = len(self._kept) - kept
        shown, self._kept = self._kept[:cut], self._kept[cut:]
        return shown, False

    def keeps(self) -> bool:
        """Whether something is kept back."""
        return self._kept != ""

    def rest(self) -> str:
        """What was kept back, at the end."""
        kept, self._kept = self._kept, ""
        return kept

    def _overlap(self, stop: str) -> int:
        """How many characters at the end of what is kept are the beginning of `stop`."""
        longest = min(len(stop) - 1, len(self._kept))
        return next((n for n in range(longest, 0, -1) if self._kept.endswith(stop[:n])), 0)
