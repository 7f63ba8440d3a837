"""The structures and functions of gsic.h, for ctypes."""

import ctypes
from ctypes import (
    CFUNCTYPE,
    POINTER,
    c_char_p,
    c_float,
    c_int,
    c_int32,
    c_size_t,
    c_uint32,
    c_uint64,
    c_void_p,
)

ABI_VERSION = 2

INVALID_ARGUMENT = 1
BAD_BUNDLE = 2
"""Numbers of gsic_status."""


class OpenOptions(ctypes.Structure):
    _fields_ = [("threads", c_uint32), ("target", c_char_p), ("skip_verification", c_int), ("device", c_uint32)]


class ModelInfo(ctypes.Structure):
    _fields_ = [
        ("name", c_char_p),
        ("family", c_char_p),
        ("target", c_char_p),
        ("modes", c_char_p),
        ("vocabulary", c_uint32),
        ("context", c_uint32),
        ("threads", c_uint32),
        ("has_tokenizer", c_int),
        ("end_of_text", c_int32),
        ("hidden", c_uint32),
    ]


class LinearInfo(ctypes.Structure):
    _fields_ = [
        ("name", c_char_p),
        ("tensor", c_char_p),
        ("first", c_uint32),
        ("out", c_uint32),
        ("d", c_uint32),
        ("has_bias", c_int),
        ("call", c_uint32),
        ("column", c_uint32),
        ("width", c_uint32),
    ]


class Bias(ctypes.Structure):
    _fields_ = [("id", c_int32), ("value", c_float)]


class SamplingOptions(ctypes.Structure):
    _fields_ = [
        ("temperature", c_float),
        ("top_k", c_uint32),
        ("top_p", c_float),
        ("seed", c_uint64),
        ("min_p", c_float),
        ("repetition_penalty", c_float),
        ("presence_penalty", c_float),
        ("frequency_penalty", c_float),
        ("bias", POINTER(Bias)),
        ("bias_count", c_size_t),
    ]


class BatchOptions(ctypes.Structure):
    _fields_ = [("mode", c_char_p), ("cache_bytes", c_uint64)]


class AlternativeInfo(ctypes.Structure):
    _fields_ = [("id", c_int32), ("log_probability", c_float)]


class Event(ctypes.Structure):
    _fields_ = [
        ("ticket", c_uint64),
        ("end", c_int),
        ("status", c_int),
        ("id", c_int32),
        ("of_prompt", c_int),
        ("log_probability", c_float),
        ("alternatives", POINTER(AlternativeInfo)),
        ("alternative_count", c_size_t),
        ("text", POINTER(ctypes.c_char)),
        ("text_bytes", c_size_t),
        ("proposed_tokens", c_uint64),
        ("accepted_tokens", c_uint64),
        ("asks", c_int),
    ]


EventCallback = CFUNCTYPE(c_int, POINTER(Event), c_void_p)


class RequestOptions(ctypes.Structure):
    _fields_ = [
        ("prompt", POINTER(c_int32)),
        ("prompt_count", c_size_t),
        ("limit", c_size_t),
        ("sampling", SamplingOptions),
        ("stop_ids", POINTER(c_int32)),
        ("stop_count", c_size_t),
        ("window", c_size_t),
        ("log_probabilities", c_int),
        ("alternatives", c_uint32),
        ("score_prompt", c_int),
        ("constrained", c_int),
        ("callback", EventCallback),
        ("user", c_void_p),
    ]


_out = POINTER(c_void_p)
_ids = POINTER(c_int32)

STATUS_FUNCTIONS = {
    "gsic_open": [c_char_p, POINTER(OpenOptions), _out],
    "gsic_describe": [c_void_p, POINTER(ModelInfo)],
    "gsic_encode": [c_void_p, c_char_p, c_size_t, c_int, _ids, POINTER(c_size_t)],
    "gsic_token_bytes": [c_void_p, c_int32, POINTER(c_void_p), POINTER(c_size_t)],
    "gsic_session_open": [c_void_p, c_char_p, _out],
    "gsic_session_rewind": [c_void_p, c_size_t],
    "gsic_evaluate": [c_void_p, _ids, c_size_t, c_void_p, c_size_t],
    "gsic_batch_open": [c_void_p, POINTER(BatchOptions), _out],
    "gsic_batch_submit": [c_void_p, POINTER(RequestOptions), POINTER(c_uint64)],
    "gsic_batch_cancel": [c_void_p, c_uint64],
    "gsic_batch_run": [c_void_p, c_uint32],
    "gsic_linears_open": [c_void_p, c_char_p, _out],
    "gsic_linears_describe": [c_void_p, c_size_t, POINTER(LinearInfo)],
    "gsic_linears_run": [c_void_p, c_uint32, c_void_p, c_size_t, c_void_p],
    "gsic_linears_enqueue": [c_void_p, c_uint32, c_void_p, c_size_t, c_void_p, c_void_p],
}
"""Functions that return a gsic_status, with their arguments."""

COUNT_FUNCTIONS = ("gsic_session_length", "gsic_linears_count")
"""Functions of a handle that return a size_t."""

CLOSE_FUNCTIONS = ("gsic_close", "gsic_session_close", "gsic_batch_close", "gsic_linears_close")
"""Functions that take a handle and return nothing."""


def declare(library: ctypes.CDLL) -> None:
    """Tells ctypes the types of all functions that this package calls. AttributeError if the library lacks one."""
    for name, arguments in STATUS_FUNCTIONS.items():
        function = getattr(library, name)
        function.argtypes, function.restype = arguments, c_int
    for name in COUNT_FUNCTIONS:
        function = getattr(library, name)
        function.argtypes, function.restype = [c_void_p], c_size_t
    for name in CLOSE_FUNCTIONS:
        function = getattr(library, name)
        function.argtypes, function.restype = [c_void_p], None
    library.gsic_last_error.argtypes = []
    library.gsic_last_error.restype = c_char_p
