"""fhirpy (PyPI): its resources, references and sets of results.

Three of its calls speak the dialect of another server, and not FHIR R4: the script says which, and that they are refused and change
nothing.
"""

import asyncio

from fhirpy import AsyncFHIRClient, SyncFHIRClient
from fhirpy.base.exceptions import OperationOutcome, ResourceNotFound

from steps import BASE, TOKEN, equal, poll, refused, step

client = SyncFHIRClient(BASE, authorization=f"Bearer {TOKEN}")
CODE = {"coding": [{"system": "http://loinc.org", "code": "29463-7"}]}
KILOGRAMS = {"unit": "kg", "system": "http://unitsofmeasure.org", "code": "kg"}


def weight(patient, value):
    return client.resource(
        "Observation", status="final", code=CODE, subject=patient.to_reference(), valueQuantity={"value": value, **KILOGRAMS}
    )


with step("save a new resource, read it by its reference"):
    patient = client.resource("Patient", name=[{"family": "Py", "given": ["Jo"]}], gender="other")
    patient.save()
    equal(patient["meta"]["versionId"], "1")
    equal(client.reference("Patient", patient.id).to_resource().serialize(), patient.serialize())

with step("save it changed; refresh; its versions and history"):
    patient["gender"] = "female"
    patient.save()
    equal(patient["meta"]["versionId"], "2")
    other = client.get("Patient", patient.id)
    equal(other["gender"], "female")
    equal(client.execute(f"Patient/{patient.id}/_history/1", method="get")["gender"], "other")
    equal(len(client.execute(f"Patient/{patient.id}/_history", method="get")["entry"]), 2)

with step("references to a resource can be saved and followed"):
    weights = [weight(patient, 50 + number) for number in range(23)]
    for one in weights:
        one.save()
    equal(weights[0]["subject"].to_resource().id, patient.id)

found = client.resources("Observation").search(code="http://loinc.org|29463-7", patient=patient)

with step("search: first, get, limit, sort"):
    equal(found.sort("-value-quantity").first()["valueQuantity"]["value"], 72)
    equal(len(found.limit(5).fetch()), 5)
    equal(client.resources("Patient").search(family="py").get().id, patient.id)
    equal([one["valueQuantity"]["value"] for one in found.search(value_quantity__lt=53).sort("value-quantity").fetch()], [50, 51, 52])

with step("search: every page, by its next links"):
    equal(sorted(one["valueQuantity"]["value"] for one in found.limit(4)), list(range(50, 73)))
    equal(len(found.limit(10).fetch_all()), 23)

with step("search: include, revinclude, has, chains, elements"):
    bundle = found.limit(3).include("Observation", "subject").fetch_raw()
    equal([entry["search"]["mode"] for entry in bundle["entry"]], ["match", "match", "match", "include"])
    bundle = client.resources("Patient").search(_id=patient.id).revinclude("Observation", "patient").fetch_raw()
    equal(len(bundle["entry"]), 24)
    equal(client.resources("Patient").has("Observation", "patient", code="29463-7").get().id, patient.id)
    equal(len(found.search(subject__Patient__family__exact="Py").limit(100).fetch()), 23)
    equal(set(found.elements("status").first().serialize()) - {"meta", "id", "resourceType"} >= {"status"}, True)

with step("conditional update of the one that a search finds"):
    client.resource("Patient", name=[{"family": "Cond"}], identifier=[{"system": "urn:x", "value": "1"}]).save()
    changed = client.resource("Patient", name=[{"family": "Changed"}], identifier=[{"system": "urn:x", "value": "1"}])
    updated, is_new = client.resources("Patient").search(identifier="urn:x|1").update(changed)
    equal((updated["name"][0]["family"], updated["meta"]["versionId"], is_new), ("Changed", "2", False))

with step("conditional delete of the one that a search finds"):
    client.resources("Patient").search(identifier="urn:x|1").delete()
    equal(client.resources("Patient").search(identifier="urn:x|1").fetch(), [])

with step("transaction"):
    own = weight(patient, 99).serialize()
    entry = {"resource": own, "request": {"method": "POST", "url": "Observation"}}
    bundle = client.resource("Bundle", type="transaction", entry=[entry] * 3)
    bundle.save()
    equal([entry["response"]["status"][:3] for entry in bundle["entry"]], ["201"] * 3)

with step("POST _search, and operations: $everything"):
    equal(client.execute("Observation/_search", params={"value-quantity": "99", "_summary": "count"})["total"], 3)
    equal(len(client.execute(f"Patient/{patient.id}/$everything", method="get", params={"_count": 100})["entry"]), 27)

with step("not FHIR: patch with a part of a resource is refused, and changes nothing"):
    with refused(OperationOutcome):
        patient.patch(gender="male")
    equal(client.get("Patient", patient.id)["gender"], "female")

with step("not FHIR: get_or_create, which creates by a query, is refused, and creates nothing"):
    with refused(OperationOutcome):
        client.resources("Patient").search(identifier="urn:x|2").get_or_create(client.resource("Patient", active=True))
    equal(client.resources("Patient").search(active="true").fetch(), [])

with step("not FHIR: count asks with _totalMethod; refused, but for handling=lenient"):
    with refused(OperationOutcome):
        found.count()
    lenient = SyncFHIRClient(BASE, authorization=f"Bearer {TOKEN}", extra_headers={"Prefer": "handling=lenient"})
    equal(lenient.resources("Observation").search(patient=f"Patient/{patient.id}").count(), 26)


async def concurrently():
    """Twenty writes at once, and as many reads."""
    many = AsyncFHIRClient(BASE, authorization=f"Bearer {TOKEN}")
    made = [many.resource("Basic", code={"text": f"Basic {number}"}) for number in range(20)]
    await asyncio.gather(*(one.save() for one in made))
    read = await asyncio.gather(*(many.get("Basic", one.id) for one in made))
    equal([one["code"]["text"] for one in read], [f"Basic {number}" for number in range(20)])
    equal(len([one async for one in many.resources("Basic").limit(6)]), 20)


with step("asynchronous: twenty writes and reads at once, all pages"):
    asyncio.run(concurrently())

with step("delete, and then not found"):
    patient.delete()
    with refused(ResourceNotFound):
        client.get("Patient", patient.id)

with step("$purge, to its end"):
    job = client.execute("$purge", params={"_type": "Observation,Patient"})["job"]

    def ended():
        now = client.execute(f"$purge/{job['id']}", method="get")["job"]
        return None if now["status"] == "in progress" else now

    done = poll(ended)
    equal((done["status"], done["deletedCount"]), ("successful", 26))
    equal(client.resources("Observation").fetch(), [])
    equal(len(client.resources("Basic").limit(100).fetch()), 20)
