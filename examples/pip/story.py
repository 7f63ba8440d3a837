"""Prints a story as it is generated, and how likely its words were: python story.py build/tiny-gpt2 "The little fox" """

import math
import sys

import gsic

build, prompt = sys.argv[1:3]
with gsic.load(build) as model:
    print(prompt, end="")
    for token in model.stream(prompt, max_tokens=60):
        print(token.text, end="", flush=True)
    print()

    # Several at once share passes over the weights; each is, bit for bit, what it is alone.
    warm = gsic.Sampling(temperature=0.8, top_p=0.95, seed=7)
    for story in model.generate_all([prompt, "One day"], max_tokens=20, sampling=warm, stop=["."]):
        print(f"({story.end}) {story.text!r}")

    scored = [one for one in model.score(prompt, alternatives=1) if one.log_probability is not None]
    for one in scored:
        likeliest = model.decode([one.alternatives[0].id])
        print(f"{one.text!r}: {one.log_probability:.3f}, likeliest {likeliest!r}")
    print(f"perplexity {math.exp(-sum(one.log_probability for one in scored) / len(scored)):.2f}")
