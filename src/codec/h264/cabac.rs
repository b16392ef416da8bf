//! CABAC's arithmetic coder (ITU-T H.264 9.3.4).
//!
//! The interval's low end is a wide number of which 32 bits leave at a time. At least eight bits stay behind, so that a
//! carry into bytes that have left is rare; where it happens they are counted up.

use std::hint::select_unpredictable;

use super::cabac_tables::{CONTEXT_INIT, CONTEXTS, NEXT_AFTER_LPS, RANGE_LPS};

/// The contexts' states: pStateIdx, valMPS, and a zero where the bin goes when both index a table.
pub(super) type Contexts = [u8; 512];

/// Bits that leave at a time.
const WORD_BITS: i32 = 32;
/// Bits held back at least.
const HELD_BITS: i32 = 8;
/// Most bits of one [`Registers::bypass`]: with those pending and the ten of the low end they fit into the register.
pub(super) const MAX_BYPASS_BITS: u32 = 12;

/// By pStateIdx, for each quarter of the range 16 bits: the range of the least probable symbol, and how far it is
/// shifted then.
static LPS: [u64; 64] = lps_table();
/// The state after a bin, by state and bin.
static NEXT_STATE: [u8; 256] = next_states();

const fn lps_table() -> [u64; 64] {
    let mut table = [0; 64];
    let mut at = 0;
    while at < 256 {
        let range = RANGE_LPS[at / 4][at % 4];
        // Up to 256 at least.
        let shift = range.leading_zeros() as u64 + 1;
        table[at / 4] |= (range as u64 | shift << 8) << (16 * (at % 4));
        at += 1;
    }
    table
}

const fn next_states() -> [u8; 256] {
    let mut table = [0; 256];
    let mut at = 0;
    while at < 256 {
        let (state, most_probable, bin) = ((at >> 2) as u8, (at >> 1 & 1) as u8, (at & 1) as u8);
        let (next, flip) = if bin == most_probable {
            (if state < 62 { state + 1 } else { state }, 0)
        } else {
            (NEXT_AFTER_LPS[state as usize], (state == 0) as u8)
        };
        table[at] = next << 2 | (most_probable ^ flip) << 1;
        at += 1;
    }
    table
}

/// The coder's state proper, small enough to be held in registers through a block.
#[derive(Clone, Copy, Debug)]
pub(super) struct Registers {
    /// codILow: ten bits that still move, above them `pending` bits to be written, above those a carry.
    low: u64,
    /// codIRange, 256..=510.
    range: u32,
    /// One less than the bits since the start, as the first one is no part of the code (firstBitFlag).
    pending: i32,
}

impl Registers {
    const START: Self = Self { low: 0, range: 510, pending: -1 };

    /// Codes a bin in its context (9.3.4.2).
    #[inline(always)]
    pub(super) fn encode(&mut self, state: &mut u8, bin: bool, bytes: &mut Vec<u8>) {
        let now = *state;
        *state = NEXT_STATE[usize::from(now | u8::from(bin))];
        let least_probable = (now >> 1 & 1) != u8::from(bin);
        let entry = (LPS[usize::from(now >> 2)] >> (self.range >> 2 & 0x30)) as u32;
        let lps_range = entry & 0xFF;
        let lps_shift = entry >> 8 & 7;
        let mps_range = self.range - lps_range;
        let mps_shift = mps_range >> 8 ^ 1;
        let mps_shifted = select_unpredictable(mps_range < 256, mps_range << 1, mps_range);
        self.range = select_unpredictable(least_probable, lps_range << lps_shift, mps_shifted);
        let shift = select_unpredictable(least_probable, lps_shift, mps_shift);
        let added = select_unpredictable(least_probable, mps_range, 0);
        self.low = (self.low + u64::from(added)) << shift;
        self.pending += shift as i32;
        self.drain(bytes);
    }

