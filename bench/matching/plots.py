"""Curves as SVG that reads on light and dark pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

Points = Sequence[tuple[float, float]]

WIDTH, HEIGHT, LEFT, TOP = 420, 260, 56, 16
COLOURS = ("#2f7de1", "#e0802b", "#1f9d6b")
STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#7a8794}"
    ".g{stroke:#7a879444}.d{stroke:#7a8794;stroke-dasharray:4 4}"
)


def plot(
    title: str,
    across: str,
    up: str,
    curves: Mapping[str, Points],
    *,
    top: float = 1.0,
    diagonal: bool = False,
) -> str:
    """Lines over 0 to 1 on both axes, or up to `top`."""
    height = HEIGHT + TOP + 50 + 18 * len(curves)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LEFT + WIDTH + 20} {height}" role="img">',
        f"<title>{title}</title><style>{STYLE}</style>",
        *(_grid_line(step / 5, top) for step in range(6)),
    ]
    if diagonal:
        parts.append(f'<line class="d" x1="{_x(0)}" y1="{_y(0, top)}" x2="{_x(1)}" y2="{_y(1, top)}"/>')
    for at, (name, points) in enumerate(curves.items()):
        path = " ".join(f"{_x(x):.1f},{_y(min(y, top), top):.1f}" for x, y in points)
        below = TOP + HEIGHT + 56 + 18 * at
        parts.append(f'<polyline fill="none" stroke-width="2" stroke="{COLOURS[at]}" points="{path}"/>')
        parts.append(f'<rect x="{LEFT}" y="{below - 9}" width="14" height="4" fill="{COLOURS[at]}"/>')
        parts.append(f'<text x="{LEFT + 22}" y="{below}">{name}</text>')
    parts.append(f'<text x="{LEFT + WIDTH / 2}" y="{TOP + HEIGHT + 36}" text-anchor="middle">{across}</text>')
    middle = TOP + HEIGHT / 2
    parts.append(
        f'<text transform="translate(14 {middle}) rotate(-90)" text-anchor="middle">{up}</text></svg>'
    )
    return "\n".join(parts) + "\n"


def thinned(points: Points, most: int = 200) -> Points:
    """Few enough points for a small file; the last one stays."""
    step = max(1, len(points) // most)
    return [*points[::step], points[-1]]


def _grid_line(part: float, top: float) -> str:
    x, y = _x(part), _y(part * top, top)
    return (
        f'<line class="g" x1="{LEFT}" x2="{LEFT + WIDTH}" y1="{y:.1f}" y2="{y:.1f}"/>'
        f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{part * top:.2g}</text>'
        f'<text x="{x:.1f}" y="{TOP + HEIGHT + 18}" text-anchor="middle">{part:.1f}</text>'
    )


def _x(value: float) -> float:
    return LEFT + value * WIDTH


def _y(value: float, top: float) -> float:
    return TOP + HEIGHT * (1 - value / top)
