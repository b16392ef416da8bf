//! Floods at the level of HTTP/2 and TCP: the process lives, holds no more than before, and a stream beside them sees no error.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use auralink::client::{Access, Answer, Retry, Stream};
use auralink::proto::Codec;
use tempfile::{TempDir, tempdir};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

use crate::attackers::{attack_time, attackers};
use crate::harness::PATIENCE;
use crate::instance::{Instance, rounds};
use crate::victim::{Victim, frame, i420, open, target};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;
const END_STREAM: u8 = 1;

/// What a server may hold more after a flood than before it, MiB: caches and buffers that it keeps.
const MORE_MIB: f64 = 24.0;

/// A frame of HTTP/2, whether it makes sense or not.
fn http2(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// A field of a head, not indexed.
fn field(name: &str, value: &str) -> Vec<u8> {
    let mut bytes = vec![0];
    for text in [name, value] {
        integer(&mut bytes, text.len());
        bytes.extend(text.as_bytes());
    }
    bytes
}

/// A length with a prefix of seven bits (RFC 7541, 5.1).
fn integer(bytes: &mut Vec<u8>, mut value: usize) {
    if value < 127 {
        return bytes.push(value as u8);
    }
    bytes.push(127);
    value -= 127;
    while value >= 128 {
        bytes.push((value % 128) as u8 | 128);
        value /= 128;
    }
    bytes.push(value as u8);
}

/// The head of a call that streams.
fn head() -> Vec<u8> {
    let fields = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", "/auralink.aic.v1.FrameCompression/CompressStream"),
        (":authority", "localhost"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ];
    fields.iter().flat_map(|(name, value)| field(name, value)).collect()
}

/// A connection that says what it wants.
struct Raw {
    write: OwnedWriteHalf,
    /// The error code of its GOAWAY, if there was one, at the end of the connection.
    ended: JoinHandle<Option<u32>>,
}

impl Raw {
    async fn connect(server: &Instance, settings: &[u8]) -> Self {
        let socket = TcpStream::connect(server.grpc).await.unwrap();
        let (read, write) = socket.into_split();
        let mut raw = Self { write, ended: tokio::spawn(listen(read)) };
        let mut hello = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        hello.extend(http2(SETTINGS, 0, 0, settings));
        raw.say(&hello).await;
        raw
    }

    /// Whether it could still be said.
    async fn say(&mut self, bytes: &[u8]) -> bool {
        matches!(timeout(Duration::from_secs(10), self.write.write_all(bytes)).await, Ok(Ok(())))
    }

    /// Says it again and again, until the server has had enough or `most` were said. Gives how many that was.
    async fn flood(&mut self, most: usize, mut next: impl FnMut(usize) -> Vec<u8>) -> usize {
        let mut said = 0;
        while said < most {
            let batch: Vec<_> = (said..(said + 64).min(most)).flat_map(&mut next).collect();
            if self.ended.is_finished() || !self.say(&batch).await {
                return said;
            }
            said = (said + 64).min(most);
        }
        said
    }

    /// The error code that the server has ended the connection with; none where it just closed it.
    async fn end(mut self) -> Option<u32> {
        // It may be closed already.
        let _ = self.write.shutdown().await;
        timeout(PATIENCE, self.ended).await.expect("an end in time").unwrap()
    }
}

/// Reads frames to the end.
async fn listen(mut read: OwnedReadHalf) -> Option<u32> {
    let mut code = None;
    let (mut head, mut payload) = ([0; 9], Vec::new());
    while read.read_exact(&mut head).await.is_ok() {
        payload.resize(u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize, 0);
        if read.read_exact(&mut payload).await.is_err() {
            break;
        }
        if head[3] == GOAWAY {
            code = payload.get(4..8).map(|code| u32::from_be_bytes(code.try_into().unwrap())).or(code);
        }
    }
    code
}

/// A server that has worked a little.
async fn server(settings: &str) -> (TempDir, Arc<Instance>) {
    let folder = tempdir().unwrap();
    let server = Arc::new(Instance::start_as(folder.path(), &format!("[compute]\nthreads = 2\n{settings}")));
    Victim::alone(&server, Duration::from_millis(500)).await;
    (folder, server)
}

/// Runs an attack with a victim beside it, and checks what has to hold after each.
async fn beside<T>(name: &str, server: &Arc<Instance>, attack: impl AsyncFn() -> T) -> T {
    let idle = server.resident_mib();
    let alone = Victim::alone(server, attack_time().max(Duration::from_secs(1))).await;
    let victim = Victim::of(server).await;
    let began = Instant::now();
    let mut outcome = attack().await;
    while began.elapsed() < attack_time() {
        outcome = attack().await;
    }
    let took = began.elapsed().as_secs_f64();
    // Time to notice what it has done.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let seen = victim.end().await;
    server.until_nothing_is_held().await;
    let more = server.resident_mib() - idle;
    println!("{name}: {took:.1} s; victim {seen}; alone {alone}; {more:.1} MiB more");
    assert!(more < MORE_MIB, "{name}: {more:.1} MiB more are held");
    assert!(server.is_ready(), "{name}: it isn't ready any more");
    outcome
}

/// Connections at once, each of which does the same.
async fn each<T, F, A>(connections: usize, server: &Arc<Instance>, attack: A) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send,
    A: Fn(Raw) -> F + Clone + Send + 'static,
{
    let mut running = JoinSet::new();
    for _ in 0..connections {
        let (server, attack) = (Arc::clone(server), attack.clone());
        let attacker = async move {
            let raw = Raw::connect(&server, &[]).await;
            attack(raw).await
        };
        running.spawn_on(attacker, attackers());
    }
    running.join_all().await
}

const ENHANCE_YOUR_CALM: Option<u32> = Some(11);

/// Connections that open a stream and say something of it, again and again. Gives how often each did, and how it was ended.
async fn open_streams(
    connections: usize,
    server: &Arc<Instance>,
    most: usize,
    then: fn(u32) -> Vec<u8>,
) -> Vec<(usize, Option<u32>)> {
    let attack = move |mut raw: Raw| async move {
        let block = head();
        let open = |at| {
            let stream = 2 * at as u32 + 1;
            [http2(HEADERS, END_HEADERS, stream, &block), then(stream)].concat()
        };
        let said = raw.flood(most, open).await;
        (said, raw.end().await)
    };
    each(connections, server, attack).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_opened_and_reset_end_their_connection() {
    let (_folder, server) = server("").await;
    let most = rounds(20_000);
    let reset = |stream| http2(RST_STREAM, 0, stream, &8_u32.to_be_bytes());
    let attack = async || open_streams(10, &server, most, reset).await;
    let ended = beside("rapid reset, 10 connections", &server, attack).await;
    assert!(ended.iter().all(|(said, _)| *said < most), "{ended:?}");
    assert!(ended.iter().any(|(_, code)| *code == ENHANCE_YOUR_CALM), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_that_make_the_server_reset_them_end_their_connection() {
    let (_folder, server) = server("").await;
    let most = rounds(20_000);
    // An increment of nothing is an error of the stream (RFC 9113, 6.9).
    let provoke = |stream| http2(WINDOW_UPDATE, 0, stream, &0_u32.to_be_bytes());
    let attack = async || open_streams(4, &server, most, provoke).await;
    let ended = beside("resets provoked, 4 connections", &server, attack).await;
    assert!(ended.iter().all(|(said, _)| *said < most), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heads_without_end_end_their_connection() {
    let (_folder, server) = server("").await;
    let attack = async || {
        each(4, &server, move |mut raw| async move {
            raw.say(&http2(HEADERS, 0, 1, &head())).await;
            let junk: Vec<_> = (0..100).flat_map(|at| field(&format!("x-{at}"), &"y".repeat(100))).collect();
            let said = raw.flood(5_000, |_| http2(CONTINUATION, 0, 1, &junk)).await;
            (said, raw.end().await)
        })
        .await
    };
    let ended = beside("CONTINUATION without end, 4 connections", &server, attack).await;
    assert!(ended.iter().all(|(said, _)| *said < 5_000), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heads_that_unpack_to_much_are_refused() {
    let (_folder, server) = server("").await;
    let attack = async || {
        each(4, &server, move |mut raw| async move {
            // A field of 4,000 bytes for the table, and then a byte for each of its repetitions.
            let mut block = head();
            block.push(0x40);
            for text in ["x-bomb", &"z".repeat(3_900)] {
                integer(&mut block, text.len());
                block.extend(text.as_bytes());
            }
            block.extend([0x80 | 62; 8_000]);
            for stream in 0..16 {
                raw.say(&http2(HEADERS, END_HEADERS, 2 * stream + 1, &block)).await;
            }
            // And 10,000 fields in as many frames as it takes.
            raw.say(&http2(HEADERS, 0, 101, &head())).await;
            let many: Vec<_> = (0..250).flat_map(|at| field(&format!("x-{at}"), "1")).collect();
            let said =
                raw.flood(40, |at| http2(CONTINUATION, if at == 39 { END_HEADERS } else { 0 }, 101, &many)).await;
            (said, raw.end().await)
        })
        .await
    };
    beside("packed heads, 4 connections", &server, attack).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_frames_without_end_end_their_connection() {
    let (_folder, server) = server("").await;
    let most = rounds(10_000_000);
    for (name, kind, payload) in [
        ("SETTINGS", SETTINGS, vec![0, 3, 0, 0, 0, 100]),
        ("PING", PING, vec![7; 8]),
        ("PRIORITY", PRIORITY, vec![0, 0, 0, 5, 16]),
        ("an unknown kind of", 77, vec![1; 32]),
    ] {
        let stream = u32::from(kind == PRIORITY) * 3;
        let bytes = http2(kind, 0, stream, &payload);
        let attack = async || {
            let bytes = bytes.clone();
            let flood = move |mut raw: Raw| {
                let bytes = bytes.clone();
                async move {
                    let said = raw.flood(most, |_| bytes.clone()).await;
                    (said, raw.end().await)
                }
            };
            each(2, &server, flood).await
        };
        let ended = beside(&format!("{name} frames without end, 2 connections"), &server, attack).await;
        assert!(ended.iter().all(|(said, _)| *said < most), "{ended:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn windows_out_of_bounds_end_their_connection() {
    let (_folder, server) = server("").await;
    let attack = async || {
        let mut raw = Raw::connect(&server, &[]).await;
        raw.flood(100, |_| http2(WINDOW_UPDATE, 0, 0, &0x7FFF_FFFF_u32.to_be_bytes())).await;
        let overflow = raw.end().await;
        let settings = [0, 4, 0xFF, 0xFF, 0xFF, 0xFF];
        let beyond = Raw::connect(&server, &settings).await.end().await;
        // Windows of nothing, and of a byte.
        for window in [0, 1] {
            let mut raw = Raw::connect(&server, &[0, 4, 0, 0, 0, window]).await;
            for stream in 0..100 {
                raw.say(&http2(HEADERS, END_HEADERS | END_STREAM, 2 * stream + 1, &head())).await;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
            raw.end().await;
        }
        (overflow, beyond)
    };
    // FLOW_CONTROL_ERROR; the library says PROTOCOL_ERROR where RFC 9113 (6.5.2) has the same for the setting.
    assert_eq!(beside("windows", &server, attack).await, (Some(3), Some(1)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn data_in_crumbs_ends_its_connection() {
    let (_folder, server) = server("").await;
    let most = rounds(200_000);
    for (name, payload) in [("empty", &b""[..]), ("of a byte", b"x")] {
        let attack = async || {
            each(2, &server, move |mut raw| async move {
                raw.say(&http2(HEADERS, END_HEADERS, 1, &head())).await;
                let said = raw.flood(most, |_| http2(DATA, 0, 1, payload)).await;
                (said, raw.end().await)
            })
            .await
        };
        let ended = beside(&format!("DATA frames {name}, 2 connections"), &server, attack).await;
        assert!(ended.iter().all(|(said, _)| *said < most), "{ended:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn small_words_at_a_high_rate_are_no_flood() {
    let (_folder, server) = server("").await;
    let mut stream =
        Stream::open(&target(vec![server.url()], Retry::NEVER), open(Codec::Jpeg, 320, 180)).await.unwrap();
    for number in 1..=20 {
        stream.send(frame(number, i420(320, 180, number as u32))).unwrap();
        assert!(matches!(stream.next().await.unwrap(), Some(Answer::Packet(..))));
        for _ in 0..250 {
            stream.lost(number);
            tokio::time::sleep(Duration::from_micros(500)).await;
        }
    }
    stream.finish();
    while let Some(answer) = stream.next().await.unwrap() {
        assert!(matches!(answer, Answer::Packet(..) | Answer::Dropped { .. }), "{answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_say_nothing_or_half_a_word_are_closed() {
    let (_folder, server) = server("[limits]\nkeepalive_ms = 1000\n").await;
    let attack = async || {
        let mut silent = Vec::new();
        for word in [&b""[..], b"PRI * HT", b"\x16\x03\x01", b"GET / HTTP/1.1\r\nhost"] {
            for _ in 0..50 {
                let mut socket = TcpStream::connect(server.grpc).await.unwrap();
                socket.write_all(word).await.unwrap();
                silent.push((word, socket));
            }
        }
        // These say hello and begin a call, and are gone then: they answer no ping.
        for _ in 0..250 {
            let mut socket = TcpStream::connect(server.grpc).await.unwrap();
            socket.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
            socket.write_all(&http2(SETTINGS, 0, 0, &[])).await.unwrap();
            socket.write_all(&http2(HEADERS, END_HEADERS, 1, &head())).await.unwrap();
            silent.push((b"hello", socket));
        }
        let began = Instant::now();
        for (word, mut socket) in silent {
            let mut rest = Vec::new();
            let closed = timeout(PATIENCE, socket.read_to_end(&mut rest)).await;
            assert!(closed.is_ok(), "{:?} stays open", word.escape_ascii().to_string());
        }
        began.elapsed()
    };
    let took = beside("450 connections half-open", &server, attack).await;
    println!("the last was closed after {:.1} s", took.as_secs_f64());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_file_descriptors_it_waits_and_goes_on() {
    let (_folder, server) = server("").await;
    let [files, _] = server.held();
    let limit = (files + 20).to_string();
    let done = std::process::Command::new("prlimit")
        .args(["--pid", &server.process().to_string(), &format!("--nofile={limit}:{limit}")])
        .status();
    if !done.is_ok_and(|done| done.success()) {
        crate::skip::say(format_args!("prlimit isn't there: running out of file descriptors isn't tested"));
        return;
    }
    let victim = Victim::of(&server).await;
    let mut sockets = Vec::new();
    for _ in 0..100 {
        sockets.push(TcpStream::connect(server.grpc).await.unwrap());
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    drop(sockets);
    let began = Instant::now();
    while !server.is_ready() {
        assert!(began.elapsed() < PATIENCE, "it doesn't recover");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    println!(
        "ready {:.0} ms after the last of 100 connections has gone; victim {}",
        began.elapsed().as_secs_f64() * 1e3,
        victim.end().await
    );
    Victim::alone(&server, Duration::from_millis(300)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn packed_messages_are_refused_before_they_are_unpacked() {
    let (_folder, server) = server("").await;
    let attack = async || {
        each(8, &server, move |mut raw| async move {
            for (at, encoding) in ["gzip", "zstd", "deflate", "gzip, gzip"].into_iter().enumerate() {
                let stream = 2 * at as u32 + 1;
                let block = [head(), field("grpc-encoding", encoding)].concat();
                raw.say(&http2(HEADERS, END_HEADERS, stream, &block)).await;
                // A flag that says packed, and a megabyte that would be a gigabyte.
                let message = [&[1, 0, 16, 0, 0][..], &[0; 16_000]].concat();
                raw.say(&http2(DATA, END_STREAM, stream, &message)).await;
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
            raw.end().await
        })
        .await
    };
    beside("packed messages, 8 connections", &server, attack).await;
}

/// Asks with tokens of the right form that nobody has signed, each another, on a connection that stays open, until `until`. Gives
/// how many were refused as such, and how many unseen, as there had been too many.
async fn ask_with_bad_tokens(server: Arc<Instance>, asker: usize, until: Instant) -> [usize; 2] {
    let mut socket = TcpStream::connect(server.http).await.unwrap();
    let (mut refused, mut answers) = ([0, 0], Vec::new());
    for round in 0.. {
        if Instant::now() >= until {
            break;
        }
        let ask = |k: usize| {
            // 32 bytes in base64 end with two bits of zero.
            let signature = format!("{:042}0", 100 * (16 * round + k) + asker);
            let token = format!("eyJhbGciOiJIUzI1NiIsImtpZCI6ImEifQ.eyJzdWIiOiJ4In0.{signature}");
            format!("GET /v1/sessions HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n\r\n")
        };
        socket.write_all((0..16).map(ask).collect::<String>().as_bytes()).await.unwrap();
        answers.clear();
        let count = |answers: &[u8]| {
            [b"HTTP/1.1 401", b"HTTP/1.1 429"].map(|status| answers.windows(12).filter(|at| at == status).count())
        };
        while count(&answers).iter().sum::<usize>() < 16 {
            let read = timeout(PATIENCE, socket.read_buf(&mut answers)).await.expect("answers in time").unwrap();
            assert!(read > 0, "closed after {:?}", answers.escape_ascii().to_string());
        }
        let counted = count(&answers);
        refused = [refused[0] + counted[0], refused[1] + counted[1]];
    }
    refused
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_tokens_at_a_high_rate_hurt_no_stream() {
    let key = "alk_victim_0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    let settings = "[auth]\nopen_metrics = true
        [[auth.keys]]\nid = \"victim\"\nroles = [\"compress\"]
        sha256 = \"2534a15064b58235744cb1e73992c1ca64f54a22b66f87a105da6eb6030b01d6\"
        [[auth.jwt.keys]]\nkid = \"a\"\nalgorithm = \"HS256\"\nsecret = \"a secret of the tests, long enough\"";
    let folder = tempdir().unwrap();
    let server = Arc::new(Instance::start_as(folder.path(), settings));
    let victim = || Victim::who(&server, Access { secret: Some(key.to_owned()), ..Access::default() });
    let alone = victim().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let alone = alone.end().await;
    let beside = victim().await;
    let seconds = attack_time().as_secs().max(2);
    let until = Instant::now() + Duration::from_secs(seconds);
    let mut askers = JoinSet::new();
    for asker in 0..2 {
        askers.spawn_on(ask_with_bad_tokens(Arc::clone(&server), asker, until), attackers());
    }
    let refused = askers.join_all().await;
    let [bad, unseen] = [0, 1].map(|k| refused.iter().map(|refused| refused[k]).sum::<usize>() as u64);
    println!(
        "{} bad tokens a second, {unseen} of {} refused unseen; victim {}; alone {alone}",
        (bad + unseen) / seconds,
        bad + unseen,
        beside.end().await
    );
    assert!(bad > 0 && server.is_ready());
    server.until_nothing_is_held().await;
}
