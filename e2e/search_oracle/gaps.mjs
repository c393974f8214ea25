// What R4 demands and Lethe does not do: asked of neither, so that everything else can be held against the rules. Each is a fault of the
// server to be mended; whoever mends it sets it to false and has the oracle's word for it.

export const GAPS = {
  // "A chained condition will be evaluated inside contained resources" (https://hl7.org/fhir/R4/search.html#contained).
  containedInChains: true,
  // `:contains` looks through all of a text; Lethe keeps the first 224 bytes of long ones.
  longTexts: true,
};
