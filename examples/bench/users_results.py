"""What users.py measured, as ratios of one round, and as tables. Standard library."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Any

import pairing

Json = dict[str, Any]
BASE, LLAMA, ONE = "gsic exact", "llama.cpp BF16", "gsic exact, one user"


def percentile(values: Sequence[float], part: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))]


def over(samples: Sequence[Json], name: str, other: str) -> Json | None:
    """One row's tokens a second as a multiple of another's, round by round: both are ratios to the base."""
    by_round: dict[int, dict[str, float]] = {}
    for one in samples:
        if "round" in one:
            by_round.setdefault(one["round"], {BASE: 1.0})[one["name"]] = one["decode"]
    pairs = [found[name] / found[other] for found in by_round.values() if {name, other} <= set(found)]
    return pairing.spread(pairs) if pairs else None


def rate_of(samples: Sequence[Json], name: str) -> Json | None:
    """Tokens a second of all users together; the base's from around each other row."""
    key = "base_rate" if name == BASE else "rate"
    mine = [one[key] for one in samples if "round" in one and (name == BASE or one["name"] == name)]
    return pairing.spread(mine) if mine else None


def summary(rates: dict[int, list[Json]], loads: dict[str, list[Json]]) -> Json:
    """By row: what it has by users, and what newcomers and gaps were."""
    rows: dict[str, Json] = {name: {"users": {}} for name in loads}
    for users, samples in rates.items():
        for name, row in rows.items():
            row["users"][str(users)] = {
                "tokens_per_second": rate_of(samples, name),
                "x_llama_bf16": over(samples, name, LLAMA),
                "x_one_user_of_exact": over(samples, name, ONE),
            }
    for name, rounds in loads.items():
        gaps = [gap for one in rounds for gap in one["gaps"]]
        alone = [gap for one in rounds for gap in one["gaps_alone"]]
        first = [
            median(one["first_token_seconds"]) / median(one["idle_seconds"])
            for one in rounds
            if one["first_token_seconds"]
        ]
        rows[name]["ninth_user_x_idle"] = pairing.spread(first) if first else None
        rows[name]["gap"] = {
            "median_seconds": median(gaps),
            "p99_x_median": percentile(gaps, 0.99) / median(gaps),
            "p999_x_median": percentile(gaps, 0.999) / median(gaps),
            "alone_p99_x_median": percentile(alone, 0.99) / median(alone),
        }
    reasons = {one["name"]: one["reason"] for all_ in rates.values() for one in all_ if "reason" in one}
    return {"rows": rows, "reasons": reasons}


def text_of(found: Json | None, digits: int = 2) -> str:
    if found is None:
        return "-"
    return f"{found['median']:.{digits}f} ({found['least']:.{digits}f}-{found['most']:.{digits}f})"


def is_ours(name: str) -> bool:
    return name.startswith("gsic ")


def fastest(document: Json, users: str, ours: bool) -> list[tuple[str, float, float]]:
    """Rows that no other of theirs, or of ours, is faster than at no more KL: name, KL, x llama.cpp BF16."""
    found: list[tuple[str, float, float]] = []
    rates = {
        name: row["users"][users]["x_llama_bf16"]
        for name, row in document["rows"].items()
        if is_ours(name) == ours and users in row["users"]
    }
    kl = document["kl"]
    for name in sorted(rates, key=lambda one: (kl[one], -(rates[one] or {"median": 0})["median"])):
        rate = rates[name]
        if rate is not None and all(rate["median"] > faster for _, _, faster in found):
            found.append((name, kl[name], rate["median"]))
    return found


def frontier(document: Json) -> list[str]:
    """Lines: other engines' fastest row at each KL, and ours at no more."""
    lines = []
    for users in next(iter(document["rows"].values()))["users"]:
        ours = fastest(document, users, True)
        for name, kl, rate in fastest(document, users, False):
            at = f"{users} users, KL {kl:.4f}: {name} is the fastest of the others"
            better = [one for one in ours if one[1] <= kl]
            if better:
                mine, _, own = better[-1]
                lines.append(f"{at}; {mine} is {own / rate:.2f} x as fast, at no more KL")
            else:
                lines.append(f"{at}; no row of gsic has so little KL")
    return lines


