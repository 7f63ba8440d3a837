"""
Generates by vLLM in a process of its own, and prints a JSON document: the ids, the log-probability of each, and the
layers that gsic computes. Arguments: the checkpoint, the ids of the prompt, and options of vllm.LLM, the last two as JSON.
"""

import json
import sys


def layers_by_gsic(model):
    methods = {name: getattr(module, "quant_method", None) for name, module in model.named_modules()}
    return [name for name, method in methods.items() if type(method).__name__ == "GsicLinearMethod"]


def main(checkpoint, prompt, options):
    # The engine's process finds the function by the name of its module, which is not __main__ there.
    from vllm_generate import layers_by_gsic

    from vllm import LLM, SamplingParams

    llm = LLM(
        checkpoint, skip_tokenizer_init=True, max_model_len=64, max_num_seqs=2, disable_log_stats=True, **options
    )
    sampling = SamplingParams(temperature=0, max_tokens=16, ignore_eos=True, detokenize=False, logprobs=0)
    made = llm.generate([{"prompt_token_ids": prompt}], sampling, use_tqdm=False)[0].outputs[0]
    logprobs = [one[id].logprob for id, one in zip(made.token_ids, made.logprobs)]
    print(json.dumps({"ids": list(made.token_ids), "logprobs": logprobs, "layers": llm.apply_model(layers_by_gsic)[0]}))


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]), json.loads(sys.argv[3]))
