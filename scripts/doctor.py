"""Say what works here, and what to do about the rest.

    twostream doctor
    twostream doctor --json | jq .engines

Exit code 0 where the main job can be done, 1 where something stops it.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

from scripts.common import FAILED, OK, Talk, run_command


@dataclass(frozen=True)
class Options:
    json: bool = False
    """Print everything as JSON."""
    talk: Talk = field(default_factory=Talk)


def run(options: Options) -> int:
    from scripts.health import examine

    report = examine()
    if options.json:
        import json

        print(json.dumps(report, indent=2))
    else:
        print(report_text(report))
    return FAILED if any(problem["stops"] for problem in report["problems"]) else OK


def report_text(report: dict[str, Any]) -> str:
    """The report as text."""
    lines = [f"twostream {report['twostream']}, Python {report['python']}, {report['platform']}"]
    machine, tools = report["machine"], report["tools"]

    def section(title: str, rows: dict[str, str]) -> None:
        width = max(map(len, rows), default=0)
        lines.extend(["", title, *(f"  {name:<{width}}  {text}" for name, text in rows.items())])

    section(
        "packages",
        {
            name: seen["version"] or f"{'MISSING' if seen['needed'] else 'not here'}{why(seen)}"
            for name, seen in report["packages"].items()
        },
    )
    for preset, engines in report["engines"].items():
        section(f"flow engines, preset {preset}", engines)
    gpus = {
        f"GPU {i}": f"{gpu['name']}, {gpu['memory.total']}, compute capability "
        f"{gpu['compute_cap']}, driver {gpu['driver_version']}"
        for i, gpu in enumerate(report["gpus"])
    }
    shared = machine["shared_memory_free"]
    section(
        "machine",
        {
            "cores": str(machine["cores"]),
            "memory": f"{machine['memory'] / 1e9:.1f} GB",
            **{f"free in {p}": f"{n / 1e9:.1f} GB" for p, n in machine["disk_free"].items()},
            **({"free in /dev/shm": f"{shared / 1e9:.1f} GB"} if shared is not None else {}),
            **(gpus or {"GPUs": "none found"}),
        },
    )
    section(
        "also",
        {
            "torchvision": report["torchvision_workaround"] or "needed no workaround",
            **{name: text or "not here" for name, text in tools.items()},
        },
    )
    lines.append("")
    for problem in report["problems"]:
        mark = "problem" if problem["stops"] else "note"
        lines.append(f"{mark}: {problem['what']}\n    -> {problem['remedy']}")
    if not any(problem["stops"] for problem in report["problems"]):
        lines.append("The main job can be done here: twostream demo")
    return "\n".join(lines)


def why(seen: dict[str, Any]) -> str:
    return f": {seen['reason']}" if seen.get("reason") else ""


def main(argv: list[str] | None = None) -> int:
    if find_spec("tyro") is None:  # a broken installation is what this command is for
        arguments = sys.argv[1:] if argv is None else argv
        return run(Options(json="--json" in arguments))
    return run_command(Options, run, argv, prog="doctor", description=(__doc__ or "").strip())


if __name__ == "__main__":
    sys.exit(main())