def goals(document: Json) -> list[tuple[str, float | None, float, bool]]:
    """What is promised of eight users: its words, the measured median, the goal, and whether more is better."""
    rows, kl = document["rows"], document["kl"]
    eight = {name: row["users"].get("8") for name, row in rows.items()}

    def middle(found: Json | None) -> float | None:
        return None if found is None else found["median"]

    def of(name: str, key: str) -> float | None:
        return middle((eight.get(name) or {}).get(key))

    exact = rows[BASE]
    result = [
        ("exact mode, 8 users, x one user", of(BASE, "x_one_user_of_exact"), 3.2, True),
        ("exact mode, 8 users, x llama.cpp BF16's 8", of(BASE, "x_llama_bf16"), 1.3, True),
    ]
    for name in rows:
        mine = of(name, "x_llama_bf16")
        if not is_ours(name) or name == BASE or kl[name] == 0 or mine is None:
            continue
        peers = {
            one: of(one, "x_llama_bf16")
            for one in rows
            if not is_ours(one) and kl[one] <= kl[name] and of(one, "x_llama_bf16")
        }
        if peers:
            best = max(peers, key=lambda one: peers[one] or 0)
            words = f"{name[5:]} mode, 8 users, x {best}'s 8: the fastest of the others at no more KL"
            result.append((words, mine / (peers[best] or 1), 1.0, True))
    first = middle(exact["ninth_user_x_idle"])
    result.append(("first token of a ninth user, x idle", first, 2.0, False))
    p99 = exact["gap"]["p99_x_median"]
    result.append(("99th percentile between tokens, x the median", p99, 3.0, False))
    return result


def table(document: Json) -> str:
    """Tables for a terminal."""
    rows, numbers = document["rows"], list(next(iter(document["rows"].values()))["users"])
    wide = max(len(name) for name in rows) + 2
    lines = [
        f"{document['threads']} threads, {document['rounds']} rounds; medians and spreads over rounds",
        "",
        "tokens a second of all users together; below it x llama.cpp BF16 with as many users, same round",
        " " * wide + "".join(f"{n} users".rjust(22) for n in numbers) + "KL".rjust(10),
    ]
    for name, row in rows.items():
        cells = [text_of(row["users"][n]["tokens_per_second"], 1) for n in numbers]
        end = f"{document['kl'][name]:.4f}".rjust(10)
        lines.append(name.ljust(wide) + "".join(cell.rjust(22) for cell in cells) + end)
        cells = [text_of(row["users"][n]["x_llama_bf16"]) for n in numbers]
        lines.append(" " * wide + "".join(cell.rjust(22) for cell in cells))
    lines += ["", "beside eight users: first token of a ninth, x idle; gaps between tokens of the eight"]
    for name, row in rows.items():
        gap, texts = row["gap"], document["texts"][name]
        lines.append(
            f"{name.ljust(wide)}{text_of(row['ninth_user_x_idle'])} x idle; "
            f"median {gap['median_seconds'] * 1e3:.1f} ms, 99 % {gap['p99_x_median']:.2f} x, "
            f"99.9 % {gap['p999_x_median']:.2f} x; before anybody came 99 % {gap['alone_p99_x_median']:.2f} x; texts that changed with the company: "
            f"{texts['other']} of {texts['prompts']}"
        )
    lines += ["", *frontier(document), ""]
    for words, value, goal, more in goals(document):
        met = value is not None and (value >= goal if more else value <= goal)
        found = "not measured" if value is None else f"{value:.2f}"
        lines.append(f"{words}: {found} (goal: {'at least' if more else 'at most'} {goal}{'' if met else '; missed'})")
    lines += [f"{name} failed: {why}" for name, why in document["reasons"].items()]
    return "\n".join(lines)
