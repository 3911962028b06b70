//! The full lane: what needs more than Rust, or minutes. `tests/run full` runs it; alone, its tests say that they are
//! skipped.

mod clients;
pub(crate) mod other_tools;
mod page;
mod real_data;
mod review;
mod stalled;

/// Whether this is the full lane.
pub(crate) fn is_on() -> bool {
    let on = std::env::var("CULLD_TESTS").is_ok_and(|lane| lane == "full");
    if !on {
        eprintln!("skipped: only in the full lane, tests/run full");
    }
    on
}
