# SPDX-License-Identifier: Apache-2.0
"""The story as a picture: target/demo/timeline.svg."""

WIDTH, LEFT, TOP = 1180, 110, 66
SCALE = (WIDTH - LEFT - 30)
COLOURS = {"granted": "#2e9e5b", "none": "#d9d4c7", "wiped": "#c8443a"}
ROW = 116


def draw(report):
    """The SVG text of a finished report."""
    end = report["seconds"]
    x = lambda second: LEFT + SCALE * second / end  # noqa: E731
    out = []
    for row, (number, service) in enumerate(sorted(report["services"].items())):
        out += service_row(service, TOP + 24 + row * ROW, x, end)
    out += marks(report, x)
    out.sort(key=lambda shape: shape.startswith("<text"))  # texts lie on top
    height = TOP + 24 + 2 * ROW + 150
    axis = []
    for second in range(0, int(end) + 1, 5):
        axis.append(f'<line x1="{x(second):.1f}" y1="{TOP}" x2="{x(second):.1f}" y2="{height-40}" class="grid"/>')
        axis.append(f'<text x="{x(second):.1f}" y="{TOP-8}" class="small" text-anchor="middle">{second} s</text>')
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
        f'viewBox="0 0 {WIDTH} {height}" font-family="sans-serif">',
        "<style>text{font-size:13px;fill:#222;paint-order:stroke;stroke:#fffdf8;stroke-width:3px}"
        ".small{font-size:11px;fill:#555}.head{font-size:17px;font-weight:bold}"
        ".grid{stroke:#e3e0d8}.period{fill:none;stroke:#888}.ecm{stroke:#3566a8}.mark{stroke:#222;stroke-dasharray:3 2}"
        "</style>",
        f'<rect width="{WIDTH}" height="{height}" fill="#fffdf8"/>',
        f'<text x="{LEFT}" y="26" class="head">One card, two services, {end:.0f} seconds</text>',
        *axis, *out, *legend(height - 22), "</svg>", "",
    ])


def service_row(service, y, x, end):
    """One service: access as a bar, its crypto periods, its ECMs."""
    out = [
        f'<text x="{LEFT-10}" y="{y+22}" text-anchor="end" font-weight="bold">{service["name"]}</text>',
        f'<text x="{LEFT-10}" y="{y+38}" text-anchor="end" class="small">{service["algorithm"]}</text>',
        f'<rect x="{x(0):.1f}" y="{y}" width="{x(end)-x(0):.1f}" height="34" fill="{COLOURS["none"]}"/>',
    ]
    for first, last in service["wiped_s"]:
        out.append(bar(x(first), x(last), y, COLOURS["wiped"]))
    for first, last in service["windows_s"]:
        out.append(bar(x(first), x(last), y, COLOURS["granted"]))
    for period in service["crypto_periods"]:
        a, b = x(period["from_s"]), x(period["to_s"])
        out.append(f'<rect x="{a:.1f}" y="{y+40}" width="{b-a:.1f}" height="18" class="period"/>')
        if b - a > 90:
            parity = "odd" if period["number"] & 1 else "even"
            out.append(f'<text x="{(a+b)/2:.1f}" y="{y+53}" text-anchor="middle" class="small">'
                       f'{parity} · epoch {period["epoch"]}</text>')
    for second in service["ecms_s"]:
        out.append(f'<line x1="{x(second):.1f}" y1="{y+64}" x2="{x(second):.1f}" y2="{y+76}" class="ecm"/>')
    out.append(f'<text x="{LEFT-10}" y="{y+75}" text-anchor="end" class="small">ECMs</text>')
    return out


def bar(a, b, y, colour):
    return f'<rect x="{a:.1f}" y="{y}" width="{max(b-a, 1):.1f}" height="34" fill="{colour}"/>'


def marks(report, x):
    """What the subscriber, the operator and the hand at the card did."""
    out, base = [], TOP + 24 + 2 * ROW
    for place, mark in enumerate(sorted(report["marks"], key=lambda m: m["at_s"])):
        at, y = x(mark["at_s"]), base + 12 + place % 6 * 16
        flip = at > WIDTH - 240
        out.append(f'<line x1="{at:.1f}" y1="{TOP}" x2="{at:.1f}" y2="{y+2}" class="mark"/>')
        out.append(f'<text x="{at + (-4 if flip else 4):.1f}" y="{y}" class="small" '
                   f'text-anchor="{"end" if flip else "start"}">{mark["what"]}</text>')
    return out


def legend(y):
    out, at = [], LEFT
    for name, text in (("granted", "granted: the picture"), ("none", "no key"), ("wiped", "wiped: card away")):
        out.append(f'<rect x="{at}" y="{y-10}" width="14" height="12" fill="{COLOURS[name]}"/>')
        out.append(f'<text x="{at+20}" y="{y}" class="small">{text}</text>')
        at += 200
    out.append(f'<text x="{at}" y="{y}" class="small">boxes: crypto periods · ticks: ECMs</text>')
    return out
