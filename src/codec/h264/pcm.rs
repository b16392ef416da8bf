//! Samples of I_PCM macroblocks (ITU-T H.264 7.3.5).

use super::macroblock::Macroblock;

/// Bytes of an I_PCM macroblock's samples.
const BYTES: usize = 384;

/// Appends 256 samples of luma, 64 of Cb and 64 of Cr.
pub(super) fn append(mb: &Macroblock, bytes: &mut Vec<u8>) {
    debug_assert!(mb.pcm.is_some(), "I_PCM without samples");
    let Some(samples) = &mb.pcm else {
        bytes.resize(bytes.len() + BYTES, 128);
        return;
    };
    let (luma, chroma) = samples.as_ref();
    bytes.extend_from_slice(luma.as_flattened());
    for component in 0..2 {
        bytes.extend(chroma.as_flattened().iter().skip(component).step_by(2));
    }
}
