"""Medians, spreads, ratios to HAProxy, and what may be said of them."""

import math
import statistics

# What is aimed at: figure, whose, the highest ratio to that contender (without one: the highest value).
GOALS = [
    ("CPU us per session, 50 in parallel", "posthouse", "haproxy", 0.65),
    ("CPU us per session, one at a time", "posthouse", "haproxy", 0.75),
    ("CPU ms per GiB, 10 MiB messages", "posthouse", "haproxy", 0.20),
    ("CPU ms per GiB, 10 MiB messages", "posthouse", "haproxy-splice", 1.00),
    ("CPU us per message of 64 KiB", "posthouse", "haproxy", 0.75),
    ("CPU us per message of 128 KiB", "posthouse", "haproxy", 0.75),
    ("CPU us per message of 256 KiB", "posthouse", "haproxy", 0.75),
    ("bytes per idle session", "posthouse", "haproxy", 0.10),
    ("us to a new session's greeting, p50", "posthouse", "haproxy", 1.00),
    ("us to a new session's greeting, p99", "posthouse", "haproxy", 1.00),
    ("us to a reply, p50", "posthouse", "haproxy", 1.00),
    ("us to a reply, p99", "posthouse", "haproxy", 1.00),
    ("ms to a greeting beside 8 bulk streams, p95", "posthouse", "haproxy", 1.00),
    ("sessions per second, 50 in parallel", "posthouse", "haproxy", 1.00),
    ("CPU us per session, 50 in parallel", "mode-smtp", "haproxy", 1.00),
    ("CPU us per session, one at a time", "mode-smtp", "haproxy", 1.00),
    ("CPU ms per GiB, 10 MiB messages", "mode-smtp", "posthouse", 2.00),
    ("bytes per idle session", "mode-smtp", None, 2048),
]

MORE_IS_BETTER = ("per second", "per CPU second")


def more_is_better(figure):
    return any(words in figure for words in MORE_IS_BETTER)


def number(value):
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:.{digits}f}"


def ratios(values, base):
    """One per round: both were measured in it."""
    return [own / theirs for own, theirs in zip(values, base) if theirs > 0]


def interval(values):
    """Where the median of more such rounds would be, with 95 % confidence: by rank, so that one wild round does
    not matter and nothing is assumed. Fewer than six rounds cannot say that much: then it is all they had."""
    ranked, count = sorted(values), len(values)
    below, skip = 0.5**count, 0
    while skip + 1 < count - skip - 1 and below + math.comb(count, skip + 1) * 0.5**count <= 0.025:
        skip += 1
        below += math.comb(count, skip) * 0.5**count
    # `skip` values at each end may be left out, the next one is the bound.
    return ranked[skip], ranked[-1 - skip]


def comparison(values, base):
    """Median of the ratios, its interval, and whether a difference may be spoken of."""
    pairs = ratios(values, base)
    if not pairs:
        return None
    low, high = interval(pairs)
    return {
        "ratio": statistics.median(pairs),
        "low": low,
        "high": high,
        "differs": not low <= 1 <= high,
    }


def table(results, names):
    """Markdown: a row per figure, a column per contender; in parentheses the ratio to HAProxy and its interval,
    and `=` where the difference is within the noise."""
    lines = ["| | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for figure, rounds in results.items():
        cells = [cell(rounds, name) for name in names]
        lines.append(f"| {figure} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def cell(rounds, name):
    values = rounds.get(name)
    if not values:
        return "-"
    text = number(statistics.median(values))
    base = rounds.get("haproxy")
    if base and name != "haproxy" and (found := comparison(values, base)):
        same = "" if found["differs"] else " ="
        text += f" ({found['ratio']:.2f}: {found['low']:.2f}-{found['high']:.2f}{same})"
    elif len(values) > 1:
        low, high = interval(values)
        text += f" ({number(low)}-{number(high)})"
    return text


def verdicts(results, goals=GOALS):
    """What became of each goal: `met` and `missed` only where the interval says so as well."""
    lines = ["| goal | whose | against | at most | measured | |", "|---|---|---|---|---|---|"]
    for figure, whose, against, most in goals:
        rounds = results.get(figure, {})
        own, base = rounds.get(whose), rounds.get(against)
        if not own or (against and not base):
            continue
        values = ratios(own, base) if against else own
        if not values:
            continue
        low, high = interval(values)
        measured = f"{number(statistics.median(values))} ({number(low)}-{number(high)})"
        bound, limit = number(most), most
        if more_is_better(figure):
            low, high, limit = -high, -low, -most
            bound = f"at least {bound}"
        word = "met" if high <= limit else "missed" if low > limit else "within the noise"
        lines.append(f"| {figure} | {whose} | {against or '-'} | {bound} | {measured} | {word} |")
    return "\n".join(lines)


def machine_readable(results):
    """For a file: every round's value, and for each contender beside HAProxy the comparison."""
    return {
        figure: {
            name: {
                "values": values,
                "median": statistics.median(values),
                "to_haproxy": comparison(values, rounds["haproxy"])
                if name != "haproxy" and rounds.get("haproxy")
                else None,
            }
            for name, values in rounds.items()
        }
        for figure, rounds in results.items()
    }
