//! The `culld` binary: everything is in the library.

use std::process::ExitCode;

/// glibc keeps what threads freed for each other, several times what is in use where images come and go for hours;
/// jemalloc gives it back (tests/bench/measured/faults.md).
#[cfg(not(target_env = "msvc"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    culld::cli::run()
}