    /// Codes the low `len` (at most [`MAX_BYPASS_BITS`]) of `bins`, each as likely as not (9.3.4.4).
    #[inline(always)]
    pub(super) fn bypass(&mut self, bins: u32, len: u32, bytes: &mut Vec<u8>) {
        debug_assert!(len <= MAX_BYPASS_BITS && bins >> len == 0, "{len} bits of {bins:#x}");
        self.low = (self.low << len) + u64::from(bins * self.range);
        self.pending += len as i32;
        self.drain(bytes);
    }

    /// Codes that neither the slice nor its arithmetic code ends here (9.3.4.5).
    #[inline(always)]
    fn go_on(&mut self, bytes: &mut Vec<u8>) {
        let range = self.range - 2;
        let shift = range >> 8 ^ 1;
        self.range = range << shift;
        self.low <<= shift;
        self.pending += shift as i32;
        self.drain(bytes);
    }

    /// Codes the end and writes everything, with a last one bit and zeros up to the next byte (9.3.4.5).
    fn end(&mut self, bytes: &mut Vec<u8>) {
        let low = (self.low + u64::from(self.range - 2)) << 7;
        let len = (self.pending + 7 + 3) as u32;
        let missing = len.next_multiple_of(8) - len;
        let code = (low >> 7 | 1) << missing;
        let len_bytes = ((len + missing) / 8) as usize;
        if code >> (8 * len_bytes) != 0 {
            carry(bytes);
        }
        bytes.extend_from_slice(&code.to_be_bytes()[8 - len_bytes..]);
        *self = Self::START;
    }

    /// Lets a word go where one is ready.
    #[inline(always)]
    fn drain(&mut self, bytes: &mut Vec<u8>) {
        if self.pending >= WORD_BITS + HELD_BITS {
            self.pending -= WORD_BITS;
            let kept = self.pending + 10;
            push_word(bytes, self.low >> kept);
            self.low &= (1 << kept) - 1;
        }
    }
}

/// Writes 32 bits, above which there may be a carry.
#[inline(never)]
fn push_word(bytes: &mut Vec<u8>, word: u64) {
    if word >> WORD_BITS != 0 {
        carry(bytes);
    }
    bytes.extend_from_slice(&(word as u32).to_be_bytes());
}

/// Adds one to the number that the bytes are.
#[cold]
fn carry(bytes: &mut [u8]) {
    for byte in bytes.iter_mut().rev() {
        let (sum, carries) = byte.overflowing_add(1);
        *byte = sum;
        if !carries {
            return;
        }
    }
}

/// The arithmetic coder with its contexts and its bytes, which are kept from slice to slice.
#[derive(Debug)]
pub(super) struct Engine {
    pub(super) registers: Registers,
    pub(super) contexts: Box<Contexts>,
    pub(super) bytes: Vec<u8>,
}

impl Default for Engine {
    fn default() -> Self {
        Self { registers: Registers::START, contexts: Box::new([0; 512]), bytes: Vec::new() }
    }
}

impl Engine {
    /// Starts a slice after the bytes of its header: contexts as the tables have them for its kind and quantiser
    /// (9.3.1.1).
    pub(super) fn start(&mut self, header: &[u8], cabac_init_idc: Option<u8>, qp: u8) {
        self.bytes.clear();
        self.bytes.extend_from_slice(header);
        self.registers = Registers::START;
        let table = &CONTEXT_INIT[cabac_init_idc.map_or(0, |idc| usize::from(idc.min(2)) + 1)];
        for (state, &[m, n]) in self.contexts[..CONTEXTS].iter_mut().zip(table) {
            let initial = (((i16::from(m) * i16::from(qp)) >> 4) + i16::from(n)).clamp(1, 126) as u8;
            *state = if initial <= 63 { (63 - initial) << 2 } else { (initial - 64) << 2 | 2 };
        }
    }

