//! The `culld` binary: everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    culld::cli::run()
}
