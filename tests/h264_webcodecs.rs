//! Headless Chromium plays our streams through WebCodecs, and shows the reconstruction bit for bit.
//!
//! A page decodes a stream with `VideoDecoder` and answers with a checksum of each picture. Needs `chromium` on the path.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests may fail where tests may")]

mod h264_common;
mod skip;

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use auralink::codec::h264::{H264Config, Preset, Profile};
use auralink::kernel;
use h264_common::content::Content;
use h264_common::{Case, Picture, Scene, Unit, encode, nal_units, pool};

const PATIENCE: Duration = Duration::from_secs(60);
const PAGE: &str = include_str!("data/webcodecs.html");

/// Adler-32, of the planes as they are shown.
fn checksum(picture: &Picture) -> u32 {
    let (mut a, mut b) = (1_u32, 0_u32);
    for &sample in picture.planes.iter().flatten() {
        a = (a + u32::from(sample)) % 65521;
        b = (b + a) % 65521;
    }
    b << 16 | a
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let word = (0..3).fold(0, |word, k| word << 8 | u32::from(chunk.get(k).copied().unwrap_or(0)));
        for k in 0..4 {
            let digit = DIGITS[(word >> (18 - 6 * k) & 63) as usize];
            text.push(if k <= chunk.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

/// The page with a stream in it.
fn page(name: &str, units: &[Unit]) -> String {
    let parameters = nal_units(&units[0].bytes, Default::default())[0];
    let codec = format!("avc1.{:02X}{:02X}{:02X}", parameters[1], parameters[2], parameters[3]);
    let mut chunks = String::new();
    for unit in units {
        let kind = if unit.keyframe { "key" } else { "delta" };
        writeln!(chunks, "[\"{kind}\", \"{}\"],", base64(&unit.bytes)).unwrap();
    }
    PAGE.replace("{name}", name).replace("{codec}", &codec).replace("{chunks}", &chunks)
}

/// Serves the page once asked for, and gives what it posts back.
fn answer_of(page: &str, listener: &TcpListener, browser: &mut Child) -> String {
    let deadline = Instant::now() + PATIENCE;
    listener.set_nonblocking(true).unwrap();
    loop {
        assert!(Instant::now() < deadline, "the browser doesn't answer");
        assert!(browser.try_wait().unwrap().is_none(), "the browser has ended");
        let Ok((mut connection, _)) = listener.accept() else {
            std::thread::sleep(Duration::from_millis(10));
            continue;
        };
        connection.set_nonblocking(false).unwrap();
        connection.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        match request(&mut connection) {
            Some((line, body)) if line.starts_with("POST /answer") => {
                reply(&mut connection, "text/plain", "");
                return body;
            }
            Some((line, _)) if line.starts_with("GET / ") => reply(&mut connection, "text/html", page),
            _ => reply(&mut connection, "text/plain", ""),
        }
    }
}

/// Request line and body. A browser opens connections that it doesn't use.
fn request(connection: &mut TcpStream) -> Option<(String, String)> {
    let mut reader = BufReader::new(connection);
    let (mut first, mut length) = (String::new(), 0);
    reader.read_line(&mut first).ok()?;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        if line.trim().is_empty() {
            break;
        }
        if let Some(text) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = text.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((first, String::from_utf8_lossy(&body).into_owned()))
}

fn reply(connection: &mut TcpStream, kind: &str, body: &str) {
    let head =
        format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close", body.len());
    // What the browser no longer wants need not arrive.
    let _ = write!(connection, "{head}\r\n\r\n{body}");
}

fn play(name: &str, units: &[Unit]) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let profile = tempfile::tempdir().unwrap();
    let mut command = Command::new("chromium");
    command.args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]);
    command.args(["--disable-background-networking", "--disable-component-update", "--disable-sync"]);
    command.arg(format!("--user-data-dir={}", profile.path().display()));
    command.arg(format!("http://127.0.0.1:{}/", listener.local_addr().unwrap().port()));
    let mut browser = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let answer = answer_of(&page(name, units), &listener, &mut browser);
    browser.kill().unwrap();
    browser.wait().unwrap();
    let mut expected = String::from("ok");
    for unit in units {
        write!(expected, " {}", checksum(&unit.picture)).unwrap();
    }
    assert_eq!(answer, expected, "{name}");
    eprintln!("{name}: Chromium shows {} pictures as they are reconstructed", units.len());
}

#[test]
fn chromium_plays_every_profile() {
    if Command::new("chromium").arg("--version").stdin(Stdio::null()).output().is_err() {
        return skip::say(format_args!("chromium isn't installed: no browser plays the H.264 streams"));
    }
    for (profile, slices) in Profile::ALL.into_iter().zip([1, 2, 4]) {
        let config = H264Config { profile, slices, preset: Preset::Balanced, ..H264Config::default() };
        let scenes =
            vec![Scene::at(Content::Objects, (320, 180), 30, 26), Scene::at(Content::Text, (320, 180), 20, 24)];
        play(profile.name(), &encode(&Case { config, scenes }, kernel::detect(), &pool(2)));
    }
}
