"""A whole model: text, streams, logits and scores of tokens."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from ctypes import byref, c_int32, c_size_t, c_void_p, string_at
from types import TracebackType
from typing import TYPE_CHECKING

from .batch import Batch, Stream
from .errors import GsicError
from .generation import Generation, Options, Request, Token
from .header import INVALID_ARGUMENT
from .integers import token_id
from .library import Opened
from .session import Session

if TYPE_CHECKING:
    from typing_extensions import Unpack

Prompt = str | Sequence[int]
"""A text, or the ids of its tokens."""


def load(
    build: str | os.PathLike[str],
    mode: str | None = None,
    *,
    threads: int = 0,
    target: str | None = None,
    device: int = 0,
) -> Model:
    """
    Opens a build: the folder that `gsic build` writes, or its bundle, a .gsi file. `mode` is "exact", "bounded" or
    "lossless" (None: the build's default), `threads` the number of CPU threads (0: the cores that this process may use),
    `target` the name of a target in the build (None: the best that this machine can run), `device` a GPU's number.

    FileNotFoundError where there is no build; GsicError where it is damaged, of another version, built for other machines,
    or lacks the mode.
    """
    return Model(build, mode, threads=threads, target=target, device=device)


class Model:
    """
    An opened build. Any threads may use it: requests of all of them share passes over the weights, and each gets, bit for
    bit, the text that it gets alone. Use it in a `with` statement, or close it.
    """

    def __init__(
        self,
        build: str | os.PathLike[str],
        mode: str | None = None,
        *,
        threads: int = 0,
        target: str | None = None,
        device: int = 0,
    ):
        self.opened = opened = Opened(build, threads, target, device)
        info = opened.info
        self.name: str = info.name.decode()
        self.family: str = info.family.decode()
        self.target: str = info.target.decode()
        """The target whose kernels run."""
        self.modes: list[str] = info.modes.decode().split(",")
        """The build's default first."""
        self.mode = mode or self.modes[0]
        """The mode of this model's texts."""
        self.vocabulary: int = info.vocabulary
        self.context: int = info.context
        """Most tokens of a text."""
        self.threads: int = info.threads
        self.end_of_text: int | None = info.end_of_text if info.end_of_text >= 0 else None
        """The token that ends a text."""
        if self.mode not in self.modes:
            opened.close()
            message = f"{build}: there is no mode '{mode}'; the modes are: {', '.join(self.modes)}"
            raise GsicError(INVALID_ARGUMENT, message)
        self._batch: Batch | None = None

    def encode(self, text: str, *, parse_special: bool = False) -> list[int]:
        """
        Ids of a text's tokens, behind what the tokenizer puts in front of every text. Special tokens such as <|im_start|>
        are recognised with `parse_special`, and stay text without. GsicError if the model has no tokenizer.
        """
        opened, data = self.opened, text.encode()
        # A token has a byte at least; the tokenizer puts few in front.
        count = c_size_t(len(data) + 8)
        while True:
            room = count.value
            ids = (c_int32 * room)()
            status = opened.library.gsic_encode(opened.use(), data, len(data), parse_special, ids, byref(count))
            if status == 0:
                return ids[: count.value]
            if count.value <= room:
                opened.check(status)

    def token_bytes(self, id: int) -> bytes:
        """What a token stands for; not always whole characters. GsicError if the id is none."""
        opened, own = self.opened, token_id(id)
        text, length = c_void_p(), c_size_t()
        opened.check(opened.library.gsic_token_bytes(opened.use(), own, byref(text), byref(length)))
        return string_at(text, length.value) if length.value else b""

    def decode(self, ids: Iterable[int]) -> str:
        """The text of tokens, special ones included; bytes that are no characters become U+FFFD."""
        return b"".join(self.token_bytes(id) for id in ids).decode(errors="replace")

    def stream(self, prompt: Prompt, **options: Unpack[Options]) -> Stream:
        """
        Continues a prompt, token by token: `for token in model.stream("Once"): print(token.text, end="")`. It ends after
        `max_tokens` (128), at the model's end of text or a token of `stop_ids`, before a text of `stop`, or where the
        context is full. `log_probabilities=True` asks for those of the tokens, `alternatives=n` for n likeliest in each
        place too. Greedy, unless `sampling` says otherwise. GsicError if the prompt is empty or longer than the context.
        """
        return self._requests().submit(Request(self._ids(prompt), **options))

    def generate(self, prompt: Prompt, **options: Unpack[Options]) -> Generation:
        """The whole text that `stream` gives, with its tokens and why it ended."""
        with self.stream(prompt, **options) as stream:
            return stream.read()

    def generate_all(self, prompts: Iterable[Prompt], **options: Unpack[Options]) -> list[Generation]:
        """As `generate`, for many prompts, which share passes over the weights."""
        streams = [self.stream(prompt, **options) for prompt in prompts]
        return [stream.read() for stream in streams]

    def score(self, text: Prompt, *, alternatives: int = 0) -> list[Token]:
        """
        The tokens of a text with their log-probabilities, each behind all before it, and so many likeliest tokens in its
        place. The first has none: nothing is before it. GsicError if the text is empty, or longer than the context.
        """
        request = Request(self._ids(text), 0, alternatives=alternatives, score_prompt=True)
        with self._requests().submit(request) as stream:
            scored = stream.read().tokens
        return [Token(one.id, self._text(one.id), one.log_probability, one.alternatives) for one in scored]

    def logits(self, text: Prompt, mode: str | None = None) -> memoryview[float]:
        """
        The logits behind every token of a text: f32 [tokens, vocabulary], which NumPy and PyTorch take as it is
        (np.asarray, torch.frombuffer). `mode` in place of the model's own.
        """
        with self.session(mode) as session:
            return session.evaluate(self._ids(text))

    def session(self, mode: str | None = None) -> Session:
        """A sequence of its own that grows and goes back, in `mode` or else the model's own."""
        return Session(self.opened, mode or self.mode)

    def close(self) -> None:
        """Gives everything back, and ends what is open; nothing happens the second time."""
        self.opened.close()

    def _requests(self) -> Batch:
        if self._batch is None:
            self._batch = Batch(self.opened, self.mode)
        return self._batch

    def _ids(self, prompt: Prompt) -> Sequence[int]:
        if isinstance(prompt, bytes):
            raise TypeError("a prompt is a text, or ids of tokens, and not bytes; decode them")
        return self.encode(prompt) if isinstance(prompt, str) else prompt

    def _text(self, id: int) -> str:
        """What a token stands for; its id where the model has no tokenizer."""
        return self.token_bytes(id).decode(errors="replace") if self.opened.info.has_tokenizer else ""

    def __enter__(self) -> Model:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"gsic.Model({self.name!r}, mode={self.mode!r}, target={self.target!r})"
