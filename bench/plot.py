"""A plot as SVG, drawn by hand: small panels side by side, both axes logarithmic or not as told."""

import math

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 300, 220, 48, 40, 34
COLOURS = {"haproxy": "#8a8f98", "posthouse": "#1f6feb"}


def svg(panels):
    """`panels`: what grows, the unit, and rows of a size and a value per contender."""
    across = min(3, len(panels))
    down = -(-len(panels) // across)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {across * WIDTH} {down * HEIGHT + 20}"'
        ' font-family="sans-serif" font-size="11">',
        "<style>text { fill: #57606a }</style>",
    ]
    for number, (title, unit, rows) in enumerate(panels):
        x, y = number % across * WIDTH, number // across * HEIGHT
        parts.append(f'<g transform="translate({x} {y})">{panel(title, unit, rows)}</g>')
    for number, (name, colour) in enumerate(COLOURS.items()):
        x, y = LEFT + number * 90, down * HEIGHT + 12
        parts.append(f'<circle cx="{x}" cy="{y - 4}" r="4" fill="{colour}"/><text x="{x + 8}" y="{y}">{name}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def panel(title, unit, rows):
    sizes = [row["size"] for row in rows]
    highest = max(max(row[name] for name in COLOURS) for row in rows)
    # What grows with the size is drawn against it on both axes; what stays flat from zero.
    both = rows[-1]["haproxy"] > 20 * rows[0]["haproxy"]
    lowest = min(min(row[name] for name in COLOURS) for row in rows)
    right, floor = WIDTH - 14, HEIGHT - BOTTOM
    span = math.log(sizes[-1] / sizes[0]) or 1

    def place(size, value):
        x = LEFT + (right - LEFT) * math.log(size / sizes[0]) / span
        share = math.log(value / lowest) / (math.log(highest / lowest) or 1) if both else value / (highest * 1.05)
        return x, floor - (floor - TOP) * share

    parts = [
        f'<text x="{LEFT}" y="14" font-size="12" font-weight="bold">{unit}</text>',
        f'<text x="{(LEFT + right) / 2}" y="{HEIGHT - 8}" text-anchor="middle">{title}</text>',
        f'<path d="M{LEFT} {TOP}V{floor}H{right}" fill="none" stroke="#d0d7de"/>',
    ]
    for value in (lowest, highest) if both else (0, highest):
        _, y = place(sizes[0], value)
        parts.append(f'<text x="{LEFT - 5}" y="{y + 4:.0f}" text-anchor="end">{value:.0f}</text>')
    for size in sizes:
        x, _ = place(size, highest)
        parts.append(f'<text x="{x:.0f}" y="{floor + 14}" text-anchor="middle" font-size="9">{short(size)}</text>')
    for name, colour in COLOURS.items():
        points = [place(row["size"], row[name]) for row in rows]
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
        parts.append(f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in points]
    return "".join(parts)


def short(number):
    return f"{number // 1_000_000}M" if number >= 1_000_000 else f"{number // 1000}k" if number >= 1000 else str(number)
