"""What of a selected value counts in a search, by https://hl7.org/fhir/R4/search.html and the forms that the dump uses.

Written anew, after neither Lethe's code nor readings.mjs.
"""

import calendar
import datetime
import hashlib
import re
import unicodedata

from fhirpathpy.models import models

TYPES = {name for name, parent in models["r4"]["type2Parent"].items() if parent in ("Resource", "DomainResource")} - {"DomainResource"}
ID = r"[A-Za-z0-9.\-]{1,64}"
UTC = datetime.timezone.utc


def readings(parameter, selected, resource):
    """[facet, value] for each of the selected nodes."""
    code = parameter["code"]
    if code in ("composition", "message"):
        return list(first_entry(resource, {"composition": "Composition", "message": "MessageHeader"}[code]))
    read = READ["position" if code == "near" else parameter["kind"]]
    return [reading for node in selected for reading in read(*node)]


def hashed(system):
    return hashlib.sha256(system.encode()).hexdigest()[:16]


def cut(text):
    raw = text.encode()
    if len(raw) > 256:
        return raw[:224].decode(errors="replace") + hashlib.sha256(raw).hexdigest()[:32]
    return text.replace("\0", " ")


def normal(text):
    letters = (letter for letter in unicodedata.normalize("NFD", text) if not unicodedata.category(letter).startswith("M"))
    return cut(" ".join("".join(letters).split()).lower())


def filled(value):
    return isinstance(value, str) and value != ""


def coded(system, code):
    if filled(code):
        yield ["value", [cut(code), hashed(system) if filled(system) else ""]]


def described(text):
    if filled(text):
        yield ["text", normal(text)]


def token(data, datatype, _only):
    if datatype == "Coding":
        yield from coded(data.get("system"), data.get("code"))
        yield from described(data.get("display"))
    elif datatype == "CodeableConcept":
        yield from described(data.get("text"))
        for coding in data.get("coding", []):
            yield from token(coding, "Coding", None)
    elif datatype == "Identifier":
        yield from coded(data.get("system"), data.get("value"))
        kind = data.get("type", {})
        yield from described(kind.get("text"))
        for coding in kind.get("coding", []):
            if filled(coding.get("system")) and filled(coding.get("code")) and filled(data.get("value")):
                yield ["of-type", [cut(data["value"]), hashed(coding["system"]), cut(coding["code"])]]
    elif datatype == "ContactPoint":
        yield from coded(None, data.get("value"))
    elif isinstance(data, bool):
        yield from coded(None, "true" if data else "false")
    elif isinstance(data, str):
        yield from coded(None, data)


PARTS = {
    "HumanName": ["text", "family", "given", "prefix", "suffix"],
    "Address": ["text", "line", "city", "district", "state", "postalCode", "country"],
}


def string(data, datatype, _only):
    texts = [data]
    if datatype in PARTS:
        texts = []
        for part in PARTS[datatype]:
            value = data.get(part, [])
            texts += value if isinstance(value, list) else [value]
    for text in texts:
        if filled(text):
            yield ["value", [normal(text), cut(text)]]


def uri(data, _datatype, _only):
    if filled(data):
        yield ["value", cut(data)]


def local(url):
    match = re.fullmatch(rf"(\w+)/({ID})(/_history/{ID})?", url)
    return match.group(1, 2) if match and match.group(1) in TYPES else None


def pointed(url, only):
    target = local(url)
    if target:
        if only in (None, target[0]):
            yield ["value", "/".join(target)]
    elif re.match(r"[A-Za-z][A-Za-z0-9+.\-]*:", url) and not only:
        yield ["value", cut(url.split("/_history/")[0])]


