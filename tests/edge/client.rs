//! The client's promise: each frame has one answer, in order, whatever happens to connections and servers.

use std::process::Stdio;
use std::time::Duration;

use auralink::client::{Answer, Error, Retry, Stream};
use auralink::proto::Codec;
use tempfile::tempdir;

use crate::instance::Instance;
use crate::support::{CLIP, Run, auralink, ffmpeg, have};
use crate::victim::{frame, i420, open, target};

/// What came back of a stream of H.264.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    pub(crate) file: Vec<u8>,
    pub(crate) numbers: Vec<u64>,
    pub(crate) resumed: Vec<f64>,
    /// Whether each packet after a loss stood alone.
    expects_key: bool,
}

impl Taken {
    pub(crate) fn take(&mut self, answer: Answer) {
        match answer {
            Answer::Packet(packet, _) => {
                assert!(packet.keyframe || !self.expects_key, "frame {} doesn't stand alone", packet.frame_number);
                self.expects_key = false;
                self.numbers.push(packet.frame_number);
                self.file.extend_from_slice(&packet.data);
            }
            Answer::Resumed { after, .. } => {
                self.expects_key = true;
                self.resumed.push(after.as_secs_f64() * 1e3);
            }
            Answer::Notice(_) => {}
            other => panic!("{other:?}"),
        }
    }

    /// Every frame must be there once, in order, and every picture decode.
    pub(crate) fn check(&self, frames: u64) {
        assert_eq!(self.numbers, (1..=frames).collect::<Vec<_>>());
        if have("ffmpeg") {
            let folder = tempdir().unwrap();
            let file = folder.path().join("out.h264");
            std::fs::write(&file, &self.file).unwrap();
            let path = file.to_str().unwrap();
            let seen =
                ffmpeg(&["-xerror", "-i", path, "-vf", "scale=16:16", "-pix_fmt", "gray", "-f", "rawvideo", "-"]);
            assert_eq!(seen.len() as u64, frames * 256, "pictures that ffmpeg sees");
        }
    }
}