    /// Codes a bin in a context.
    #[inline(always)]
    pub(super) fn encode(&mut self, context: usize, bin: bool) {
        self.registers.encode(&mut self.contexts[context & 511], bin, &mut self.bytes);
    }

    /// Codes `len` bins that are as likely as not.
    #[inline(always)]
    pub(super) fn bypass(&mut self, bins: u32, len: u32) {
        self.registers.bypass(bins, len, &mut self.bytes);
    }

    /// Codes a zero where a one would end the slice or announce raw samples.
    #[inline(always)]
    pub(super) fn go_on(&mut self) {
        self.registers.go_on(&mut self.bytes);
    }

    /// Codes that one, and ends on a whole byte, ready to start afresh. Contexts stay.
    pub(super) fn end(&mut self) {
        self.registers.end(&mut self.bytes);
    }

    /// Bits so far, to within those of the interval.
    #[inline(always)]
    pub(super) fn len_bits(&self) -> usize {
        8 * self.bytes.len() + (self.registers.pending + 10) as usize
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    /// The decoding engine (9.3.1.2, 9.3.3.2), a bit at a time.
    struct Decoder<'a> {
        bytes: &'a [u8],
        at_bit: usize,
        range: u32,
        offset: u32,
        /// pStateIdx and valMPS.
        contexts: Vec<(usize, bool)>,
    }

    impl<'a> Decoder<'a> {
        fn new(bytes: &'a [u8], at_byte: usize, contexts: Vec<(usize, bool)>) -> Self {
            let mut decoder = Self { bytes, at_bit: 8 * at_byte, range: 510, offset: 0, contexts };
            for _ in 0..9 {
                decoder.offset = decoder.offset << 1 | decoder.bit();
            }
            decoder
        }

        fn bit(&mut self) -> u32 {
            let bit = self.bytes[self.at_bit / 8] >> (7 - self.at_bit % 8) & 1;
            self.at_bit += 1;
            bit.into()
        }

        fn renormalise(&mut self) {
            while self.range < 256 {
                self.range <<= 1;
                self.offset = self.offset << 1 | self.bit();
            }
        }

        fn decode(&mut self, context: usize) -> bool {
            let (state, most_probable) = self.contexts[context];
            let lps = u32::from(RANGE_LPS[state][(self.range >> 6 & 3) as usize]);
            self.range -= lps;
            let is_least = self.offset >= self.range;
            if is_least {
                self.offset -= self.range;
                self.range = lps;
                self.contexts[context] = (NEXT_AFTER_LPS[state].into(), most_probable ^ (state == 0));
            } else {
                self.contexts[context].0 = (state + 1).min(62);
            }
            self.renormalise();
            most_probable ^ is_least
        }

        fn bypass(&mut self) -> u32 {
            self.offset = self.offset << 1 | self.bit();
            let bin = u32::from(self.offset >= self.range);
            self.offset -= bin * self.range;
            bin
        }

        fn terminate(&mut self) -> bool {
            self.range -= 2;
            let is_end = self.offset >= self.range;
            if !is_end {
                self.renormalise();
            }
            is_end
        }
    }

    #[derive(Debug)]
    enum Step {
        Bin(usize, bool),
        Bypass(u32, u32),
        GoOn,
        /// An end, then these bytes, and a fresh start.
        Samples(Vec<u8>),
    }

    fn random(seed: &mut u64) -> u64 {
        *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        *seed >> 33
    }

    /// Bins that are one in `chances` times, so that contexts go far; and everything else now and then.
    fn steps(seed: &mut u64) -> Vec<Step> {
        let chances = [2, 3, 10, 100, 1000, 1_000_000][random(seed) as usize % 6];
        let others = [2, 5, 50, 1000][random(seed) as usize % 4];
        let count = random(seed) % 3000;
        (0..count)
            .map(|_| match random(seed) % others {
                0 => {
                    let len = (random(seed) % u64::from(MAX_BYPASS_BITS + 1)) as u32;
                    let bins = if random(seed).is_multiple_of(2) { u32::MAX } else { random(seed) as u32 };
                    Step::Bypass(bins & ((1 << len) - 1), len)
                }
                1 if random(seed).is_multiple_of(40) => {
                    Step::Samples((0..random(seed) % 30).map(|at| at as u8).collect())
                }
                1 => Step::GoOn,
                _ => Step::Bin((random(seed) % 460) as usize, random(seed).is_multiple_of(chances)),
            })
            .collect()
    }

