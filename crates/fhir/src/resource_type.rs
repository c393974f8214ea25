//! The resource types of FHIR R4 (4.0.1), and the small number that stands for each in storage.
//!
//! Source: HL7 `hl7.fhir.r4.core` 4.0.1, <https://hl7.org/fhir/R4/resourcelist.html>.

use std::{fmt, str::FromStr};

use thiserror::Error;

/// One concrete resource type of R4.
///
/// Ordered as in [`ResourceType::all`], which is alphabetical.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ResourceType(u8);

/// The name is no R4 resource type.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("'{0}' is not a FHIR R4 resource type (names are case-sensitive, for example 'Observation')")]
pub struct UnknownResourceType(pub String);

impl ResourceType {
    /// `Binary`, which a purge takes along when nothing that remains refers to it.
    pub const BINARY: Self = Self::named("Binary");
    /// `Bundle`.
    pub const BUNDLE: Self = Self::named("Bundle");
    /// Whose members an export can go by.
    pub const GROUP: Self = Self::named("Group");
    /// Whose compartments an export can go by.
    pub const PATIENT: Self = Self::named("Patient");
    /// `Provenance`, which a purge takes along when its last target goes.
    pub const PROVENANCE: Self = Self::named("Provenance");

    /// Every type, in alphabetical order.
    pub fn all() -> impl Iterator<Item = Self> {
        (1..=NAMES.len() as u8).map(Self)
    }

    /// The name as FHIR writes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        NAMES[usize::from(self.0) - 1]
    }

    /// The number that storage keeps: 1 for `Account`, and so on. It never changes: a later FHIR release appends.
    #[must_use]
    pub fn code(self) -> u8 {
        self.0
    }

    /// The type that storage keeps as `code`.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        (code >= 1 && usize::from(code) <= NAMES.len()).then_some(Self(code))
    }

    const fn named(name: &str) -> Self {
        let mut index = 0;
        while index < NAMES.len() {
            if same(NAMES[index].as_bytes(), name.as_bytes()) {
                return Self(index as u8 + 1);
            }
            index += 1;
        }
        // Reached only at compile time, by a misspelt constant above: dividing by zero stops the build.
        Self((1 / (index - NAMES.len())) as u8)
    }
}

const fn same(left: &[u8], right: &[u8]) -> bool {
    if left.len() != right.len() {
        return false;
    }
    let mut index = 0;
    while index < left.len() {
        if left[index] != right[index] {
            return false;
        }
        index += 1;
    }
    true
}

impl FromStr for ResourceType {
    type Err = UnknownResourceType;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        NAMES.binary_search(&name).map(|index| Self(index as u8 + 1)).map_err(|_| UnknownResourceType(name.to_owned()))
    }
}

impl fmt::Display for ResourceType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Debug for ResourceType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

