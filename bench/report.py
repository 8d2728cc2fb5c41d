"""Medians, ratios to HAProxy, and the table."""

import statistics


def table(results, contenders):
    """Markdown: a row per figure, a column per contender, ratios to HAProxy in parentheses."""
    lines = [
        "| | " + " | ".join(contenders) + " |",
        "|---" * (len(contenders) + 1) + "|",
    ]
    for figure, rounds in results.items():
        cells = [cell(figure, rounds, name) for name in contenders]
        lines.append(f"| {figure} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def cell(figure, rounds, name):
    values = rounds.get(name)
    if not values:
        return "-"
    middle = statistics.median(values)
    digits = 0 if middle >= 100 else 1 if middle >= 10 else 2
    text = f"{middle:.{digits}f}"
    base = rounds.get("haproxy")
    if base and name != "haproxy":
        text += f" ({ratio(values, base):.2f})"
    return text


def ratio(values, base):
    """The median of the rounds' ratios: both were measured in the same round."""
    pairs = [(own, theirs) for own, theirs in zip(values, base) if theirs]
    return statistics.median(own / theirs for own, theirs in pairs) if pairs else float("nan")
