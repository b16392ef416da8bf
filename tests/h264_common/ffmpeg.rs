//! ffmpeg as the oracle: one run decodes many streams of any sizes, and every picture is compared.

use std::collections::{HashMap, VecDeque};
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use super::{Picture, Unit, annex_b};
use auralink::codec::h264::Framing;

/// Bytes of expected pictures after which a batch is decoded.
const BATCH_BYTES: usize = 48 << 20;

/// Whether ffmpeg is installed, said loudly where it isn't.
pub(crate) fn is_there() -> bool {
    let found = Command::new("ffmpeg").arg("-version").stdin(Stdio::null()).output().is_ok();
    if !found {
        crate::skip::say(format_args!("ffmpeg isn't installed: H.264 streams are not decoded"));
    }
    found
}

/// Collects streams, and decodes them together: starting ffmpeg takes longer than decoding a small stream.
#[derive(Default)]
pub(crate) struct Oracle {
    stream: Vec<u8>,
    expected: VecDeque<(String, Picture)>,
    expected_bytes: usize,
    /// Sizes in this batch, by the macroblocks they take. ffmpeg cuts a picture to another of as many macroblocks that it saw
    /// while it probed, as some MP4 files want it: only one of them may be in a batch.
    sizes: HashMap<(usize, usize), (usize, usize)>,
    /// What was wrong with an earlier batch.
    fault: Option<String>,
    /// Pictures that were compared.
    pub(crate) pictures: usize,
    /// Streams that were compared.
    pub(crate) streams: usize,
    is_absent: bool,
}

impl Oracle {
    pub(crate) fn new() -> Self {
        let mut oracle = Self::default();
        oracle.is_absent = !is_there();
        oracle
    }

    /// Takes a stream, which begins with a keyframe, as does each of its sizes.
    pub(crate) fn feed(&mut self, name: &str, framing: Framing, units: Vec<Unit>) {
        self.streams += usize::from(!self.is_absent);
        if self.expected_bytes > BATCH_BYTES {
            self.decode_batch();
        }
        for (number, unit) in units.into_iter().enumerate() {
            let shown = unit.picture.shown();
            if *self.sizes.entry((shown.0.div_ceil(16), shown.1.div_ceil(16))).or_insert(shown) != shown {
                self.decode_batch();
                self.sizes.insert((shown.0.div_ceil(16), shown.1.div_ceil(16)), shown);
            }
            self.stream.extend(annex_b(&unit.bytes, framing));
            self.expected_bytes += unit.picture.shown_bytes();
            self.expected.push_back((format!("{name}, frame {number}"), unit.picture));
        }
    }

    /// Decodes what was collected. Panics with the name of a picture that the decoder sees otherwise.
    pub(crate) fn settle(&mut self) {
        if let Err(fault) = self.try_settle() {
            panic!("{fault}");
        }
    }

    /// Decodes what was collected, and says what was wrong first.
    pub(crate) fn try_settle(&mut self) -> Result<(), String> {
        self.decode_batch();
        self.fault.take().map_or(Ok(()), Err)
    }

    fn decode_batch(&mut self) {
        let (stream, mut expected) = (std::mem::take(&mut self.stream), std::mem::take(&mut self.expected));
        self.expected_bytes = 0;
        self.sizes.clear();
        if self.is_absent || expected.is_empty() || self.fault.is_some() {
            return;
        }
        let result = decode(&stream, true, |pipe| {
            while let Some((name, picture)) = expected.pop_front() {
                let mut seen = vec![0; picture.shown_bytes()];
                pipe.read_exact(&mut seen).map_err(|_| format!("{name}: the decoder shows no such picture"))?;
                if let Some(difference) = picture.difference(&seen) {
                    return Err(format!("{name}: {difference}"));
                }
                self.pictures += 1;
            }
            let more = pipe.read_to_end(&mut Vec::new()).map_err(|error| error.to_string())?;
            if more == 0 { Ok(()) } else { Err(format!("{more} bytes of pictures that nobody encoded")) }
        });
        if let Err(fault) = result {
            let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("h264_oracle_failure.264");
            std::fs::write(&path, &stream).unwrap();
            self.fault = Some(format!("{fault}\nthe streams decoded together are in {}", path.display()));
        }
    }
}

impl Drop for Oracle {
    /// What was fed and never decoded proves nothing.
    fn drop(&mut self) {
        assert!(thread::panicking() || (self.expected.is_empty() && self.fault.is_none()), "an oracle was not settled");
    }
}

/// Runs ffmpeg over a stream with start codes, and hands its planar pictures, each at its own size, to `read`. `strict` ends
/// at the first error.
pub(crate) fn decode<T>(
    stream: &[u8],
    strict: bool,
    read: impl FnOnce(&mut dyn Read) -> Result<T, String>,
) -> Result<T, String> {
    let mut command = Command::new("ffmpeg");
    command.args(["-v", if strict { "error" } else { "fatal" }]);
    if strict {
        command.args(["-xerror", "-err_detect", "explode"]);
    }
    // Timestamps at one rate, whatever rates the streams are of.
    command.args([
        "-threads",
        "1",
        "-r",
        "25",
        "-f",
        "h264",
        "-i",
        "pipe:0",
        "-fps_mode",
        "passthrough",
        "-autoscale",
        "0",
    ]);
    command.args(["-f", "rawvideo", "pipe:1"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let (mut stdin, mut stdout, mut stderr) =
        (child.stdin.take().unwrap(), child.stdout.take().unwrap(), child.stderr.take().unwrap());
    thread::scope(|scope| {
        // A decoder that has given up reads no more.
        scope.spawn(move || drop(stdin.write_all(stream)));
        let messages = scope.spawn(move || {
            let mut text = String::new();
            stderr.read_to_string(&mut text).map(|_| text).unwrap()
        });
        let result = read(&mut stdout);
        drop(stdout);
        let status = child.wait().unwrap();
        let messages = messages.join().unwrap();
        match result {
            Ok(value) if status.success() && messages.is_empty() => Ok(value),
            Ok(_) => Err(format!("ffmpeg ends with {status}: {messages}")),
            Err(fault) => Err(format!("{fault}\n{messages}")),
        }
    })
}
