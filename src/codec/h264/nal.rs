//! NAL units: bytes that no decoder takes for a start code, and what holds them (ITU-T H.264 7.4.1, Annex B; ISO/IEC
//! 14496-15).

/// How NAL units are told apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Framing {
    /// A start code before each (Annex B): files, RTP, most decoders.
    #[default]
    AnnexB,
    /// Its length before each, in 4 bytes, most significant first: MP4 and WebCodecs with a description.
    LengthPrefixed,
}

/// nal_unit_type of a slice of a picture that isn't an IDR picture.
pub(super) const SLICE: u8 = 1;
/// nal_unit_type of a slice of an IDR picture.
pub(super) const IDR_SLICE: u8 = 5;
/// nal_unit_type of a sequence parameter set.
pub(super) const SEQUENCE_PARAMETERS: u8 = 7;
/// nal_unit_type of a picture parameter set.
pub(super) const PICTURE_PARAMETERS: u8 = 8;

/// The first byte of a NAL unit.
pub(super) const fn header(ref_idc: u8, unit_type: u8) -> u8 {
    ref_idc << 5 | unit_type
}

/// Appends a NAL unit of `payload`, which ends with its trailing bits.
pub(super) fn append(header: u8, payload: &[u8], framing: Framing, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&[0, 0, 0, 1, header]);
    protect(payload, out);
    if framing == Framing::LengthPrefixed {
        let len = (out.len() - start - 4) as u32;
        out[start..start + 4].copy_from_slice(&len.to_be_bytes());
    }
}

/// Appends a NAL unit that is protected already, such as a parameter set.
pub(super) fn append_unit(unit: &[u8], framing: Framing, out: &mut Vec<u8>) {
    let prefix = match framing {
        Framing::AnnexB => 1,
        Framing::LengthPrefixed => unit.len() as u32,
    };
    out.extend_from_slice(&prefix.to_be_bytes());
    out.extend_from_slice(unit);
}

/// A NAL unit without any framing.
pub(super) fn unit(header: u8, payload: &[u8]) -> Vec<u8> {
    let mut unit = vec![header];
    protect(payload, &mut unit);
    unit
}

/// AVCDecoderConfigurationRecord of parameter sets as [`unit`] makes them: what MP4's `avcC` box and
/// WebCodecs' `description` hold (ISO/IEC 14496-15 5.3.3.1). Chroma is 4:2:0 of 8 bits.
pub(super) fn avcc(sps: &[u8], picture_sets: &[Vec<u8>]) -> Vec<u8> {
    let [profile, constraints, level] = [1, 2, 3].map(|at| sps.get(at).copied().unwrap_or_default());
    let mut record = vec![1, profile, constraints, level, 0xFF, 0xE1];
    record.extend_from_slice(&(sps.len() as u16).to_be_bytes());
    record.extend_from_slice(sps);
    record.push(picture_sets.len() as u8);
    for pps in picture_sets {
        record.extend_from_slice(&(pps.len() as u16).to_be_bytes());
        record.extend_from_slice(pps);
    }
    if profile == 100 {
        // chroma_format 1, both bit depths 8, no extension of the sequence parameters.
        record.extend_from_slice(&[0xFD, 0xF8, 0xF8, 0]);
    }
    record
}

/// Appends `payload` with emulation_prevention_three_byte where two zeros are followed by 0..=3.
fn protect(payload: &[u8], out: &mut Vec<u8>) {
    out.reserve(payload.len() + payload.len() / 64);
    let (mut copied, mut at) = (0, 0);
    while let Some(pair) = zero_pair(payload, at) {
        match payload.get(pair + 2) {
            Some(0..=3) => {
                out.extend_from_slice(&payload[copied..pair + 2]);
                out.push(3);
                copied = pair + 2;
                at = pair + 2;
            }
            Some(_) => at = pair + 3,
            None => break,
        }
    }
    out.extend_from_slice(&payload[copied..]);
}

/// Where two zeros in a row are first found, from `from` on. Pieces without a zero are passed over whole.
#[inline]
fn zero_pair(bytes: &[u8], from: usize) -> Option<usize> {
    const PIECE: usize = 32;
    let mut at = from;
    while let Some(piece) = bytes.get(at..).and_then(|rest| rest.first_chunk::<PIECE>()) {
        if piece.iter().fold(false, |found, &byte| found | (byte == 0)) {
            let end = (at + PIECE + 1).min(bytes.len());
            if let Some(found) = bytes[at..end].windows(2).position(|pair| pair == [0, 0]) {
                return Some(at + found);
            }
        }
        at += PIECE;
    }
    bytes.get(at..)?.windows(2).position(|pair| pair == [0, 0]).map(|found| at + found)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The standard's rule, a byte at a time.
    fn plainly_protected(payload: &[u8]) -> Vec<u8> {
        let (mut out, mut zeros) = (Vec::new(), 0);
        for &byte in payload {
            if zeros == 2 && byte <= 3 {
                out.push(3);
                zeros = 0;
            }
            out.push(byte);
            zeros = if byte == 0 { zeros + 1 } else { 0 };
        }
        out
    }

    #[test]
    fn every_payload_is_protected_as_the_standard_says() {
        let mut seed = 7_u64;
        for round in 0..3000 {
            let mut payload: Vec<u8> = (0..round % 150)
                .map(|_| {
                    seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    let few = [0, 0, 0, 1, 2, 3, 4, 0xFF];
                    if round % 3 == 0 { (seed >> 33) as u8 } else { few[(seed >> 33) as usize % few.len()] }
                })
                .collect();
            payload.push(0x80);
            let mut out = Vec::new();
            protect(&payload, &mut out);
            assert_eq!(out, plainly_protected(&payload), "{payload:?}");
        }
    }

    #[test]
    fn framings_tell_where_a_unit_ends() {
        let mut out = Vec::new();
        append(header(3, IDR_SLICE), &[0, 0, 1, 0x80], Framing::AnnexB, &mut out);
        assert_eq!(out, [0, 0, 0, 1, 0x65, 0, 0, 3, 1, 0x80]);
        append(header(2, SLICE), &[0, 0, 1, 0x80], Framing::LengthPrefixed, &mut out);
        assert_eq!(out[10..], [0, 0, 0, 6, 0x41, 0, 0, 3, 1, 0x80]);
    }
}