const NAMES: [&str; 146] = [
    "Account",
    "ActivityDefinition",
    "AdverseEvent",
    "AllergyIntolerance",
    "Appointment",
    "AppointmentResponse",
    "AuditEvent",
    "Basic",
    "Binary",
    "BiologicallyDerivedProduct",
    "BodyStructure",
    "Bundle",
    "CapabilityStatement",
    "CarePlan",
    "CareTeam",
    "CatalogEntry",
    "ChargeItem",
    "ChargeItemDefinition",
    "Claim",
    "ClaimResponse",
    "ClinicalImpression",
    "CodeSystem",
    "Communication",
    "CommunicationRequest",
    "CompartmentDefinition",
    "Composition",
    "ConceptMap",
    "Condition",
    "Consent",
    "Contract",
    "Coverage",
    "CoverageEligibilityRequest",
    "CoverageEligibilityResponse",
    "DetectedIssue",
    "Device",
    "DeviceDefinition",
    "DeviceMetric",
    "DeviceRequest",
    "DeviceUseStatement",
    "DiagnosticReport",
    "DocumentManifest",
    "DocumentReference",
    "EffectEvidenceSynthesis",
    "Encounter",
    "Endpoint",
    "EnrollmentRequest",
    "EnrollmentResponse",
    "EpisodeOfCare",
    "EventDefinition",
    "Evidence",
    "EvidenceVariable",
    "ExampleScenario",
    "ExplanationOfBenefit",
    "FamilyMemberHistory",
    "Flag",
    "Goal",
    "GraphDefinition",
    "Group",
    "GuidanceResponse",
    "HealthcareService",
    "ImagingStudy",
    "Immunization",
    "ImmunizationEvaluation",
    "ImmunizationRecommendation",
    "ImplementationGuide",
    "InsurancePlan",
    "Invoice",
    "Library",
    "Linkage",
    "List",
    "Location",
    "Measure",
    "MeasureReport",
    "Media",
    "Medication",
    "MedicationAdministration",
    "MedicationDispense",
    "MedicationKnowledge",
    "MedicationRequest",
    "MedicationStatement",
    "MedicinalProduct",
    "MedicinalProductAuthorization",
    "MedicinalProductContraindication",
    "MedicinalProductIndication",
    "MedicinalProductIngredient",
    "MedicinalProductInteraction",
    "MedicinalProductManufactured",
    "MedicinalProductPackaged",
    "MedicinalProductPharmaceutical",
    "MedicinalProductUndesirableEffect",
    "MessageDefinition",
    "MessageHeader",
    "MolecularSequence",
    "NamingSystem",
    "NutritionOrder",
    "Observation",
    "ObservationDefinition",
    "OperationDefinition",
    "OperationOutcome",
    "Organization",
    "OrganizationAffiliation",
    "Parameters",
    "Patient",
    "PaymentNotice",
    "PaymentReconciliation",
    "Person",
    "PlanDefinition",
    "Practitioner",
    "PractitionerRole",
    "Procedure",
    "Provenance",
    "Questionnaire",
    "QuestionnaireResponse",
    "RelatedPerson",
    "RequestGroup",
    "ResearchDefinition",
    "ResearchElementDefinition",
    "ResearchStudy",
    "ResearchSubject",
    "RiskAssessment",
    "RiskEvidenceSynthesis",
    "Schedule",
    "SearchParameter",
    "ServiceRequest",
    "Slot",
    "Specimen",
    "SpecimenDefinition",
    "StructureDefinition",
    "StructureMap",
    "Subscription",
    "Substance",
    "SubstanceNucleicAcid",
    "SubstancePolymer",
    "SubstanceProtein",
    "SubstanceReferenceInformation",
    "SubstanceSourceMaterial",
    "SubstanceSpecification",
    "SupplyDelivery",
    "SupplyRequest",
    "Task",
    "TerminologyCapabilities",
    "TestReport",
    "TestScript",
    "ValueSet",
    "VerificationResult",
    "VisionPrescription",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted_so_that_lookup_finds_each() {
        for resource_type in ResourceType::all() {
            assert_eq!(resource_type.name().parse(), Ok(resource_type));
            assert_eq!(ResourceType::from_code(resource_type.code()), Some(resource_type));
        }
        assert_eq!(ResourceType::all().count(), 146);
    }

    #[test]
    fn unknown_names_and_codes_are_refused() {
        assert!("patient".parse::<ResourceType>().is_err());
        assert!("DomainResource".parse::<ResourceType>().is_err());
        assert_eq!(ResourceType::from_code(0), None);
        assert_eq!(ResourceType::from_code(147), None);
    }

    #[test]
    fn stored_codes_have_not_moved() {
        // These numbers are in databases: a change here would turn one type into another.
        for (name, code) in [("Account", 1), ("Binary", 9), ("Observation", 96), ("Patient", 103), ("VisionPrescription", 146)] {
            assert_eq!(name.parse::<ResourceType>().map(ResourceType::code), Ok(code));
        }
    }
}
