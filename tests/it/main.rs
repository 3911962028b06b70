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

mod index;

mod cluster;

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
mod fold;
mod large;
mod live;
mod pipeline;
mod requests;
mod review;
mod review_core;
mod schedule;
mod sources;
mod suggest;
mod verify;
mod watch;
mod web;
mod wire;

mod cli;
mod full;
mod tidy;