def reference(data, datatype, only):
    if datatype == "Reference":
        if filled(data.get("reference")):
            yield from pointed(data["reference"], only)
        # It is there, wherever it leads.
        leads = filled(data.get("reference")) and any(pointed(data["reference"], None))
        if not leads and data.keys() - {"id", "extension"}:
            yield ["text", ""]
        identifier = data.get("identifier", {})
        for _, value in coded(identifier.get("system"), identifier.get("value")):
            yield ["identifier", value]
    elif filled(data) and not data.startswith("#"):
        target = local(data.split("|")[0])
        yield ["value", "/".join(target) if target else cut(data)]


def first_entry(bundle, expected):
    entry = (bundle.get("entry") or [{}])[0]
    resource = entry.get("resource", {})
    if resource.get("resourceType") == expected:
        if filled(resource.get("id")):
            yield from pointed(f"{expected}/{resource['id']}", None)
        if filled(entry.get("fullUrl")):
            yield from pointed(entry["fullUrl"], None)


MOMENT = re.compile(r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?(Z|[+-]\d\d:\d\d)?)?)?)?")


def moment(text):
    """(first millisecond, first after) of a date, dateTime or instant."""
    match = MOMENT.fullmatch(text or "")
    if not match:
        return None
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    start = datetime.datetime(int(year), int(month or 1), int(day or 1), tzinfo=UTC)
    low = milliseconds(start)
    if hour is None:
        days = 1 if day else calendar.monthrange(start.year, start.month)[1] if month else 366 if calendar.isleap(start.year) else 365
        return low, low + days * 86_400_000
    offset = 0
    if zone not in (None, "Z"):
        offset = (int(zone[1:3]) * 60 + int(zone[4:])) * (-1 if zone[0] == "-" else 1)
    digits = (fraction or "")[:3]
    low += ((int(hour) * 60 + int(minute) - offset) * 60 + int(second or 0)) * 1000 + int(digits.ljust(3, "0"))
    return low, low + (60_000 if second is None else 10 ** (3 - len(digits)))


def milliseconds(at):
    return round((at - datetime.datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()) * 1000


def between(period):
    low, high = moment(period.get("start")), moment(period.get("end"))
    return (low and low[0], high and high[1]) if low or high else None


def date(data, datatype, _only):
    if datatype in ("date", "dateTime", "instant"):
        spans = [moment(data)]
    elif datatype == "Period":
        spans = [between(data)]
    elif datatype == "Timing":
        spans = [moment(event) for event in data.get("event", [])] + [between(data.get("repeat", {}).get("boundsPeriod", {}))]
    else:
        return
    spans = [span for span in spans if span]
    if spans:
        lows, highs = zip(*spans)
        yield ["value", [None if None in lows else min(lows), None if None in highs else max(highs)]]


def numeric(value):
    return value is not None and not isinstance(value, (str, bool, dict, list))


def number(data, datatype, _only):
    values = [(data.get(end) or {}).get("value") for end in ("low", "high")] if datatype == "Range" else [data]
    for value in values:
        if numeric(value):
            yield ["value", float(value)]


def quantity(data, datatype, _only):
    if datatype == "Money":
        if numeric(data.get("value")):
            yield ["value", [float(data["value"]), hashed("urn:iso:std:iso:4217"), data.get("currency", ""), None]]
        return
    inner = {"Range": ["low", "high"], "SampledData": ["origin"]}.get(datatype)
    for one in [data.get(name) or {} for name in inner] if inner else [data]:
        if numeric(one.get("value")):
            system, code, unit = one.get("system"), one.get("code"), one.get("unit")
            second = cut(unit) if filled(code) and filled(unit) and code != unit else None
            yield ["value", [float(one["value"]), hashed(system) if filled(system) else "", cut(code or unit or ""), second]]


def position(data, _datatype, _only):
    if numeric(data.get("latitude")) and numeric(data.get("longitude")):
        yield ["value", [float(data["latitude"]), float(data["longitude"])]]


READ = {
    "token": token,
    "reference": reference,
    "string": string,
    "date": date,
    "number": number,
    "quantity": quantity,
    "uri": uri,
    "position": position,
}
