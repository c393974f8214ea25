//! What is read and searched.

use super::{connection::find, filled::Filled, random::Random};

/// What an answer with status 200 must hold, so that nothing is measured that finds nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    /// Whatever it is.
    Something,
    /// A Bundle with entries.
    Entries,
    /// A Bundle with a total above 0.
    Total,
    /// An answer to a transaction.
    Created,
}

impl Holds {
    /// Whether this body holds it.
    pub fn is_in(self, body: &[u8]) -> bool {
        match self {
            Self::Something => !body.is_empty(),
            Self::Entries => find(body, br#""entry":[{"#).is_some(),
            Self::Total => {
                let total = find(body, br#""total":"#).and_then(|place| body.get(place + br#""total":"#.len()));
                total.is_some_and(|digit| (b'1'..=b'9').contains(digit))
            }
            Self::Created => find(body, br#""status":"201 Created""#).is_some(),
        }
    }
}

/// One thing to ask, again and again.
pub struct Question<'a> {
    /// For the table.
    pub name: &'static str,
    /// How many ask at once. With one, only the latency counts.
    pub connections: usize,
    /// What every answer must hold.
    pub holds: Holds,
    /// The path and query of the next request.
    pub path: Box<dyn Fn(&mut Random) -> String + Sync + 'a>,
}

/// LOINC codes that the population measures.
const CODES: [&str; 6] = ["8302-2", "29463-7", "8867-4", "4548-4", "2339-0", "718-7"];

/// All of them, in the order of the table.
pub fn all(filled: &Filled) -> Vec<Question<'_>> {
    let read = |random: &mut Random| {
        let (resource_type, id) = random.pick(&filled.resources);
        format!("/r4/{resource_type}/{id}")
    };
    let of_patient =
        |rest: &'static str| move |random: &mut Random| format!("/r4/Observation?patient={}{rest}", random.pick(&filled.patients).id);
    let page_of_patient = of_patient("&_count=50");
    let by_code_and_date = |random: &mut Random| {
        let (code, year, day) = (random.pick(&CODES), 2005 + random.below(7), random.below(28) + 1);
        format!("/r4/Observation?code=http://loinc.org%7C{code}&date=ge{year}-06-{day:02}&_count=20")
    };
    let by_family = |random: &mut Random| format!("/r4/Patient?family={}", random.pick(&filled.patients).family);
    let by_gender = |random: &mut Random| format!("/r4/Condition?subject:Patient.gender={}&_count=20", random.pick(&["female", "male"]));
    let having_code = |random: &mut Random| format!("/r4/Patient?_has:Observation:patient:code={}&_count=20", random.pick(&CODES));
    let counted = |_: &mut Random| "/r4/Observation?category=laboratory&_summary=count".to_owned();
    vec![
        question("read by id", 8, Holds::Something, read),
        question("read by id", 2, Holds::Something, read),
        question("`Observation?patient=…&_count=50`", 8, Holds::Entries, page_of_patient),
        question("`Observation?patient=…&_count=50`", 1, Holds::Entries, page_of_patient),
        question("`Observation?patient=…&_sort=-date&_count=20`", 1, Holds::Entries, of_patient("&_sort=-date&_count=20")),
        question(
            "`Observation?patient=…&_include=Observation:encounter`",
            1,
            Holds::Entries,
            of_patient("&_include=Observation:encounter"),
        ),
        question("`Observation?code=…&date=ge…&_count=20`", 1, Holds::Entries, by_code_and_date),
        question("`Patient?family=…`", 1, Holds::Entries, by_family),
        question("`Condition?subject:Patient.gender=…&_count=20`", 1, Holds::Entries, by_gender),
        question("`Patient?_has:Observation:patient:code=…&_count=20`", 1, Holds::Entries, having_code),
        question("`Observation?category=laboratory&_summary=count`", 1, Holds::Total, counted),
    ]
}

fn question<'a>(name: &'static str, connections: usize, holds: Holds, path: impl Fn(&mut Random) -> String + Sync + 'a) -> Question<'a> {
    Question { name, connections, holds, path: Box::new(path) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_that_finds_nothing_does_not_hold_what_it_must() {
        let cases: [(Holds, &str, bool); 7] = [
            (Holds::Entries, r#"{"resourceType":"Bundle","type":"searchset","entry":[{"resource":{}}]}"#, true),
            (Holds::Entries, r#"{"resourceType":"Bundle","type":"searchset","total":0}"#, false),
            (Holds::Entries, r#"{"resourceType":"Bundle","type":"searchset","entry":[]}"#, false),
            (Holds::Total, r#"{"resourceType":"Bundle","type":"searchset","total":17}"#, true),
            (Holds::Total, r#"{"resourceType":"Bundle","type":"searchset","total":0}"#, false),
            (Holds::Something, "", false),
            (Holds::Created, r#"{"entry":[{"response":{"status":"201 Created"}}]}"#, true),
        ];
        for (holds, body, expected) in cases {
            assert_eq!(holds.is_in(body.as_bytes()), expected, "{holds:?} {body}");
        }
    }
}
