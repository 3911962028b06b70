//! culld sorts growing image stores: it embeds images with a pre-trained CNN, clusters them, and turns a few human
//! judgements into a keep/discard decision for every image, also for those that arrive tomorrow.
//!
//! # The way through the house
//!
//! ```text
//! bytes ─▶ decode ─▶ embed ─▶ store ─▶ index ─▶ neighbours ─▶ cluster ─▶ decide ─▶ review ─▶ web, gRPC ─▶ clients
//! ```
//!
//! Modules are listed in that order. *Ground state* is what is in the store: image records with their sources,
//! embeddings, thumbnails, the event log. Everything else (index, the clustering that is followed through adds and
//! deletes, nearest labelled images, decisions) is *derived*, and is rebuilt when the daemon starts. Clusterings are
//! kept, since verdicts name them, and revisions of decisions, since callers' tokens do, but both can be made again.
//!
//! # What holds
//!
//! - `grpc` decides nothing; `decide`, `cluster` and the record codec do no I/O.
//! - Each outside crate has one home: `image` in `decode`, `ort` in `embed`, `sled` in `store`, `hnsw_rs` in `index`,
//!   `linfa` in `cluster`, `axum` in `web`, `tonic` and `prost` in `grpc`, the client and the command line. A test
//!   asserts it.
//! - No embedding is stored without its space, and none of two spaces are compared.
//! - An outcome is sent only after its record is durable.
//! - Every queue, image, batch, message, cache and wait has a maximum.
//! - Only `main` exits the process.
//!
//! # What it is not
//!
//! Not a viewer, not a labelling tool for boxes and masks, not a general vector database, and never the owner of the
//! caller's files: those are only touched by `culld apply`, and then only when told to.

pub mod config;
pub mod failpoint;
mod file_uri;
pub mod types;

pub mod decode;

pub mod setup;

pub mod embed;

pub mod store;

pub mod product;

pub mod index;

pub mod cluster;

pub mod decide;

pub mod review;

pub mod growth;
pub mod map;

pub mod portable;

pub mod engine;

pub mod access;

pub mod metrics;

pub mod web;

pub mod grpc;

pub mod app;

pub mod client;

pub mod cli;
pub mod plot;
pub mod telemetry;

/// The generated messages, services and clients of `proto/culld/v1`.
#[allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic, reason = "generated")]
pub mod proto {
    tonic::include_proto!("culld.v1");

    /// The descriptors of all of it, for reflection.
    pub const DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/culld_descriptor.bin"));
}
