"""The error that the runtime's calls end in."""


class GsicError(RuntimeError):
    """A call failed; `status` is gsic.h's number, the message says what, where, and what next."""

    def __init__(self, status: int, message: str):
        super().__init__(message)
        self.status = status
