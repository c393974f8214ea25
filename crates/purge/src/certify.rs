//! Whether a purge may be called successful.

use crate::Counts;

/// Rows of purged resources that a probe still found somewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Residue {
    /// Name of the residence.
    pub residence: &'static str,
    /// Rows found.
    pub rows: u64,
}

/// How a purge ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Everything planned has its outcome, nothing failed, nothing is left.
    Successful,
    /// Not everything was removed, or something is left behind; the text says what.
    Failed(String),
}

/// Decides from the sums (INV-4) and what the probes found.
#[must_use]
pub fn verdict(counts: &Counts, residue: &[Residue]) -> Verdict {
    if let Some(found) = residue.iter().find(|residue| residue.rows > 0) {
        return Verdict::Failed(format!("{} rows of purged resources are left in '{}'", found.rows, found.residence));
    }
    if !counts.is_balanced() {
        return Verdict::Failed(format!("the sums do not agree: {counts:?}"));
    }
    if counts.failed > 0 {
        return Verdict::Failed(format!(
            "{} of {} resources could not be removed; PUT retries the failed batches",
            counts.failed, counts.planned
        ));
    }
    Verdict::Successful
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn success_needs_balance_no_failure_and_no_residue() {
        let good = Counts { planned: 3, deleted: 2, spared: 1, ..Counts::default() };
        let clean = [Residue { residence: "version", rows: 0 }];
        assert_eq!(verdict(&good, &clean), Verdict::Successful, "the control");
        assert!(
            matches!(verdict(&good, &[Residue { residence: "reference", rows: 1 }]), Verdict::Failed(text) if text.contains("'reference'"))
        );
        assert!(matches!(verdict(&Counts { planned: 4, ..good }, &clean), Verdict::Failed(text) if text.contains("do not agree")));
        assert!(matches!(verdict(&Counts { planned: 4, failed: 1, ..good }, &clean), Verdict::Failed(text) if text.contains("retries")));
    }
}
