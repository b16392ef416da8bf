//! Runs programs with patience, and reads what they wrote.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use auralink::frame::y4m::{FrameRate, Header, Parser, write_frame, write_header};
use auralink::{FrameBuf, PixelFormat, Range};

/// The bundled clip.
pub(crate) const CLIP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/bigbuckbunny_640x360_25.mjpeg");
/// Longest time any one run may take: a machine under load is slow, a hang is for ever.
const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) fn auralink(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_auralink"));
    command.args(args).stdin(Stdio::null()).env_remove("GRPC_PORT").env_remove("HTTP_PORT");
    command
}

/// What a program left behind.
pub(crate) struct Run {
    /// None where it had to be killed.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
}

pub(crate) fn run(args: &[&str]) -> Run {
    Run::wait(auralink(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
}

/// Runs with these bytes on standard input.
pub(crate) fn run_with(args: &[&str], stdin: &[u8]) -> Run {
    let mut command = auralink(args);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (mut pipe, bytes) = (child.stdin.take().unwrap(), stdin.to_vec());
    // Whoever doesn't like the beginning need not read the end.
    let writer = thread::spawn(move || drop(pipe.write_all(&bytes)));
    let run = Run::wait(child);
    writer.join().unwrap();
    run
}

impl Run {
    pub(crate) fn wait(child: Child) -> Self {
        Self::wait_for(child, PATIENCE)
    }

    pub(crate) fn wait_for(mut child: Child, patience: Duration) -> Self {
        let (stdout, stderr) = (collect(child.stdout.take()), collect(child.stderr.take()));
        let deadline = Instant::now() + patience;
        let code = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status.code();
            }
            if Instant::now() > deadline {
                child.kill().unwrap();
                child.wait().unwrap();
                break None;
            }
            thread::sleep(Duration::from_millis(5));
        };
        Self { code, stdout: stdout.join().unwrap(), stderr: stderr.join().unwrap() }
    }

    pub(crate) fn stdout_text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    pub(crate) fn stderr_text(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    pub(crate) fn json_lines(&self) -> Vec<serde_json::Value> {
        self.stdout_text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn collect(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.map(|mut pipe| pipe.read_to_end(&mut bytes).unwrap());
        bytes
    })
}

/// A service in a process of its own.
pub(crate) struct Server {
    pub(crate) child: Child,
    pub(crate) grpc: String,
    pub(crate) http: String,
}

impl Server {
    pub(crate) fn start(folder: &Path) -> Self {
        Self::start_with(folder, &[])
    }

    /// With more arguments; its log goes to `server.log` in the folder.
    pub(crate) fn start_with(folder: &Path, args: &[&str]) -> Self {
        let log = std::fs::File::create(folder.join("server.log")).unwrap();
        let mut command = auralink(&["serve", "--grpc-port", "0", "--http-port", "0", "--log", "json"]);
        command.args(args);
        let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let addresses: Vec<_> = line.split_whitespace().filter(|word| word.starts_with("127.")).collect();
        let url = |at: usize| format!("http://{}", addresses[at].trim_end_matches(','));
        Self { grpc: url(0), http: url(1), child }
    }

    /// Asks it to stop as a supervisor does.
    pub(crate) fn stop(self) -> Option<i32> {
        signal("-TERM", self.child.id());
        Run::wait(self.child).code
    }
}

pub(crate) fn signal(name: &str, process: u32) {
    assert!(Command::new("kill").args([name, &process.to_string()]).status().unwrap().success());
}

pub(crate) fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Writes a small moving clip, and gives its path.
pub(crate) fn y4m_clip(folder: &Path, frames: usize) -> PathBuf {
    let (width, height) = (160, 90);
    let rate = FrameRate { num: 25, den: 1 };
    let header = Header { width, height, rate, format: PixelFormat::I420, range: Range::Limited };
    let mut bytes = Vec::new();
    write_header(&header, &mut bytes).unwrap();
    for index in 0..frames {
        let mut frame = FrameBuf::zeroed(PixelFormat::I420, width, height).unwrap();
        for (at, sample) in frame.data_mut().iter_mut().enumerate() {
            let (x, y) = (at % 160, at / 160);
            *sample = (64 + (x + 3 * index) / 2 + y / 2 + (x * y) % 7) as u8;
        }
        write_frame(&frame.as_frame(), &mut bytes).unwrap();
    }
    let path = folder.join("clip.y4m");
    std::fs::write(&path, bytes).unwrap();
    path
}

/// The samples of each frame of a y4m stream.
pub(crate) fn y4m_frames(bytes: &[u8]) -> Vec<Vec<u8>> {
    let (mut parser, mut frames) = (Parser::default(), Vec::new());
    let mut frame = FrameBuf::zeroed(PixelFormat::Gray8, 1, 1).unwrap();
    parser.feed(bytes);
    while parser.next_frame(&mut frame).unwrap() {
        frames.push(frame.data().to_vec());
    }
    parser.finish().unwrap();
    frames
}

/// Whole JPEG pictures in a row, each decoded.
pub(crate) fn pictures(bytes: &[u8]) -> usize {
    let starts: Vec<_> =
        bytes.windows(3).enumerate().filter(|(_, w)| *w == [0xFF, 0xD8, 0xFF]).map(|(at, _)| at).collect();
    for (index, &start) in starts.iter().enumerate() {
        let end = starts.get(index + 1).copied().unwrap_or(bytes.len());
        assert!(bytes[..end].ends_with(&[0xFF, 0xD9]), "picture {index} has no end");
        auralink::images::decode(&bytes[start..end], &auralink::Limits::ENGINE).unwrap();
    }
    starts.len()
}

/// A folder of the development data, or nothing, said loudly.
pub(crate) fn data(name: &str) -> Option<PathBuf> {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data")).join(name);
    if !path.is_dir() {
        crate::skip::say(format_args!("{} isn't there", path.display()));
        return None;
    }
    Some(path)
}

pub(crate) fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
}

/// Whether another program is installed, said loudly where it isn't.
pub(crate) fn have(program: &str) -> bool {
    let found = Command::new(program).arg("-version").stdin(Stdio::null()).output().is_ok();
    if !found {
        crate::skip::say(format_args!("{program} isn't installed"));
    }
    found
}

/// Runs another program, which must succeed, and gives its output.
pub(crate) fn run_other(program: &str, args: &[&str]) -> Vec<u8> {
    let done = Command::new(program).args(args).stdin(Stdio::null()).output().unwrap();
    assert!(done.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&done.stderr));
    done.stdout
}

pub(crate) fn ffmpeg(args: &[&str]) -> Vec<u8> {
    let (output, rest) = args.split_last().unwrap();
    // Every picture once, whatever its time.
    run_other("ffmpeg", &[&["-v", "error"], rest, &["-fps_mode", "passthrough", output]].concat())
}
