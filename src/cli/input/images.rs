//! Single pictures, and folders of them in natural order.

use std::cmp::Ordering;
use std::fs;
use std::path::{Path, PathBuf};

use auralink::FrameBuf;

use super::{Bytes, Extent, Frames, Input, limits};
use crate::cli::exit::{At, Failure, Result};

/// Most pictures of one folder.
const MAX_PICTURES: usize = 1_000_000;

/// Whether a file's name says that it is one picture.
pub(crate) fn is_picture_name(path: &Path) -> bool {
    let extension = path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    matches!(extension.as_str(), "jpg" | "jpeg" | "jpe" | "png" | "webp")
}

/// One picture.
pub(super) struct Still {
    bytes: Option<Bytes>,
}

impl Still {
    pub(super) fn new(bytes: Bytes) -> Self {
        Self { bytes: Some(bytes) }
    }
}

impl Frames for Still {
    fn next(&mut self, out: &mut FrameBuf) -> Result<bool> {
        let Some(mut bytes) = self.bytes.take() else { return Ok(false) };
        let limits = limits();
        let data = bytes.read_all(limits.max_encoded_bytes)?;
        *out = auralink::images::decode(&data, &limits).map_err(|e| Failure::from(e).within(&bytes.name))?;
        Ok(true)
    }
}

/// The pictures of a folder.
struct Folder {
    files: std::vec::IntoIter<PathBuf>,
    extent: Extent,
}

impl Frames for Folder {
    fn next(&mut self, out: &mut FrameBuf) -> Result<bool> {
        let Some(path) = self.files.next() else { return Ok(false) };
        self.extent.advance(1);
        Still::new(Bytes::open(&path)?).next(out)
    }
}

/// Opens the PNG, JPEG and WebP files of a folder as frames.
pub(super) fn folder(path: &Path) -> Result<Input> {
    let mut files = Vec::new();
    for entry in fs::read_dir(path).at(path)? {
        let file = entry.at(path)?.path();
        if is_picture_name(&file) && file.is_file() {
            files.push(file);
        }
        if files.len() > MAX_PICTURES {
            return Err(Failure::data(format!("{}: more than {MAX_PICTURES} pictures", path.display())));
        }
    }
    if files.is_empty() {
        return Err(Failure::data(format!("{}: no PNG, JPEG or WebP files in this folder", path.display())));
    }
    files.sort_by(|a, b| natural(&name(a), &name(b)).then_with(|| a.cmp(b)));
    let extent = Extent::of(Some(files.len() as u64));
    let frames = Folder { files: files.into_iter(), extent: extent.clone() };
    Ok(Input { frames: Box::new(frames), rate: None, extent })
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The order people expect: numbers by their value, so that frame2 comes before frame10.
fn natural(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a, b);
    loop {
        match (number(a), number(b)) {
            (Some((x, rest_a)), Some((y, rest_b))) => match x.len().cmp(&y.len()).then_with(|| x.cmp(y)) {
                Ordering::Equal => (a, b) = (rest_a, rest_b),
                unequal => return unequal,
            },
            _ => {
                let (mut chars_a, mut chars_b) = (a.chars(), b.chars());
                match (chars_a.next(), chars_b.next()) {
                    (Some(x), Some(y)) if x == y => (a, b) = (chars_a.as_str(), chars_b.as_str()),
                    (x, y) => return x.cmp(&y),
                }
            }
        }
    }
}

/// The digits a text begins with, without leading zeros, and what follows them.
fn number(text: &str) -> Option<(&str, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    (!digits.is_empty()).then(|| (digits.trim_start_matches('0'), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_sort_by_value() {
        let mut names =
            ["f10.png", "f9.png", "f1.png", "e99.png", "f010b.png", "f2.png", "f.png", "f99999999999999999999999.png"];
        names.sort_by(|a, b| natural(a, b));
        let expected =
            ["e99.png", "f.png", "f1.png", "f2.png", "f9.png", "f10.png", "f010b.png", "f99999999999999999999999.png"];
        assert_eq!(names, expected);
    }
}
