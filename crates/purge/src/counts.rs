//! What became of the resources that a purge set out to remove.

use std::ops::AddAssign;

/// Numbers of resources. `planned = deleted + spared + held + failed` (INV-4) for every batch, type and job that has run to its end; in a
/// job that is under way or was canceled the rest has no outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Were selected at kick-off, on hold or not, the Provenance and Binary that go along included.
    pub planned: u64,
    /// Gone, with all their versions.
    pub deleted: u64,
    /// Left alone: updated, deleted or created anew after kick-off, or still needed by something that was.
    pub spared: u64,
    /// Left alone because of a legal hold: one that was in force when the plan was made, or when the batch ran.
    pub held: u64,
    /// Not removed because their batch failed.
    pub failed: u64,
}

impl Counts {
    /// Whether INV-4 holds.
    #[must_use]
    pub fn is_balanced(&self) -> bool {
        self.planned == self.deleted + self.spared + self.held + self.failed
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.planned += other.planned;
        self.deleted += other.deleted;
        self.spared += other.spared;
        self.held += other.held;
        self.failed += other.failed;
    }
}