    #[test]
    fn a_plain_decoder_reads_every_bin() {
        let mut seed = 5;
        let mut engine = Engine::default();
        for round in 0..208_u8 {
            engine.start(&[1, 0xFF, 0xFF], (round % 4 > 0).then(|| round % 4 - 1), round % 52);
            let contexts = engine.contexts.iter().map(|state| (usize::from(state >> 2), state & 2 != 0)).collect();
            let steps = steps(&mut seed);
            for step in &steps {
                match step {
                    Step::Bin(context, bin) => engine.encode(*context, *bin),
                    Step::Bypass(bins, len) => engine.bypass(*bins, *len),
                    Step::GoOn => engine.go_on(),
                    Step::Samples(bytes) => {
                        engine.end();
                        engine.bytes.extend_from_slice(bytes);
                    }
                }
            }
            engine.end();
            let bytes = engine.bytes.clone();
            assert_eq!(bytes[..3], [1, 0xFF, 0xFF], "the header stays");
            let mut decoder = Decoder::new(&bytes, 3, contexts);
            for (at, step) in steps.iter().enumerate() {
                let agrees = match step {
                    Step::Bin(context, bin) => decoder.decode(*context) == *bin,
                    Step::Bypass(bins, len) => (0..*len).rev().all(|bit| decoder.bypass() == bins >> bit & 1),
                    Step::GoOn => !decoder.terminate(),
                    Step::Samples(samples) => {
                        let ends = decoder.terminate();
                        let at_byte = decoder.at_bit.div_ceil(8);
                        let kept = std::mem::take(&mut decoder.contexts);
                        let same = bytes[at_byte..][..samples.len()] == samples[..];
                        decoder = Decoder::new(&bytes, at_byte + samples.len(), kept);
                        ends && same
                    }
                };
                assert!(agrees, "round {round}, step {at}: {step:?}");
            }
            assert!(decoder.terminate(), "round {round} doesn't end");
            // The decoder has read the stop bit, and after it are zeros up to the byte's end.
            assert_eq!(bytes.len(), decoder.at_bit.div_ceil(8), "round {round}");
            let last = *bytes.last().unwrap();
            assert_eq!(last.trailing_zeros() as usize, (8 - decoder.at_bit % 8) % 8, "round {round}: {last:#x}");
        }
    }

    #[test]
    #[ignore = "prints figures: run with --release --nocapture"]
    fn bins_per_second() {
        let mut seed = 9;
        for chances in [2, 4, 12] {
            let bins: Vec<(u16, bool)> = (0..1 << 16)
                .map(|_| ((random(&mut seed) % 60) as u16, random(&mut seed).is_multiple_of(chances)))
                .collect();
            let mut engine = Engine::default();
            let mut best = f64::MAX;
            for _ in 0..40 {
                engine.start(&[], None, 30);
                let started = Instant::now();
                let Engine { registers, contexts, bytes } = &mut engine;
                let mut coder = *registers;
                for &(context, bin) in &bins {
                    coder.encode(&mut contexts[usize::from(context) & 511], bin, bytes);
                }
                *registers = coder;
                best = best.min(started.elapsed().as_secs_f64());
            }
            let (per_s, bits) = (bins.len() as f64 / best, engine.len_bits() as f64 / bins.len() as f64);
            println!("1 in {chances}: {:.1} Mbin/s, {:.2} ns a bin, {bits:.2} bits a bin", per_s / 1e6, 1e9 / per_s);
        }
    }
}