/// Gives `frames` frames as fast as they are answered, and calls `at` before each.
pub(crate) async fn run(stream: &mut Stream, frames: u64, mut at: impl FnMut(u64)) -> Result<Taken, Error> {
    let mut taken = Taken::default();
    let pictures: Vec<_> = (0..8).map(|time| i420(320, 180, time)).collect();
    let mut next = 1;
    loop {
        while stream.has_credit() {
            if next > frames {
                stream.finish();
                break;
            }
            at(next);
            stream.send(frame(next, pictures[next as usize % 8].clone()))?;
            next += 1;
        }
        match stream.next().await? {
            Some(answer) => taken.take(answer),
            None => return Ok(taken),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_killed_and_started_again_costs_no_frame() {
    let folder = tempdir().unwrap();
    let mut server = Instance::start(folder.path(), &["--threads", "2"]);
    let target = target(vec![server.url()], Retry::default());
    let mut stream = Stream::open(&target, open(Codec::H264, 320, 180)).await.unwrap();
    let taken = run(&mut stream, 120, |number| {
        if number % 40 == 20 {
            server.kill();
            server.restart();
        }
    });
    let taken = taken.await.unwrap();
    assert_eq!(taken.resumed.len(), 3, "{:?}", taken.resumed);
    taken.check(120);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stops_hands_its_stream_to_the_next() {
    let folders = [tempdir().unwrap(), tempdir().unwrap()];
    let servers = [0, 1].map(|at| Instance::start(folders[at].path(), &["--threads", "1"]));
    let target = target(servers.iter().map(Instance::url).collect(), Retry::default());
    let mut stream = Stream::open(&target, open(Codec::H264, 320, 180)).await.unwrap();
    let taken = run(&mut stream, 60, |number| {
        if number == 20 {
            servers[0].signal("TERM");
        }
    });
    let taken = taken.await.unwrap();
    assert_eq!(taken.resumed.len(), 1);
    taken.check(60);
    assert!(servers[1].metric("auralink_packet_bytes_total") > 0.0, "the second has worked");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_hangs_is_left_for_the_next() {
    let folders = [tempdir().unwrap(), tempdir().unwrap()];
    let servers = [0, 1].map(|at| Instance::start(folders[at].path(), &["--threads", "1"]));
    let target = target(servers.iter().map(Instance::url).collect(), Retry::default());
    let mut stream = Stream::open(&target, open(Codec::H264, 320, 180)).await.unwrap();
    let taken = run(&mut stream, 30, |number| {
        if number == 10 {
            servers[0].signal("STOP");
        }
    });
    taken.await.unwrap().check(30);
    servers[0].signal("CONT");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_go_on_ends_with_a_reason() {
    let folder = tempdir().unwrap();
    let mut server = Instance::start(folder.path(), &["--threads", "1"]);
    let brief = Retry { give_up_after: Duration::from_millis(700), ..Retry::default() };
    let (some, url) = (open(Codec::H264, 320, 180), server.url());
    let mut stream = Stream::open(&target(vec![url.clone()], brief), some.clone()).await.unwrap();
    assert!(matches!(stream.send(frame(1, i420(320, 180, 1))), Ok(())));
    assert!(matches!(stream.send(frame(1, i420(320, 180, 1))), Err(Error::Order { frame_number: 1, last: 1 })));
    stream.send(frame(2, i420(320, 180, 2))).unwrap();
    assert!(matches!(stream.send(frame(3, i420(320, 180, 2))), Err(Error::WindowFull { window: 2 })));
    for _ in 0..2 {
        assert!(matches!(stream.next().await.unwrap(), Some(Answer::Packet(..))));
    }
    stream.send(frame(3, i420(160, 90, 1))).unwrap();
    match stream.next().await.unwrap() {
        Some(Answer::Failed { frame_number: 3, message, .. }) => assert!(message.contains("data"), "{message}"),
        other => panic!("{other:?}"),
    }
    server.kill();
    let lost = stream.next().await.unwrap_err();
    assert!(matches!(&lost, Error::Unavailable { attempts, .. } if *attempts >= 2), "{lost}");
    assert!(stream.next().await.unwrap().is_none(), "it's over");

    let none = Stream::open(&target(vec![url.clone()], brief), some.clone()).await.unwrap_err();
    assert!(matches!(&none, Error::Unavailable { attempts: 1, .. }) && none.to_string().contains(&url), "{none}");
    server.restart();
    let wrong = Stream::open(&target(vec![url], brief), open(Codec::H264, 20, 20)).await.unwrap_err();
    assert!(matches!(&wrong, Error::Refused(_)) && wrong.to_string().contains("width"), "{wrong}");
}

#[test]
fn the_command_goes_on_where_the_server_was_killed() {
    let folder = tempdir().unwrap();
    let mut server = Instance::start(folder.path(), &[]);
    let output = folder.path().join("out.h264");
    let (url, path) = (server.url(), output.to_str().unwrap());
    let arguments = ["stream", CLIP, "--server", &url, "-o", path, "--json", "--no-measure"];
    let command = auralink(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let written = || std::fs::metadata(&output).map_or(0, |file| file.len());
    for _ in 0..6_000 {
        if written() >= 20_000 {
            break;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    server.kill();
    server.restart();
    let done = Run::wait(command);
    assert_eq!(done.code, Some(0), "{}", done.stderr_text());
    assert!(done.stderr_text().contains("lost and resumed 1 times"), "{}", done.stderr_text());
    let numbers: Vec<_> = done.json_lines().iter().map(|line| line["frame"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
    if have("ffmpeg") {
        let seen = ffmpeg(&["-xerror", "-i", path, "-vf", "scale=16:16", "-pix_fmt", "gray", "-f", "rawvideo", "-"]);
        assert_eq!(seen.len(), numbers.len() * 256);
    }
}
