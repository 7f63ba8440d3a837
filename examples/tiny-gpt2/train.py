"""Train tiny-gpt2: a byte-level BPE tokenizer and a small GPT-2, on the stories of generate.py.

    python3 generate.py && python3 train.py --minutes 18

Needs torch, transformers, tokenizers and safetensors. Writes model/, a Hugging
Face folder: config.json, generation_config.json, model.safetensors (bf16),
tokenizer.json, and the same tokenizer as vocab.json and merges.txt.

Seeded and single-threaded. The length of the run is given in steps, or in
minutes, from which the number of steps follows by timing the first ones: give
--steps to repeat a run.
"""

import argparse
import json
import math
import time
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import GPT2Config, GPT2LMHeadModel

FOLDER = Path(__file__).parent
MODEL = FOLDER / "model"
END_OF_TEXT = "<|endoftext|>"
VOCABULARY = 2048
POSITIONS = 256
BATCH = 8
PEAK_RATE = 2.5e-3
WARM_UP_STEPS = 60
OVERLAP = 13
COMMON_OPENING = "Once upon a time, there was a little"


def training_documents() -> list[str]:
    """The documents of training.txt: one a line, line ends written as \\n."""
    return (FOLDER / "training.txt").read_text(encoding="utf-8").rstrip("\n").replace("\\n", "\0").split("\n")


def byte_level_tokenizer(model: models.BPE) -> Tokenizer:
    """GPT-2's arrangement around a BPE: split by its pattern, bytes as printable characters, no added space."""
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    return tokenizer


