//! Compiles the wire contract without `protoc`, and keeps its descriptors for reflection.

#[cfg(not(feature = "client"))]
fn main() {}

#[cfg(feature = "client")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    use prost::Message;

    const CONTRACT: &str = "auralink/aic/v1/frame_compression.proto";
    let descriptors = protox::compile([CONTRACT], ["proto"])?;
    let out = std::path::PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure()
        // Payloads are shared with the transport's buffers instead of copied.
        .bytes(".")
        .build_server(cfg!(feature = "server"))
        .compile_fds(descriptors)?;
    println!("cargo:rerun-if-changed=proto");
    Ok(())
}
