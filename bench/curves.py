"""Recall against queries a second: curves, what they say at a recall, and plots."""

import math


def at_recall(curve, recall, field="rate"):
    """Queries/s where the curve, its rates on a logarithmic scale, reaches a recall."""
    best = None
    for low, high in zip(curve, curve[1:]):
        if low["recall"] <= recall <= high["recall"] and high["recall"] > low["recall"]:
            share = (recall - low["recall"]) / (high["recall"] - low["recall"])
            rate = math.exp(math.log(low[field]) * (1 - share) + math.log(high[field]) * share)
            best = max(rate, best or 0)
    if best is None and curve[0]["recall"] >= recall:
        best = curve[0][field]
    return best


def plot(file, title, curves):
    """Draws queries/s of one thread over recall as SVG."""
    left, top, width, height = 70, 40, 560, 340
    points = [point for curve in curves.values() for point in curve if point["recall"] >= 0.8]
    low, high = (math.log10(end([point["rate"] for point in points])) for end in (min, max))
    # Recall as the number of nines, so that 0.9, 0.99 and 0.999 are as far apart.
    across = lambda recall: left + width * (-math.log10(max(1 - recall, 2e-4)) - 0.69) / (3.7 - 0.69)
    down = lambda rate: top + height * (high - math.log10(rate)) / max(high - low, 1e-9)
    colours = ["#d62728", "#ff7f0e", "#9467bd", "#1f77b4", "#2ca02c", "#8c564b", "#7f7f7f"]
    parts = [f'<text x="{left}" y="24" font-size="15">{title}</text>']
    for recall in (0.8, 0.9, 0.95, 0.99, 0.995, 0.999):
        x = across(recall)
        parts.append(f'<line x1="{x:.1f}" y1="{top}" x2="{x:.1f}" y2="{top + height}" stroke="#ddd"/>')
        parts.append(f'<text x="{x:.1f}" y="{top + height + 18}" text-anchor="middle">{recall}</text>')
    for power in range(math.floor(low), math.ceil(high) + 1):
        for step in (1, 2, 5):
            rate = step * 10**power
            if low <= math.log10(rate) <= high:
                y = down(rate)
                parts.append(f'<line x1="{left}" y1="{y:.1f}" x2="{left + width}" y2="{y:.1f}" stroke="#ddd"/>')
                parts.append(f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{rate:,}</text>')
    for number, (name, curve) in enumerate(curves.items()):
        colour = colours[number % len(colours)]
        line = " ".join(
            f"{across(point['recall']):.1f},{down(point['rate']):.1f}" for point in curve if point["recall"] >= 0.8
        )
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        y = top + 18 * number + 10
        parts.append(f'<line x1="{left + width + 14}" y1="{y}" x2="{left + width + 34}" y2="{y}" stroke="{colour}" stroke-width="2"/>')
        parts.append(f'<text x="{left + width + 40}" y="{y + 4}">{name}</text>')
    parts.append(f'<text x="{left + width / 2}" y="{top + height + 40}" text-anchor="middle">recall of the 10 nearest</text>')
    parts.append(f'<text x="16" y="{top + height / 2}" text-anchor="middle" transform="rotate(-90 16 {top + height / 2})">queries/s, one thread</text>')
    file.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + width + 190}" height="{top + height + 56}" '
        f'font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="white"/>{"".join(parts)}</svg>\n'
    )