def train_tokenizer(documents: list[str]) -> Tokenizer:
    """Learn the merges, and write both forms of the tokenizer."""
    tokenizer = byte_level_tokenizer(models.BPE())
    trainer = trainers.BpeTrainer(vocab_size=VOCABULARY, special_tokens=[END_OF_TEXT],
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    tokenizer.train_from_iterator(documents, trainer)
    MODEL.mkdir(exist_ok=True)
    tokenizer.save(str(MODEL / "tokenizer.json"))
    tokenizer.model.save(str(MODEL))
    settings = {"tokenizer_class": "GPT2Tokenizer", "model_max_length": POSITIONS, "bos_token": END_OF_TEXT,
                "eos_token": END_OF_TEXT, "unk_token": END_OF_TEXT, "add_prefix_space": False}
    (MODEL / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    return tokenizer


def check_tokenizer(tokenizer: Tokenizer, text: str) -> None:
    """vocab.json + merges.txt must say the same as tokenizer.json, and decoding must give the text back."""
    other = byte_level_tokenizer(models.BPE.from_file(str(MODEL / "vocab.json"), str(MODEL / "merges.txt")))
    odd = text + "\t naïve 漢字 \U0001f98a\r\n  it's we'll 42nd"
    ids = tokenizer.encode(odd).ids
    if ids != other.encode(odd).ids or tokenizer.decode(ids) != odd:
        raise SystemExit("the two forms of the tokenizer disagree, or it does not round-trip")


def token_runs(ids: list[int]) -> set[tuple[int, ...]]:
    """All runs of OVERLAP tokens."""
    return {tuple(ids[i:i + OVERLAP]) for i in range(len(ids) - OVERLAP + 1)}


def drop_overlap(tokenizer: Tokenizer) -> tuple[list[int], list[int]]:
    """Drop the held-out stories that share a run with the calibration text; the tokens of both texts."""
    calibration = tokenizer.encode((FOLDER / "calibration.txt").read_text(encoding="utf-8")).ids
    seen = token_runs(calibration)
    told = (FOLDER / "heldout.txt").read_text(encoding="utf-8").rstrip("\n").split("\n\n")
    kept: list[str] = []
    for story in told:
        # The end of a story and the opening of the next are a run too: with the story before it, and a common opening.
        around = "\n\n".join([*kept[-1:], story, COMMON_OPENING])
        if seen.isdisjoint(token_runs(tokenizer.encode(around).ids)):
            kept.append(story)
    text = "\n\n".join(kept) + "\n"
    (FOLDER / "heldout.txt").write_text(text, encoding="utf-8")
    held_out = tokenizer.encode(text).ids
    if seen & token_runs(held_out):
        raise SystemExit("calibration.txt and heldout.txt overlap")
    print(f"calibration {len(calibration)} tokens; held-out {len(held_out)}, {len(told) - len(kept)} stories dropped")
    return calibration, held_out


class Windows:
    """Windows of POSITIONS + 1 tokens of the training stream; half of them begin where a story begins.

    A prompt has nothing before it, so the model must meet the first words of stories at position 0.
    """

    def __init__(self, tokenizer: Tokenizer, documents: list[str]) -> None:
        end = tokenizer.token_to_id(END_OF_TEXT)
        blank = tokenizer.encode("\n").ids * 2  # before a letter, GPT-2's pattern splits "\n\n" in two
        stream: list[int] = []
        starts: list[int] = []
        for document in documents:
            for number, story in enumerate(tokenizer.encode_batch(document.split("\0\0"))):
                stream += blank if number else []
                starts.append(len(stream))
                stream += story.ids
            stream.append(end)
        self.stream = torch.tensor(stream)
        self.last = len(stream) - POSITIONS - 1
        self.starts = torch.tensor([start for start in starts if start <= self.last])

    def draw(self, generator: torch.Generator) -> torch.Tensor:
        """A batch, [BATCH, POSITIONS + 1]."""
        at_story = self.starts[torch.randint(len(self.starts), (BATCH // 2,), generator=generator)]
        anywhere = torch.randint(self.last, (BATCH - BATCH // 2,), generator=generator)
        return torch.stack([self.stream[start:start + POSITIONS + 1] for start in [*at_story, *anywhere]])


def new_model(vocabulary: int, end: int) -> GPT2LMHeadModel:
    """A GPT-2 of four layers: 6 heads of 32, tied embeddings, no dropout (each story is seen about once)."""
    return GPT2LMHeadModel(GPT2Config(
        vocab_size=vocabulary, n_positions=POSITIONS, n_embd=192, n_layer=4, n_head=6,
        activation_function="gelu_new", resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
        bos_token_id=end, eos_token_id=end, tie_word_embeddings=True))


def loss_of(model: GPT2LMHeadModel, batch: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy of the next token, in nats."""
    logits = model(batch[:, :-1]).logits
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), batch[:, 1:].flatten())


@torch.no_grad()
def held_out_loss(model: GPT2LMHeadModel, ids: list[int]) -> float:
    """Loss over the whole text, in windows that do not overlap."""
    windows = torch.tensor(ids[:(len(ids) - 1) // POSITIONS * POSITIONS + 1])
    inputs, targets = windows[:-1].view(-1, POSITIONS), windows[1:].view(-1, POSITIONS)
    batches = [torch.cat((x, y[:, -1:]), 1) for x, y in zip(inputs.split(BATCH), targets.split(BATCH))]
    return sum(loss_of(model, batch).item() * len(batch) for batch in batches) / len(inputs)


def rate_at(step: int, steps: int) -> float:
    """Warm-up, then a cosine to a fiftieth of the peak."""
    if step < WARM_UP_STEPS:
        return PEAK_RATE * (step + 1) / WARM_UP_STEPS
    progress = (step - WARM_UP_STEPS) / max(1, steps - WARM_UP_STEPS)
    return PEAK_RATE * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * progress)))


def optimizer_for(model: GPT2LMHeadModel) -> torch.optim.AdamW:
    """AdamW; only matrices decay."""
    matrices = [p for p in model.parameters() if p.dim() > 1]
    vectors = [p for p in model.parameters() if p.dim() == 1]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, betas=(0.9, 0.95))


def train(model: GPT2LMHeadModel, windows: Windows, held_out: list[int], steps: int | None, minutes: float) -> None:
    """Train in place; without `steps`, choose them to take about `minutes`."""
    optimizer = optimizer_for(model)
    generator = torch.Generator().manual_seed(1)
    started, recent, step = time.time(), 0.0, 0
    while steps is None or step < steps:
        if steps is None and step == WARM_UP_STEPS // 2:
            steps = int(minutes * 60 / ((time.time() - started) / step))
            print(f"{steps} steps", flush=True)
        for group in optimizer.param_groups:
            group["lr"] = rate_at(step, steps or 10 * WARM_UP_STEPS)
        loss = loss_of(model, windows.draw(generator))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        step += 1
        recent = loss.item() if step == 1 else 0.98 * recent + 0.02 * loss.item()
        if step % 200 == 0 or step == steps:
            print(f"step {step}  train {recent:.4f}  held-out {held_out_loss(model, held_out):.4f}  "
                  f"{time.time() - started:.0f} s", flush=True)


@torch.no_grad()
def sample(model: GPT2LMHeadModel, tokenizer: Tokenizer, prompt: str, temperature: float, tokens: int = 64) -> str:
    """Continue a prompt; temperature 0 takes the likeliest token."""
    generator = torch.Generator().manual_seed(1)
    ids = tokenizer.encode(prompt).ids
    for _ in range(tokens):
        logits = model(torch.tensor([ids])).logits[0, -1]
        chosen = torch.multinomial((logits / temperature).softmax(-1), 1, generator=generator) if temperature else logits.argmax()
        ids.append(int(chosen))
    return tokenizer.decode(ids, skip_special_tokens=False)


def main() -> None:
    parser = argparse.ArgumentParser(description="Train tiny-gpt2.")
    parser.add_argument("--minutes", type=float, default=18, help="about how long to train, if --steps is not given")
    parser.add_argument("--steps", type=int, help="how many steps of 2,048 tokens to train")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(1)
    torch.use_deterministic_algorithms(True)

    documents = training_documents()
    tokenizer = train_tokenizer([document.replace("\0", "\n") for document in documents])
    calibration, held_out = drop_overlap(tokenizer)
    check_tokenizer(tokenizer, tokenizer.decode(calibration))

    windows = Windows(tokenizer, documents)
    print(f"vocabulary {tokenizer.get_vocab_size()}, training stream {len(windows.stream)} tokens")
    model = new_model(tokenizer.get_vocab_size(), tokenizer.token_to_id(END_OF_TEXT))
    print(f"{sum(p.numel() for p in model.parameters())} parameters", flush=True)
    train(model, windows, held_out, arguments.steps, arguments.minutes)

    model.to(torch.bfloat16).save_pretrained(MODEL)
    model = GPT2LMHeadModel.from_pretrained(MODEL, dtype=torch.float32)
    print(f"held-out loss of the weights as saved: {held_out_loss(model, held_out):.4f}")
    for prompt in ("Once upon a time", "Once upon", "The little fox"):
        for temperature in (0, 0.8):
            print(f"\n[{prompt!r}, temperature {temperature}]\n{sample(model, tokenizer, prompt, temperature)}")


if __name__ == "__main__":
    main()
