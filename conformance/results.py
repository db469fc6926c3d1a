"""Reads a subunit v2 stream and writes one line of JSON for each finished test."""
import json
import os
import re
import sys

import subunit
import testtools

folder = sys.argv[1]
os.makedirs(folder, exist_ok=True)


def text(test, name):
    detail = test["details"].get(name)
    return detail.as_text() if detail is not None else ""


def lines_of(trace):
    return [line for line in trace.strip().splitlines() if line.strip()]


def end_of(trace):
    """Where in the test it went wrong, and the last lines."""
    lines = lines_of(trace)
    places = [line.strip() for line in lines if re.match(r'\s*File ".*/test_\w+\.py"', line)]
    return places[-1:] + [line.strip()[:400] for line in lines[-3:]]


def finished(test):
    status = {"success": "pass", "xfail": "pass", "skip": "skip"}.get(test["status"], "fail")
    identifier = test["id"]
    if test["status"] in ("exists", "inprogress", "unknown"):
        return
    reason = excerpt = ""
    if status == "skip":
        reason = text(test, "reason")
    elif status == "fail":
        # Of several the first is the test's own; what follows is of its cleaning up.
        traces = [text(test, name) for name in sorted(test["details"]) if name.startswith("traceback")]
        trace = "".join(traces)
        lines = lines_of(trace)
        reason = lines[-1] if lines else test["status"]
        excerpt = "\n".join(line for trace in traces for line in end_of(trace))
        for line in lines:
            if line.lstrip().startswith("Details:"):
                reason = line.strip()
        with open(os.path.join(folder, re.sub(r"[^A-Za-z0-9_.]", "_", identifier)[:200]), "w") as f:
            f.write(identifier + "\n" + trace)
    if identifier.startswith("setUpClass (") or identifier.startswith("tearDownClass ("):
        identifier = identifier.split("(", 1)[1].rstrip(")") + "." + identifier.split(" ", 1)[0]
    print(json.dumps({"id": identifier, "status": status, "reason": reason.strip()[:400], "excerpt": excerpt}), flush=True)


result = testtools.StreamToDict(finished)
result.startTestRun()
subunit.ByteStreamToStreamResult(sys.stdin.buffer, non_subunit_name="stdout").run(result)
result.stopTestRun()
