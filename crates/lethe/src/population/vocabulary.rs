//! The words of which a population is made: codes that real records use often, and invented names.

/// A code with what it is called.
pub(super) struct Term {
    pub(super) code: &'static str,
    pub(super) display: &'static str,
}

const fn term(code: &'static str, display: &'static str) -> Term {
    Term { code, display }
}

/// SNOMED CT.
pub(super) const CONDITIONS: [Term; 12] = [
    term("44054006", "Diabetes mellitus type 2"),
    term("38341003", "Hypertensive disorder"),
    term("195967001", "Asthma"),
    term("444814009", "Viral sinusitis"),
    term("10509002", "Acute bronchitis"),
    term("55822004", "Hyperlipidemia"),
    term("271737000", "Anemia"),
    term("162864005", "Body mass index 30+ - obesity"),
    term("68496003", "Polyp of colon"),
    term("13645005", "Chronic obstructive lung disease"),
    term("370143000", "Major depressive disorder"),
    term("239873007", "Osteoarthritis of knee"),
];

/// RxNorm.
pub(super) const MEDICATIONS: [Term; 8] = [
    term("860975", "24 HR Metformin hydrochloride 500 MG Extended Release Oral Tablet"),
    term("314076", "lisinopril 10 MG Oral Tablet"),
    term("312961", "Simvastatin 20 MG Oral Tablet"),
    term("895994", "120 ACTUAT Fluticasone propionate 0.044 MG/ACTUAT Metered Dose Inhaler"),
    term("309362", "Clopidogrel 75 MG Oral Tablet"),
    term("313782", "Acetaminophen 325 MG Oral Tablet"),
    term("834061", "Penicillin V Potassium 250 MG Oral Tablet"),
    term("310798", "Hydrochlorothiazide 25 MG Oral Tablet"),
];

/// LOINC.
pub(super) const DOCUMENTS: [Term; 4] = [
    term("34117-2", "History and physical note"),
    term("18842-5", "Discharge summary"),
    term("11506-3", "Progress note"),
    term("11488-4", "Consult note"),
];

/// SNOMED CT.
pub(super) const ENCOUNTERS: [Term; 4] = [
    term("185345009", "Encounter for symptom"),
    term("162673000", "General examination of patient"),
    term("185349003", "Encounter for check up"),
    term("50849002", "Emergency room admission"),
];

/// A measurement with LOINC code, UCUM unit and the range that values are drawn from, in hundredths.
pub(super) struct Measurement {
    pub(super) code: &'static str,
    pub(super) display: &'static str,
    pub(super) unit: &'static str,
    pub(super) category: &'static str,
    pub(super) low_hundredths: i64,
    pub(super) high_hundredths: i64,
}

const fn measurement(
    category: &'static str,
    code: &'static str,
    display: &'static str,
    unit: &'static str,
    low_hundredths: i64,
    high_hundredths: i64,
) -> Measurement {
    Measurement { code, display, unit, category, low_hundredths, high_hundredths }
}

pub(super) const MEASUREMENTS: [Measurement; 12] = [
    measurement("vital-signs", "8302-2", "Body Height", "cm", 14_000, 20_500),
    measurement("vital-signs", "29463-7", "Body Weight", "kg", 4_000, 13_000),
    measurement("vital-signs", "39156-5", "Body Mass Index", "kg/m2", 1_700, 4_200),
    measurement("vital-signs", "8867-4", "Heart rate", "/min", 5_000, 11_000),
    measurement("vital-signs", "8310-5", "Body temperature", "Cel", 3_600, 3_990),
    measurement("vital-signs", "9279-1", "Respiratory rate", "/min", 1_100, 2_200),
    measurement("laboratory", "2339-0", "Glucose [Mass/volume] in Blood", "mg/dL", 6_500, 22_000),
    measurement("laboratory", "4548-4", "Hemoglobin A1c/Hemoglobin.total in Blood", "%", 400, 1_150),
    measurement("laboratory", "2093-3", "Cholesterol [Mass/volume] in Serum or Plasma", "mg/dL", 12_000, 29_000),
    measurement("laboratory", "38483-4", "Creatinine [Mass/volume] in Blood", "mg/dL", 50, 350),
    measurement("laboratory", "6298-4", "Potassium [Moles/volume] in Blood", "mmol/L", 330, 560),
    measurement("laboratory", "718-7", "Hemoglobin [Mass/volume] in Blood", "g/dL", 900, 1_750),
];

pub(super) const FAMILY_NAMES: [&str; 16] = [
    "Alder",
    "Birkby",
    "Corrow",
    "Dunmere",
    "Eastlake",
    "Farrow",
    "Greville",
    "Holloway",
    "Ingram",
    "Jessop",
    "Kestrel",
    "Lindqvist",
    "Marlow",
    "Norwood",
    "Ostrander",
    "Penrose",
];

pub(super) const GIVEN_NAMES: [&str; 16] = [
    "Ada", "Bruno", "Clara", "Dmitri", "Elena", "Farid", "Greta", "Hiro", "Ines", "Jonas", "Kaya", "Liam", "Mira", "Nils", "Olga", "Pavel",
];

pub(super) const CITIES: [&str; 8] = ["Ashford", "Brookhaven", "Cedar Falls", "Dunwich", "Elmira", "Fairview", "Glenwood", "Harborton"];

pub(super) const SENTENCES: [&str; 12] = [
    "The patient reports feeling well and has no new complaints.",
    "Blood pressure was measured twice in a sitting position after five minutes of rest.",
    "Lungs are clear on both sides, heart sounds are regular, no murmurs were heard.",
    "Medication is taken as prescribed and tolerated without side effects.",
    "A follow-up in three months with laboratory values has been agreed.",
    "Diet and regular exercise were discussed at length.",
    "The wound is dry and closed, the stitches have been removed.",
    "No fever, no cough, no shortness of breath at rest or on the stairs.",
    "The family history is positive for diabetes on the maternal side.",
    "An influenza vaccination was offered and given in the left upper arm.",
    "Sleep has improved since the last visit, appetite is normal.",
    "The patient was told to come back at once should the symptoms get worse.",
];
