//! Progress bars, on a terminal only.

use std::io::IsTerminal as _;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

const BAR: &str = "{prefix} {wide_bar} {human_pos}/{human_len}  {per_sec}  {eta} left";
const SPINNER: &str = "{prefix} {spinner} {msg} {human_pos}  {per_sec}  {elapsed}";

/// Whether anybody would see a bar.
pub(super) fn is_visible() -> bool {
    std::io::stderr().is_terminal()
}

fn bar(length: Option<u64>, prefix: &str, template: &str) -> ProgressBar {
    let target = if is_visible() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let bar = ProgressBar::with_draw_target(length, target).with_prefix(prefix.to_string());
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// A bar of `total` units with their rate and the time left; a spinner with the rate where the total is not known (0).
pub(super) fn counted(total: u64, prefix: &str) -> ProgressBar {
    if total == 0 { bar(None, prefix, SPINNER) } else { bar(Some(total), prefix, BAR) }
}

/// Learns the total of a bar that began without one.
pub(super) fn set_total(bar: &ProgressBar, total: u64) {
    if total > 0 && bar.length() != Some(total) {
        bar.set_length(total);
        if let Ok(style) = ProgressStyle::with_template(BAR) {
            bar.set_style(style);
        }
    }
}
