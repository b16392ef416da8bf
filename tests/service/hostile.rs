//! Damaged files through every door: an error or a picture, never an end of the server.

use std::fs;
use std::path::{Path, PathBuf};

use auralink::service::proto;
use tonic::Code;

use crate::harness::{config, http, noise, start};

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
}

/// Codes that tell a caller about its own input.
fn is_answer(code: Code) -> bool {
    matches!(code, Code::InvalidArgument | Code::OutOfRange)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn malformed_files_are_answered_by_every_door() {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data/malformed"));
    let mut paths = Vec::new();
    if folder.is_dir() {
        files(folder, &mut paths);
    } else {
        crate::skip::say(format_args!("no folder of malformed files; only made-up ones are sent"));
    }
    let mut inputs: Vec<_> = paths.iter().map(|path| (path.display().to_string(), fs::read(path).unwrap())).collect();
    inputs.push(("nothing".to_owned(), Vec::new()));
    inputs.push(("a lone marker".to_owned(), vec![0xFF, 0xD8]));
    inputs.push(("noise".to_owned(), noise(100_000, 1).to_vec()));
    inputs.push(("noise behind a marker".to_owned(), [&[0xFF, 0xD8][..], &noise(100_000, 2)].concat()));

    let server = start(config()).await;
    let mut client = server.client().await;
    for (name, data) in inputs {
        let picture = proto::Picture {
            format: proto::PixelFormat::Encoded as i32,
            data: data.clone().into(),
            ..Default::default()
        };
        let frame = proto::CompressFrameRequest { picture: Some(picture), ..Default::default() };
        if let Err(status) = client.compress_frame(frame).await {
            assert!(is_answer(status.code()), "{name}: {status:?}");
        }
        let packet = proto::DecompressFrameRequest { data: data.clone().into() };
        if let Err(status) = client.decompress_frame(packet).await {
            assert!(is_answer(status.code()), "{name}: {status:?}");
        }
        let answer = http(server.http, "POST", "/v1/compress", "", &data).await;
        assert!([200, 400].contains(&answer.status), "{name}: {answer:?}");
    }
    let ready = http(server.http, "GET", "/readyz", "", b"").await;
    assert_eq!(ready.status, 200, "{}", ready.json());
    server.stop().await;
}
