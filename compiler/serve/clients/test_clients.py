"""Clients in Python against a server of tiny-gpt2, which writes stories: what it must say is forced."""

import json
import os
from typing import Literal

import litellm
import pytest
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from openai import BadRequestError, OpenAI
from pydantic import BaseModel, Field

URL = os.environ["GSIC_SERVER"] + "/v1"
MODEL = "tiny-gpt2"
client = OpenAI(base_url=URL, api_key="none", max_retries=0)
chat = ChatOpenAI(model=MODEL, base_url=URL, api_key="none", temperature=1)


class Animal(BaseModel):
    kind: Literal["fox", "bear", "owl"]
    legs: int = Field(ge=0, le=8)
    awake: bool


class Sum(BaseModel):
    """Adds two digits."""

    a: int = Field(ge=0, le=9)
    b: int = Field(ge=0, le=9)


@tool
def add(a: int, b: int) -> int:
    """Adds."""
    return a + b


TOOLS = [{"type": "function", "function": {"name": "add", "parameters": Sum.model_json_schema()}}]
MESSAGES = [{"role": "user", "content": "Add"}]


def test_openai_completions_tell_what_they_echo() -> None:
    answer = client.completions.create(
        model=MODEL, prompt="Once upon a time", max_tokens=5, temperature=0, logprobs=2, echo=True, seed=2**63 + 5
    )
    told = answer.choices[0].logprobs
    assert answer.choices[0].text.startswith("Once upon a time")
    assert "".join(told.tokens) == answer.choices[0].text
    assert told.token_logprobs[0] is None and all(one < 0 for one in told.token_logprobs[1:])
    assert told.text_offset[1] == len(told.tokens[0])


def test_openai_seeds_of_64_bits_differ_in_their_last_bit() -> None:
    def text(seed: int) -> str:
        request = dict(model=MODEL, prompt="Once", max_tokens=30, temperature=1.5)
        return client.completions.create(**request, seed=seed).choices[0].text

    assert text(2**63 - 1) == text(2**63 - 1)
    assert text(2**63 - 1) != text(2**63 - 2)
    with pytest.raises(BadRequestError, match="64 bits"):
        text(2**64)


def test_openai_parses_objects_and_streams_tools() -> None:
    answer = client.chat.completions.parse(model=MODEL, messages=MESSAGES, response_format=Animal, temperature=2)
    assert isinstance(answer.choices[0].message.parsed, Animal)
    choice = {"type": "function", "function": {"name": "add"}}
    with client.chat.completions.stream(model=MODEL, messages=MESSAGES, tools=TOOLS, tool_choice=choice) as stream:
        final = stream.get_final_completion()
    call = final.choices[0].message.tool_calls[0]
    assert call.function.name == "add"
    Sum.model_validate_json(call.function.arguments)


def test_openai_embeds() -> None:
    answer = client.embeddings.create(model=MODEL, input=["A fox", "A bear"])
    assert [len(one.embedding) for one in answer.data] == [len(answer.data[0].embedding)] * 2
    assert abs(sum(x * x for x in answer.data[0].embedding) - 1) < 1e-5


def test_langchain_calls_tools_and_takes_their_answers() -> None:
    question = HumanMessage("Add")
    answer = chat.bind_tools([add], tool_choice="any").invoke([question])
    results = [ToolMessage(str(one["args"]), tool_call_id=one["id"]) for one in answer.tool_calls]
    assert answer.tool_calls[0]["name"] == "add" and set(answer.tool_calls[0]["args"]) == {"a", "b"}
    last = chat.bind(max_tokens=8).invoke([question, answer, results[0]])
    assert isinstance(last.content, str)


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
def test_langchain_has_structured_output(method: str) -> None:
    found = chat.with_structured_output(Animal, method=method).invoke("An animal")
    assert isinstance(found, Animal)


def test_langchain_streams() -> None:
    text = "".join(part.content for part in chat.bind(max_tokens=10).stream("A story"))
    assert text != ""


def test_litellm() -> None:
    request = dict(model=f"openai/{MODEL}", api_base=URL, api_key="none", messages=MESSAGES)
    plain = litellm.completion(**request, max_tokens=10, temperature=0)
    assert plain.usage.completion_tokens == 10
    streamed = litellm.completion(**request, max_tokens=10, temperature=0, stream=True)
    assert "".join(part.choices[0].delta.content or "" for part in streamed) == plain.choices[0].message.content
    called = litellm.completion(**request, tools=TOOLS, tool_choice="required")
    Sum.model_validate(json.loads(called.choices[0].message.tool_calls[0].function.arguments))
    schema = litellm.completion(**request, response_format=Animal)
    Animal.model_validate_json(schema.choices[0].message.content)
