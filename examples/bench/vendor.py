"""Times PyTorch's matrix-vector product (hipBLASLt, cuBLASLt and what PyTorch picks) on the shapes of a gsic build.

    python3 vendor.py launches.json                    # what `gsic bench build/NAME --launches --json` printed
    python3 vendor.py --shape 4096x4096 --shape 16384x4096 [--type bf16]

As gsic measures: a HIP or CUDA graph of torch.nn.functional.linear for one token, on copies of the weights that take
turns, so that more than 512 MB lie between two reads of the same byte (cold), and on one copy (cached); median of
--repeat. The read ceiling of the same run is a sum over 1 GiB. Needs torch with a device; without one it says so and
ends with code 4.
"""

import argparse
import json
import re
import statistics
import sys
import time

BETWEEN = 640 << 20
TYPES = {"bf16": ("bfloat16", 2), "f16": ("float16", 2), "f32": ("float32", 4)}


def captured(torch, work, launches):
    """A graph of `work(0)` to `work(launches - 1)`."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for i in range(min(launches, 3)):
            work(i)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for i in range(launches):
            work(i)
    return graph


def seconds(torch, graph):
    torch.cuda.synchronize()
    start = time.perf_counter()
    graph.replay()
    torch.cuda.synchronize()
    return time.perf_counter() - start


def measure(torch, graph, launches, repeat, before=lambda: None):
    graph.replay()
    times = []
    for _ in range(repeat):
        before()
        times.append(seconds(torch, graph) / launches)
    return statistics.median(times), (max(times) - min(times)) / 2


def table(rows):
    """The columns of `gsic bench --launches`."""
    head = ["kernel", "in step", "weights", "cold, us", "GB/s", "of ceiling", "cached, us"]
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    for row in [head, *rows]:
        print("  ".join(cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths))))


def shapes_of(options):
    """(type, out, d, launches in a step): of gsic's JSON, or as given."""
    found = [(options.type, *map(int, shape.split("x")), 1) for shape in options.shape]
    if options.launches is None:
        return found
    with open(options.launches) as file:
        document = json.load(file)
    for one in document["launches"]:
        match = re.match(r"gsic_(project|glu|head)_([a-z0-9]+?)_(\d+)x(\d+)", one["kernel"])
        if match is None or one["gate"] == "closed":
            continue
        role, kind, out, d = match[1], match[2], int(match[3]), int(match[4])
        # A pair is one product of twice the rows; types that PyTorch has not are compared with bf16.
        found.append((kind if kind in TYPES else "bf16", 2 * out if role == "glu" else out, d, one["in_step"]))
    return found


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("launches", nargs="?", help="JSON of gsic bench --launches --json")
    arguments.add_argument("--shape", action="append", default=[], help="OUTxD; may be repeated")
    arguments.add_argument("--type", choices=sorted(TYPES), default="bf16", help="of --shape")
    arguments.add_argument("--repeat", type=int, default=20)
    arguments.add_argument("--json", action="store_true")
    options = arguments.parse_args()
    shapes = shapes_of(options)
    if not shapes:
        arguments.error("give the JSON of gsic bench --launches, or --shape")
    try:
        import torch
    except ImportError:
        print("vendor.py: there is no torch here: pip install torch, in the variant for your device", file=sys.stderr)
        sys.exit(4)
    if not torch.cuda.is_available():
        print("vendor.py: torch sees no GPU here", file=sys.stderr)
        sys.exit(4)

    buffer = torch.randint(0, 1 << 30, ((1 << 30) // 4,), dtype=torch.int32, device="cuda")

    def flush():
        buffer.sum()
        torch.cuda.synchronize()

    reading = captured(torch, lambda i: buffer.sum(), 8)
    read_seconds, _ = measure(torch, reading, 8, options.repeat)
    ceiling = buffer.numel() * 4 / read_seconds
    rows, document = [], []
    for kind, out, d, count in shapes:
        name, width = TYPES[kind]
        size = out * d * width
        copies = max(1, min(1024, -(-BETWEEN // size)))
        dtype = getattr(torch, name)
        weights = [torch.randn(out, d, device="cuda", dtype=dtype) for _ in range(copies)]
        x = torch.randn(1, d, device="cuda", dtype=dtype)
        launches = copies * max(1, 64 // copies)
        cold_graph = captured(torch, lambda i: torch.nn.functional.linear(x, weights[i % copies]), launches)
        cached_graph = captured(torch, lambda i: torch.nn.functional.linear(x, weights[0]), launches)
        cold, cold_spread = measure(torch, cold_graph, launches, options.repeat, flush)
        cached, cached_spread = measure(torch, cached_graph, launches, options.repeat)
        rows.append(
            [
                f"linear {kind} {out}x{d}",
                str(count),
                f"{size / 1e6:.1f} MB",
                f"{cold * 1e6:.2f} ±{cold_spread * 1e6:.2f}",
                f"{size / cold / 1e9:.1f}",
                f"{100 * size / cold / ceiling:.0f} %",
                f"{cached * 1e6:.2f} ±{cached_spread * 1e6:.2f}",
            ]
        )
        document.append(
            {
                "kernel": f"linear_{kind}_{out}x{d}",
                "in_step": count,
                "weight_bytes": size,
                "cold_seconds": cold,
                "cached_seconds": cached,
                "cold_share_of_ceiling": size / cold / ceiling,
            }
        )
        del weights, cold_graph, cached_graph
        torch.cuda.empty_cache()
    device = torch.cuda.get_device_name(0)
    if options.json:
        facts = {"device": device, "torch": torch.__version__, "read_ceiling_bytes_per_second": ceiling}
        print(json.dumps({**facts, "launches": document}))
        return
    print(f"torch {torch.__version__} on {device}: linear for one token, each alone")
    table(rows)
    print(f"read ceiling: {ceiling / 1e9:.1f} GB/s, a sum over 1 GiB in this run")
    total = sum(one["in_step"] * one["cold_seconds"] for one in document)
    print(f"the linears of a step, times alone added up: {total * 1e6:.2f} us cold")


if __name__ == "__main__":
    main()
