"""smart-fetch (PyPI): a bulk export of the account, and a crawl of it by searches; both must bring exactly what is there."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import httpx

from steps import BASE, TOKEN, equal, step

PROGRAM = Path(sys.executable).with_name("smart-fetch")
TYPES = "Patient,Observation,Condition,Encounter"
HEADERS = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/fhir+json"}


def resources():
    """Five patients with two encounters each, a condition and observations of the kinds that are asked for by default."""
    for patient in range(5):
        subject = {"reference": f"Patient/p{patient}"}
        yield {"resourceType": "Patient", "id": f"p{patient}", "name": [{"family": f"Fetch {patient}"}]}
        for number in range(2):
            act = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"}
            yield {"resourceType": "Encounter", "id": f"e{patient}-{number}", "status": "finished", "class": act, "subject": subject}
        yield {"resourceType": "Condition", "id": f"c{patient}", "subject": subject, "code": {"text": "Ä condition"}}
        for number in range(30):
            category = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "vital-signs"}]}
            value = {"value": number, "unit": "kg"}
            yield {
                "resourceType": "Observation",
                "id": f"o{patient}-{number}",
                "status": "final",
                "category": [category],
                "code": {"text": "weight"},
                "subject": subject,
                "valueQuantity": value,
            }


def smart_fetch(command, folder, *more):
    """Runs the program itself; what it says is shown if it fails."""
    token = folder.parent / "token"
    token.write_text(TOKEN)
    words = [PROGRAM, command, folder, "--fhir-url", BASE, "--bearer-token", token, "--type", TYPES, "--no-compression", *more]
    done = subprocess.run([str(word) for word in words], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


def fetched(folder):
    """What lies in the files, by type and id."""
    lines = [line for file in folder.rglob("*.ndjson") if file.name != "log.ndjson" for line in file.read_text().splitlines()]
    found = [json.loads(line) for line in lines]
    by_key = {f"{one['resourceType']}/{one['id']}": one for one in found}
    equal(len(by_key), len(found))
    return by_key


WRITTEN = {f"{one['resourceType']}/{one['id']}": one for one in resources()}

with tempfile.TemporaryDirectory() as folder, httpx.Client(headers=HEADERS) as http:
    folder = Path(folder)

    with step(f"(a transaction of {len(WRITTEN)} resources to export)"):
        entry = [{"resource": one, "request": {"method": "PUT", "url": key}} for key, one in WRITTEN.items()]
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entry}
        equal(http.post(BASE, json=bundle).status_code, 200)
        READ = {key: http.get(f"{BASE}/{key}").json() for key in WRITTEN}

    with step("bulk: kick-off, polling, download, removal"):
        smart_fetch("bulk", folder / "bulk", "--no-default-filters")
        equal(fetched(folder / "bulk"), READ)
        events = [json.loads(line)["eventId"] for line in (folder / "bulk" / "log.ndjson").read_text().splitlines()]
        equal((events[0], events[-1]), ("kickoff", "export_complete"))

    with step("bulk: --since brings what was changed since"):
        since = READ["Patient/p0"]["meta"]["lastUpdated"]
        changed = {**WRITTEN["Patient/p3"], "active": True}
        equal(http.put(f"{BASE}/Patient/p3", json=changed).json()["active"], True)
        smart_fetch("bulk", folder / "since", "--no-default-filters", "--since", since)
        equal(list(fetched(folder / "since")), ["Patient/p3"])

    with step("bulk: --type-filter"):
        smart_fetch("bulk", folder / "filter", "--type-filter", "Observation?value-quantity=lt3", "--type-filter", "Patient?name=Fetch 1")
        found = fetched(folder / "filter")
        equal(sorted(key for key in found if key.startswith("Patient")), ["Patient/p1"])
        equal(len([key for key in found if key.startswith("Observation")]), 15)

    with step("bulk: with the filters that it sends by default"):
        smart_fetch("bulk", folder / "default")
        equal(set(fetched(folder / "default")), set(WRITTEN))

    with step("crawl: the same by searches, patient by patient"):
        smart_fetch("crawl", folder / "crawl")
        equal(set(fetched(folder / "crawl")), set(WRITTEN))
