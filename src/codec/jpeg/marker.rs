//! Marker segments (ITU-T T.81 Annex B, JFIF of T.871).

use super::layout::Layout;
use super::tables::{HuffmanSpec, SpecPair};

pub(super) const SOI: u8 = 0xD8;
const EOI: u8 = 0xD9;
const APP0: u8 = 0xE0;
pub(super) const DQT: u8 = 0xDB;
const SOF0: u8 = 0xC0;
pub(super) const DHT: u8 = 0xC4;
const DRI: u8 = 0xDD;
pub(super) const SOS: u8 = 0xDA;
const RST0: u8 = 0xD0;

/// Appends a marker and its segment; the length counts itself.
fn segment(out: &mut Vec<u8>, marker: u8, parts: &[&[u8]]) {
    let length = 2 + parts.iter().map(|part| part.len()).sum::<usize>();
    out.extend([0xFF, marker]);
    out.extend((length as u16).to_be_bytes());
    for part in parts {
        out.extend_from_slice(part);
    }
}

/// The tables that a file carries, or that its decoder has already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FileTables {
    /// Quantiser steps of luma and chroma.
    pub(super) steps: [[u8; 64]; 2],
    /// Huffman tables of luma and chroma.
    pub(super) specs: [SpecPair; 2],
    /// How many of each pair there are: one for grey.
    pub(super) kinds: usize,
}

/// Everything before the scan's data; of `tables` those that aren't `known`.
pub(super) fn write_headers(layout: &Layout, tables: &FileTables, known: Option<&FileTables>, out: &mut Vec<u8>) {
    let known = |kind: usize| known.filter(|known| kind < known.kinds);
    out.extend([0xFF, SOI]);
    // Version 1.01, square pixels, no thumbnail.
    segment(out, APP0, &[b"JFIF\0", &[1, 1, 0, 0, 1, 0, 1, 0, 0]]);
    for (kind, steps) in tables.steps.iter().enumerate().take(tables.kinds) {
        if known(kind).is_none_or(|known| known.steps[kind] != *steps) {
            segment(out, DQT, &[&[kind as u8], &steps[..]]);
        }
    }
    write_frame_header(layout, out);
    for (kind, [dc, ac]) in tables.specs.iter().enumerate().take(tables.kinds) {
        if known(kind).is_none_or(|known| known.specs[kind][0] != *dc) {
            write_huffman(kind as u8, dc, out);
        }
        if known(kind).is_none_or(|known| known.specs[kind][1] != *ac) {
            write_huffman(0x10 | kind as u8, ac, out);
        }
    }
    if layout.restart_mcus() > 0 {
        segment(out, DRI, &[&layout.restart_mcus().to_be_bytes()]);
    }
    write_scan_header(layout, out);
}

fn write_huffman(class_and_id: u8, spec: &HuffmanSpec, out: &mut Vec<u8>) {
    segment(out, DHT, &[&[class_and_id], &spec.counts, spec.symbols()]);
}

fn write_frame_header(layout: &Layout, out: &mut Vec<u8>) {
    let mut body = [0; 15];
    body[0] = 8;
    body[1..3].copy_from_slice(&(layout.height as u16).to_be_bytes());
    body[3..5].copy_from_slice(&(layout.width as u16).to_be_bytes());
    body[5] = layout.components().len() as u8;
    for (index, component) in layout.components().iter().enumerate() {
        let factors = (component.horizontal << 4 | component.vertical) as u8;
        body[6 + 3 * index..][..3].copy_from_slice(&[index as u8 + 1, factors, u8::from(index > 0)]);
    }
    segment(out, SOF0, &[&body[..6 + 3 * layout.components().len()]]);
}

fn write_scan_header(layout: &Layout, out: &mut Vec<u8>) {
    let mut body = [0; 7];
    body[0] = layout.components().len() as u8;
    for index in 0..layout.components().len() {
        body[1 + 2 * index..][..2].copy_from_slice(&[index as u8 + 1, 0x11 * u8::from(index > 0)]);
    }
    segment(out, SOS, &[&body[..1 + 2 * layout.components().len()], &[0, 63, 0]]);
}

/// The marker between restart intervals `interval` and the next.
pub(super) fn write_restart(interval: usize, out: &mut Vec<u8>) {
    out.extend([0xFF, RST0 + (interval % 8) as u8]);
}

/// The end of the file.
pub(super) fn write_end(out: &mut Vec<u8>) {
    out.extend([0xFF, EOI]);
}
