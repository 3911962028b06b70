//! Where a process is killed, how often, and what came of it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use culld::failpoint::{STEPS, WRITERS};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

/// Writers that a run of a few seconds does not come to: what is purged is a day old, and imports have a test of their own.
const RARE: [&str; 2] = ["purge", "import"];

/// How a process ends.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fault {
    /// `kill -9` from outside, at whatever it is doing.
    Random,
    /// At a named place, when it is passed for the so many-th time.
    Place(String, u64),
}

impl Fault {
    /// Random ones and every named place in turn.
    pub(super) fn all(kills: usize, seed: u64) -> Vec<Self> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let writers = WRITERS.iter().filter(|writer| !RARE.contains(writer));
        let places = writers.flat_map(|writer| ["asked", "stored"].map(|step| format!("{writer}/{step}")));
        // Swaps have tests of their own: no daemon runs then.
        let steps = STEPS.iter().filter(|step| !step.starts_with("swap/")).map(|step| (*step).to_owned());
        let places: Vec<String> = places.chain(steps).collect();
        let one = |at: usize| {
            // Two of three at a place: they are many, and each is passed in a moment.
            if at.is_multiple_of(3) {
                return Self::Random;
            }
            let place = places[(at - at / 3 - 1) % places.len()].clone();
            let often = ["commit/", "flush/", "add/", "reopen/"].iter().any(|often| place.starts_with(often));
            let passes = if often { rng.random_range(1..150) } else { rng.random_range(1..4) };
            Self::Place(place, passes)
        };
        (0..kills).map(one).collect()
    }

    /// What the environment has to say for it.
    pub(super) fn variable(&self) -> Option<String> {
        match self {
            Self::Random => None,
            Self::Place(place, passes) => Some(format!("{place}:{passes}")),
        }
    }

    /// Whether the place lies where a daemon stops in order.
    pub(super) fn needs_a_stop(&self) -> bool {
        matches!(self, Self::Place(place, _) if place.starts_with("index/") || place.starts_with("revisions/"))
    }

    /// Whether the place is come to only where the store keeps little in memory.
    pub(super) fn needs_little_memory(&self) -> bool {
        matches!(self, Self::Place(place, _) if place.starts_with("reopen/"))
    }

    fn name(&self) -> &str {
        match self {
            Self::Random => "at random",
            Self::Place(place, _) => place,
        }
    }
}

/// Faults by kind. Losses end a run, so that a table that was written has none.
#[derive(Debug, Default)]
pub(super) struct Tally {
    kinds: BTreeMap<String, u64>,
    not_reached: u64,
    /// Words acknowledged.
    pub(super) words: u64,
    /// Checks of an image and its label.
    pub(super) checks: u64,
}

impl Tally {
    /// Counts a fault that ended a process; one whose place was not come to is one at random.
    pub(super) fn count(&mut self, fault: &Fault, reached: bool) {
        let fault = if reached { fault } else { &Fault::Random };
        self.not_reached += u64::from(!reached);
        *self.kinds.entry(fault.name().to_owned()).or_default() += 1;
    }

    /// Adds those of another data folder.
    pub(super) fn add(&mut self, other: Self) {
        for (kind, times) in other.kinds {
            *self.kinds.entry(kind).or_default() += times;
        }
        self.not_reached += other.not_reached;
        self.words += other.words;
        self.checks += other.checks;
    }

    /// As Markdown.
    pub(super) fn table(&self, seed: u64) -> String {
        let mut table = String::from("| process killed | times |\n|---|---|\n");
        for (kind, times) in &self.kinds {
            writeln!(table, "| {kind} | {times} |").unwrap();
        }
        let kills: u64 = self.kinds.values().sum();
        writeln!(
            table,
            "\n{kills} kills (seed {seed}; {} of them at random because the place was not come to). Acknowledged: {} \
             words of images, sources, verdicts, answers, undos, deletions, policies, clusterings and collections. After \
             each restart all of them were checked, {} checks of an image and its label in all: **acknowledged words \
             lost: 0, wrong answers: 0**, and `Verify` found 0 problems every time.",
            self.not_reached, self.words, self.checks
        )
        .unwrap();
        table
    }
}
