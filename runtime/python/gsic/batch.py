"""Requests that share passes over a model's weights, and the streams of their tokens."""

import threading
from collections import deque
from collections.abc import Callable
from ctypes import byref, c_uint64, c_void_p
from dataclasses import dataclass, field
from itertools import count
from math import isnan
from types import TracebackType
from typing import Any

from .errors import GsicError
from .generation import Alternative, End, Generation, Request, StopText, Token
from .header import BatchOptions, Event, EventCallback, RequestOptions
from .integers import MOST_32, MOST_64, id_array, whole
from .library import Opened, encoded

_WAIT = 1000
"""Milliseconds that a pass waits for work, where there is none."""
_FAILED = 5
_ENDS: dict[int, End] = {1: "limit", 2: "end_of_text", 3: "context", 4: "cancelled"}
"""The numbers of gsic_end."""


@dataclass
class _Heard:
    """What the runtime has said of one request, and nobody has asked for yet."""

    is_scored: bool
    """Whether its events have log-probabilities."""
    tokens: deque[Token] = field(default_factory=deque)
    end: End | None = None
    error: GsicError | None = None

    def has_news(self) -> bool:
        """Whether there is a token, or the end, to tell of."""
        return len(self.tokens) > 0 or self.end is not None or self.error is not None


class Batch:
    """The requests of one model in one mode. Any threads may ask: one runs a pass, the others wait for it."""

    def __init__(self, opened: Opened, mode: str | None):
        self._handle = c_void_p()
        self._opened = opened
        options = BatchOptions(encoded(mode), 0)
        opened.check(opened.library.gsic_batch_open(opened.use(), byref(options), byref(self._handle)))
        opened.parts.add(self)
        self._running = threading.Lock()
        self._numbers = count(1)
        self._heard: dict[int, _Heard] = {}
        self._raised: list[BaseException] = []
        self._callback = EventCallback(_listener(self._heard, self._raised))

    def submit(self, request: Request) -> "Stream":
        """
        Adds a request. GsicError if it cannot be: an empty prompt, an id that is none, more than a context; ValueError for
        a number that is out of its range.
        """
        prompt, stop_ids = id_array(request.prompt), id_array(request.stop_ids)
        options = RequestOptions(
            prompt=prompt,
            prompt_count=len(prompt),
            limit=whole(request.max_tokens, "max_tokens", MOST_64),
            sampling=request.sampling.options(),
            stop_ids=stop_ids,
            stop_count=len(stop_ids),
            log_probabilities=request.is_scored,
            alternatives=whole(request.alternatives, "alternatives", MOST_32),
            score_prompt=request.score_prompt,
            callback=self._callback,
        )
        number, ticket = next(self._numbers), c_uint64()
        options.user = number
        heard = self._heard[number] = _Heard(request.is_scored)
        try:
            submit = self._opened.library.gsic_batch_submit
            self._opened.check(submit(self._use(), byref(options), byref(ticket)))
        except BaseException:
            del self._heard[number]
            raise
        return Stream(self, number, ticket.value, heard, StopText(request.stop))

    def run(self, is_enough: Callable[[], bool]) -> None:
        """Runs passes until `is_enough`. What a callback raised, as KeyboardInterrupt, is raised here."""
        while not is_enough():
            with self._running:
                # Another thread's pass may have brought it meanwhile.
                if not is_enough():
                    self._opened.check(self._opened.library.gsic_batch_run(self._use(), _WAIT))
                    if self._raised:
                        raise self._raised.pop()

    def cancel(self, number: int, ticket: int) -> None:
        """Ends a request that nobody waits for any more."""
        self._heard.pop(number, None)
        if self._handle:
            self._opened.library.gsic_batch_cancel(self._handle, ticket)

    def close(self) -> None:
        """Ends all requests, and gives back their KV cache; nothing happens the second time."""
        if self._handle:
            with self._running:
                self._opened.library.gsic_batch_close(self._handle)
                self._handle = c_void_p()

    def _use(self) -> c_void_p:
        if not self._handle:
            raise ValueError("the model is closed")
        return self._handle

    def __del__(self) -> None:
        self.close()


class Stream:
    """
    The tokens of one text, as they come: an iterator of `Token`. The passes run while somebody asks for the next one; all
    open streams of a model advance together. GsicError where the runtime fails. Close it, or use it in a `with`
    statement, to end a text early.
    """

    def __init__(self, batch: Batch, number: int, ticket: int, heard: _Heard, stop: StopText):
        self._batch, self._number, self._ticket = batch, number, ticket
        self._heard, self._stop = heard, stop
        self.end: End | None = None
        """Why the text ended; None while it goes on."""

    def __iter__(self) -> "Stream":
        return self

    def __next__(self) -> Token:
        if self.end is not None:
            raise StopIteration
        heard = self._heard
        self._batch.run(heard.has_news)
        if heard.tokens:
            return self._shown(heard.tokens.popleft())
        self.close(heard.end)
        if heard.error is not None:
            raise heard.error
        raise StopIteration

    def _shown(self, token: Token) -> Token:
        """The token with what may be shown of its text. The last token brings what was kept back for `stop`."""
        text, has_ended = self._stop.take(token.text)
        if has_ended:
            self.close("stop")
        elif self._stop.keeps():
            self._batch.run(self._heard.has_news)
            if not self._heard.tokens:
                text += self._stop.rest()
        return Token(token.id, text, token.log_probability, token.alternatives)

    def read(self) -> Generation:
        """All that is to come."""
        tokens = list(self)
        return Generation("".join(token.text for token in tokens), tokens, self.end or "cancelled")

    def close(self, end: End | None = "cancelled") -> None:
        """Ends the text, if it has not ended."""
        if self.end is None:
            self.end = end or "cancelled"
            self._batch.cancel(self._number, self._ticket)

    def __enter__(self) -> "Stream":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()


def _listener(heard: dict[int, _Heard], raised: list[BaseException]) -> Callable[[Any, Any], int]:
    """What gsic_batch_run calls for each event: it may not raise, and may not hold the batch."""

    def listen(event: Any, user: Any) -> int:
        try:
            one = heard.get(user)
            if one is None:
                return 1
            _hear(one, event.contents)
        except BaseException as error:
            raised.append(error)
        return 0

    return listen


def _hear(heard: _Heard, event: Event) -> None:
    text = event.text[: event.text_bytes].decode(errors="replace") if event.text_bytes else ""
    if event.end == _FAILED:
        heard.error = GsicError(event.status, text)
    elif event.end != 0:
        heard.end = _ENDS[event.end]
    else:
        likely = event.alternatives[: event.alternative_count]
        alternatives = tuple(Alternative(one.id, one.log_probability) for one in likely)
        is_known = heard.is_scored and not isnan(event.log_probability)
        heard.tokens.append(Token(event.id, text, event.log_probability if is_known else None, alternatives))
