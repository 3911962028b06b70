//! Compiles `proto/` into Rust types and a descriptor set; nothing else.

use std::error::Error;
use std::path::PathBuf;

use prost::Message as _;

const PROTO_ROOT: &str = "proto";
const SERVICES: [&str; 5] = ["admin", "clustering", "collection", "decision", "image"];
const RESOURCES: [&str; 5] = ["clustering", "collection", "decision", "image", "operation"];

fn main() -> Result<(), Box<dyn Error>> {
    let services = SERVICES.iter().map(|name| format!("{PROTO_ROOT}/culld/v1/{name}_service.proto"));
    let resources = RESOURCES.iter().map(|name| format!("{PROTO_ROOT}/culld/v1/{name}.proto"));
    let paths: Vec<PathBuf> = services.chain(resources).map(PathBuf::from).collect();
    println!("cargo:rerun-if-changed=build.rs");
    for path in &paths {
        println!("cargo:rerun-if-changed={}", path.display());
    }
    let descriptors = protox::compile(&paths, [PROTO_ROOT])?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("culld_descriptor.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure().compile_fds(descriptors)?;
    Ok(())
}
