//! The integration tests, one binary: each module tests one part through its public face, from bytes to the wire.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test that can't go on has failed, and says what it skips"
)]

mod support;

mod decode;
mod embed;
mod store;

mod growth;
mod index;

mod cluster;

mod access;
mod backup;
mod bad_input;
mod client;
mod clusterings;
mod decisions;
mod decisions_rules;
mod defects;
mod duplicates;
mod durability;
mod events;
mod fetch;
mod fixtures;
mod fold;
mod fuzz;
mod hostile;
mod large;
mod live;
mod map;
mod observed;
mod overload;
mod pipeline;
mod requests;
mod review;
mod review_core;
mod schedule;
mod soak;
mod sources;
mod suggest;
mod transfer;
mod verify;
mod watch;
mod web;
mod wire;

mod cli;
mod full;
mod supply;
mod tidy;
