#!/usr/bin/env bash
# Everything that somebody with an MI300X (or another GPU) should send back, in one command, under 20 minutes:
#
#     examples/bench/first-day.sh [--target mi300x] [--out first-day] [--only MODEL] [--layers 8] [--repeat 5] [--tokens 32]
#
# It needs a clone of gsic that `node compiler/setup.mjs --gpu` made ready, python3, the GPU's driver, and for the model
# of Llama-3.1-8B's shape with 8 layers 15 GB of disk. That one has a cache of f16 in bounded mode, beside f32 in exact
# mode, and room for 40,960 tokens. Each step has a log of its own, and a line in summary.txt: its
# exit code, its seconds, its name. A step that fails keeps no other from running. At the end all is in OUT.tar.gz.
# --only MODEL takes one of the models alone: tiny-gpt2, bf16, f16, blocks, norms, windows, large. The environment variable
# GSIC_COMMAND is a command in place of this clone's gsic.
set -u
root=$(cd "$(dirname "$0")/../.." && pwd)
target=mi300x out=first-day only='' layers=8 repeat=5 tokens=32
while [ $# -gt 0 ]; do
  case $1 in
    --target | --out | --only | --layers | --repeat | --tokens)
      [ $# -gt 1 ] || { echo "$1 needs a value" >&2; exit 2; }
      declare "${1#--}=$2"
      shift 2 ;;
    *) echo "unknown option $1: see the head of $0" >&2; exit 2 ;;
  esac
done
mkdir -p "$out" || exit 2
out=$(cd "$out" && pwd)
work=$out/work
mkdir -p "$work"
: > "$out/summary.txt"
gsic=${GSIC_COMMAND:-"node $root/dist/compiler/main.js"}
failed=0

# step NAME COMMAND...: runs a command for at most ten minutes.
step() {
  local name=$1 begin=$SECONDS code
  shift
  echo "$name ..." >&2
  timeout 600 "$@" > "$out/$name.txt" 2> "$out/$name.log" < /dev/null
  code=$?
  [ $code -eq 0 ] || failed=$((failed + 1))
  echo "$code $((SECONDS - begin))s $name" | tee -a "$out/summary.txt" >&2
  return $code
}

# toml NAME SOURCE [LINES]: a model.toml, whose builds have the name.
toml() {
  mkdir -p "$work/$1"
  printf '[model]\nname = "%s"\nsource = "%s"\n%s\n' "$1" "$2" "${3:-}" > "$work/$1/model.toml"
}

# build NAME TARGET: of TARGET "native" the CPU's.
build() {
  local target=()
  [ "$2" = native ] || target=(--target "$2")
  step "$1-build-$2" $gsic build "$work/$1/model.toml" "${target[@]}" --out "$work/$1/$2"
}

# model NAME SOURCE [LINES]: what its machine code counts, and its logits against those of this machine's CPU.
model() {
  toml "$@"
  build "$1" "$target" || return
  step "$1-inspect" $gsic inspect "$work/$1/$target" --json
  cp "$work/$1/$target/report.json" "$out/$1-report.json"
  build "$1" native || return
  check "$1" exact "$1-check"
}

# check NAME MODE STEP: logits of a mode against those of this machine's CPU.
check() {
  step "$3" python3 "$root/examples/bench/check.py" "$work/$1/$target" "$work/$1/native" --mode "$2" --gsic "$gsic"
}

# speed NAME PROMPT...: the whole step behind so many tokens, and each launch alone.
speed() {
  local name=$1 prompt
  shift
  [ -e "$work/$name/$target/report.json" ] || return
  for prompt in "$@"; do
    step "$name-bench-$prompt" $gsic bench "$work/$name/$target" --prompt "$prompt" --tokens "$tokens" --repeat "$repeat" --json
  done
  step "$name-launches" $gsic bench "$work/$name/$target" --launches --repeat "$repeat" --json
}

wanted() { [ -z "$only" ] || [ "$only" = "$1" ]; }

# facts: what this machine is.
facts() {
  uname -a
  git -C "$root" rev-parse HEAD
  lscpu
  for tool in rocm-smi rocminfo nvidia-smi; do command -v "$tool" > /dev/null && "$tool"; done
  return 0
}
export root
export -f facts
step machine bash -c facts
step doctor $gsic doctor

fixtures=$root/compiler/models/fixtures
if wanted tiny-gpt2; then
  model tiny-gpt2 "$root/examples/tiny-gpt2/model"
  speed tiny-gpt2 16
fi
wanted bf16 && model bf16 "$fixtures/llama-bf16"
wanted f16 && model f16 "$fixtures/llama-f16"
wanted blocks && model blocks "$fixtures/llama-gguf/model.gguf"
wanted norms && model norms "$fixtures/gemma3-f32"
wanted windows && model windows "$fixtures/mistral-window"
if wanted large; then
  step large-make python3 "$root/examples/bench/make_model.py" llama-8b --layers "$layers" --context 40960 --out "$work/large-weights" &&
    model large "$work/large-weights" $'context = 40960\n[plan]\nkv = "f16"' &&
    check large bounded large-check-f16
  speed large 128 4096 32768
  [ -e "$work/large/$target/report.json" ] &&
    step large-tune $gsic bench "$work/large/$target" --tune "$out/$target.tuning.toml" --repeat 3 --json
fi

tar -czf "$out.tar.gz" -C "$out" --exclude=work . && echo "send $out.tar.gz; $work may go" >&2
[ $failed -eq 0 ] || { echo "$failed steps failed: see $out/summary.txt and their logs" >&2; exit 1; }
