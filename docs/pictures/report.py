# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Picture of a run's report, docs/pictures/report.png: a snapshot of what the template makes of the journals that its tests use.

Needs chromium (Debian's package). The page is left in build/report.html, to be looked at in any browser.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / ".collections"))  # before what is imported from there, so that those lines cannot stand on top

from ansible_collections.phasegate.aistack.plugins.module_utils.report import run_story, run_text  # noqa: E402 - see path
from ansible_collections.phasegate.aistack.plugins.plugin_utils.documents import render  # noqa: E402 - see path
from ansible_collections.phasegate.aistack.tests.unit.plugins.module_utils.report import sample_run  # noqa: E402 - see path

PAGE, TARGET = ROOT / "build" / "report.html", ROOT / "docs" / "pictures" / "report.png"


def main() -> int:
    """Write the page, and draw its upper part where there is a browser."""
    story = run_story.story_of(sample_run.journals(), sample_run.BAD, "sparklio")
    PAGE.parent.mkdir(exist_ok=True)
    facts = {"story": story, "plot": run_text.layout(story), "events": run_text.events(story)}
    PAGE.write_text(render("report.html.j2", facts), encoding="utf-8")
    print(PAGE.relative_to(ROOT))
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if not browser:
        print("no chromium here, so that the picture stays as it is: apt-get install chromium", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as home:
        command = [browser, "--headless", "--no-sandbox", "--hide-scrollbars", f"--user-data-dir={home}", "--window-size=1080,1245"]
        done = subprocess.run([*command, f"--screenshot={TARGET}", PAGE.as_uri()], capture_output=True, text=True, check=False)
    if done.returncode:
        print(done.stderr, file=sys.stderr)
    print(f"{TARGET.relative_to(ROOT)}: {TARGET.stat().st_size} bytes; a third with 64 colours (pngquant --nofs -f --ext .png 64)")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
