//! Random but legal syntax, which a real decoder must read without a complaint, and read alike from both entropy
//! coders.

use std::io::{Read, Write};
use std::process::{Command, Stdio};

use super::header::{Deblocking, Marking, Reference, SliceHeader};
use super::macroblock::{Kind, MOST_PROBABLE, Macroblock, Partition};
use super::nal::{self, Framing};
use super::params::{Profile, Sequence};
use super::slice_writer::SliceWriter;

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn one_in(&mut self, chances: u64) -> bool {
        self.below(chances) == 0
    }

    fn within(&mut self, reach: i64) -> i64 {
        self.below(2 * reach as u64 + 1) as i64 - reach
    }
}

/// What random streams are made of.
#[derive(Clone, Copy)]
struct Recipe {
    seed: u64,
    width: u32,
    height: u32,
    pictures: u32,
    slices: u32,
    /// One level in so many isn't zero.
    sparseness: u64,
    /// One level in so many is large; none if 0.
    large_one_in: u64,
    has_transform_8x8: bool,
}

/// Decided macroblocks of one slice.
struct Slice {
    header: SliceHeader,
    macroblocks: Vec<Macroblock>,
}

impl Recipe {
    fn sequence(&self, profile: Profile) -> Sequence {
        Sequence {
            profile,
            width: self.width,
            height: self.height,
            color: None,
            frame_rate: Some((30, 1)),
            references: 3,
            max_bitrate_bps: None,
            chroma_qp_offset: 0,
        }
    }

    /// The slices of all pictures, one after the other.
    fn slices(&self) -> Vec<Slice> {
        let mut random = Random(self.seed);
        let columns = self.width.div_ceil(16);
        let rows = self.height.div_ceil(16);
        let slices = self.slices.min(rows);
        let mut all = Vec::new();
        for picture in 0..self.pictures {
            for slice in 0..slices {
                let (first, end) = (rows * slice / slices, rows * (slice + 1) / slices);
                let intra = picture == 0 || random.one_in(6);
                let header = SliceHeader {
                    first_macroblock: first * columns,
                    intra,
                    idr: (picture == 0).then_some(0),
                    frame_num: picture,
                    reference: if picture > 2 && self.is_long_term(picture) {
                        Reference::LongTerm(0)
                    } else {
                        Reference::Newest
                    },
                    weights: None,
                    marking: self.marking(picture),
                    qp: 10 + random.below(32) as u8,
                    deblocking: Deblocking { idc: (picture % 3) as u8, alpha_offset_div2: -1, beta_offset_div2: 2 },
                    cabac_init_idc: random.below(3) as u8,
                };
                let macroblocks = (first..end)
                    .flat_map(|row| (0..columns).map(move |x| (row > first, x > 0)))
                    .map(|(has_above, has_left)| self.macroblock(&mut random, intra, has_above, has_left))
                    .collect();
                all.push(Slice { header, macroblocks });
            }
        }
        all
    }

    fn is_long_term(&self, picture: u32) -> bool {
        self.seed % 2 == 1 && picture % 3 == 1
    }

    fn marking(&self, picture: u32) -> Marking {
        if picture == 0 && self.seed % 2 == 1 { Marking::LongTerm { index: 0, slots: 1 } } else { Marking::Sliding }
    }

    fn macroblock(&self, random: &mut Random, intra_slice: bool, has_above: bool, has_left: bool) -> Macroblock {
        let kind = self.kind(random, intra_slice, has_above, has_left);
        let mut mb = Macroblock { kind, ..Macroblock::default() };
        mb.chroma_mode = match random.below(4) {
            1 if has_left => 1,
            2 if has_above => 2,
            3 if has_left && has_above => 3,
            _ => 0,
        };
        for symbol in &mut mb.intra_symbols {
            let free = has_left && has_above && random.one_in(2);
            *symbol = if free { random.below(8) as u8 } else { MOST_PROBABLE };
        }
        for component in mb.mvd.as_flattened_mut() {
            let reach = [0, 2, 2, 12, 40, 300][random.below(6) as usize];
            *component = random.within(reach) as i16;
        }
        mb.transform_8x8 = match mb.kind {
            Kind::Intra8x8 => true,
            Kind::Inter(_) => self.has_transform_8x8 && random.one_in(2),
            _ => false,
        };
        mb.cbp = random.below(48) as u8;
        if let Kind::Intra16x16(_) = mb.kind {
            mb.cbp = mb.cbp & 0x30 | if random.one_in(2) { 15 } else { 0 };
        }
        if random.one_in(4) {
            mb.qp_delta = random.within(3) as i8;
        }
        if mb.kind == Kind::Pcm {
            mb.pcm.0.as_flattened_mut().iter_mut().for_each(|sample| *sample = random.below(3) as u8);
            mb.pcm.1.as_flattened_mut().iter_mut().for_each(|sample| *sample = random.next() as u8);
        }
        self.fill(random, &mut mb);
        mb
    }

    fn kind(&self, random: &mut Random, intra_slice: bool, has_above: bool, has_left: bool) -> Kind {
        if random.one_in(40) {
            return Kind::Pcm;
        }
        if !intra_slice && !random.one_in(5) {
            return match random.below(6) {
                0 => Kind::Inter(Partition::Whole),
                1 => Kind::Inter(Partition::Rows),
                2 => Kind::Inter(Partition::Columns),
                3 => Kind::Inter(Partition::Quarters),
                _ => Kind::Skip,
            };
        }
        match random.below(3) {
            0 => Kind::Intra16x16(match random.below(4) {
                0 if has_above => 0,
                1 if has_left => 1,
                3 if has_above && has_left => 3,
                _ => 2,
            }),
            1 if self.has_transform_8x8 => Kind::Intra8x8,
            _ => Kind::Intra4x4,
        }
    }

    fn level(&self, random: &mut Random) -> i16 {
        if !random.one_in(self.sparseness) {
            return 0;
        }
        if self.large_one_in > 0 && random.one_in(self.large_one_in) {
            let reach = [20, 60, 400, 2063][random.below(4) as usize];
            return random.within(reach) as i16;
        }
        let reach = if random.one_in(3) { 4 } else { 1 };
        random.within(reach) as i16
    }

    /// Levels of all blocks, with leftovers where they mustn't be read.
    fn fill(&self, random: &mut Random, mb: &mut Macroblock) {
        let is_intra_16x16 = matches!(mb.kind, Kind::Intra16x16(_));
        let levels = &mut mb.levels;
        levels.luma_dc.fill_with(|| self.level(random));
        levels.luma_dc_coded = levels.luma_dc != [0; 16];
        for component in 0..2 {
            levels.chroma_dc[component].fill_with(|| self.level(random));
            for block in 0..4 {
                levels.chroma_ac[component][block].fill_with(|| self.level(random));
                let is_coded = levels.chroma_ac[component][block][1..] != [0; 15];
                levels.chroma_mask[component] |= u8::from(is_coded) << block;
            }
        }
        for block in 0..16 {
            if random.one_in(3) {
                levels.luma[block] = [if is_intra_16x16 { 9 } else { 0 }; 16];
                levels.luma[block][1..].fill(0);
            } else {
                levels.luma[block].fill_with(|| self.level(random));
            }
            let is_coded = levels.luma[block][usize::from(is_intra_16x16)..].iter().any(|&level| level != 0);
            levels.luma_mask |= u16::from(is_coded) << block;
        }
        for block in &mut levels.luma8 {
            block.fill_with(|| self.level(random));
            if *block == [0; 64] {
                block[random.below(64) as usize] = -1;
            }
        }
        if mb.transform_8x8 {
            levels.luma_mask = u16::MAX;
            levels.luma = [[1234; 16]; 16];
        }
    }

    fn stream(&self, profile: Profile) -> Vec<u8> {
        self.stream_of(profile, &self.slices())
    }

    fn stream_of(&self, profile: Profile, slices: &[Slice]) -> Vec<u8> {
        let sequence = self.sequence(profile);
        let columns = sequence.size_macroblocks().0;
        let mut out = Vec::new();
        nal::append_unit(&sequence.sps().unwrap(), Framing::AnnexB, &mut out);
        sequence.picture_sets().for_each(|pps| nal::append_unit(&pps, Framing::AnnexB, &mut out));
        let mut writer = SliceWriter::new();
        for slice in slices {
            writer.start(&sequence, &slice.header);
            for (at, mb) in slice.macroblocks.iter().enumerate() {
                let before = writer.bits();
                if mb.kind == Kind::Skip && at % 2 == 0 {
                    writer.skip(at % columns);
                } else {
                    writer.macroblock(at % columns, mb);
                }
                assert!(writer.bits() + 1 >= before);
            }
            let (bits, start) = (writer.bits(), out.len());
            writer.finish(Framing::AnnexB, &mut out);
            let emulation = (out.len() - start) / 3;
            assert!(
                (bits / 8).abs_diff(out.len() - start) <= 8 + emulation,
                "{bits} bits, {} bytes",
                out.len() - start
            );
        }
        out
    }

    fn frame_bytes(&self) -> usize {
        (self.width * self.height * 3 / 2) as usize
    }
}

/// ffmpeg's pictures, or what it complained about. None where there is no ffmpeg.
fn decode(stream: &[u8]) -> Option<Result<Vec<u8>, String>> {
    let arguments = "-v error -xerror -err_detect explode -threads 1 -f h264 -i pipe:0 -fps_mode passthrough -f rawvideo -pix_fmt yuv420p pipe:1";
    let spawned = Command::new("ffmpeg")
        .args(arguments.split(' '))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut child) = spawned else {
        eprintln!("SKIPPED: no ffmpeg, so no decoder reads the syntax");
        return None;
    };
    let (mut input, mut errors) = (child.stdin.take().unwrap(), child.stderr.take().unwrap());
    let stream = stream.to_vec();
    let feeding = std::thread::spawn(move || input.write_all(&stream));
    let listening = std::thread::spawn(move || {
        let mut text = String::new();
        errors.read_to_string(&mut text).map(|_| text)
    });
    let output = child.wait_with_output().unwrap();
    let _ = feeding.join().unwrap();
    let errors = listening.join().unwrap().unwrap();
    Some(if output.status.success() && errors.is_empty() { Ok(output.stdout) } else { Err(errors) })
}

/// Keeps a stream that a decoder can't read, to be looked at.
fn decoded(recipe: &Recipe, profile: Profile, stream: &[u8]) -> Option<Vec<u8>> {
    let Recipe { seed, width, height, .. } = recipe;
    let pictures = decode(stream)?.unwrap_or_else(|errors| panic!("{profile} {width}x{height} seed {seed}: {errors}"));
    assert_eq!(
        pictures.len(),
        recipe.frame_bytes() * recipe.pictures as usize,
        "{profile} {width}x{height} seed {seed}: pictures are missing"
    );
    Some(pictures)
}

/// Recipes of all sorts: sizes, slices, dense and sparse levels, small and large ones.
fn recipes(has_transform_8x8: bool) -> impl Iterator<Item = Recipe> {
    let sizes = [(16, 16), (32, 48), (64, 64), (200, 120), (176, 144), (18, 98), (160, 90)];
    (0..14_u64).map(move |seed| {
        let (width, height) = sizes[seed as usize % sizes.len()];
        Recipe {
            seed,
            width,
            height,
            pictures: 7,
            slices: 1 + seed as u32 % 4,
            sparseness: [1, 2, 8, 30][seed as usize % 4],
            large_one_in: [0, 0, 50, 4, 1][seed as usize % 5],
            has_transform_8x8,
        }
    })
}

#[test]
fn both_entropy_coders_say_the_same_to_a_decoder() {
    for recipe in recipes(false) {
        let baseline = decoded(&recipe, Profile::ConstrainedBaseline, &recipe.stream(Profile::ConstrainedBaseline));
        for profile in [Profile::Main, Profile::High] {
            let pictures = decoded(&recipe, profile, &recipe.stream(profile));
            assert!(pictures == baseline, "{profile}, seed {}: other pictures than CAVLC's", recipe.seed);
        }
    }
}

#[test]
fn streams_with_8x8_transforms_are_read() {
    for recipe in recipes(true) {
        decoded(&recipe, Profile::High, &recipe.stream(Profile::High));
    }
}

#[test]
fn samples_come_back_as_they_are() {
    let (width, height) = (32, 32);
    let recipe = Recipe {
        seed: 2,
        width,
        height,
        pictures: 1,
        slices: 1,
        sparseness: 2,
        large_one_in: 0,
        has_transform_8x8: false,
    };
    let mut random = Random(77);
    let mut slices = recipe.slices();
    slices[0].header.deblocking.idc = 1;
    let mut expected = vec![0; recipe.frame_bytes()];
    for (at, mb) in slices[0].macroblocks.iter_mut().enumerate() {
        let mut samples = Box::<(crate::kernel::h264::Luma, crate::kernel::h264::Chroma)>::default();
        let (left, top) = (at % 2 * 16, at / 2 * 16);
        for (y, row) in samples.0.iter_mut().enumerate() {
            row.fill_with(|| random.next() as u8);
            expected[(top + y) * 32 + left..][..16].copy_from_slice(row);
        }
        for (y, row) in samples.1.iter_mut().enumerate() {
            row.fill_with(|| random.next() as u8);
            for (x, pair) in row.as_chunks::<2>().0.iter().enumerate() {
                let at = 1024 + (top / 2 + y) * 16 + left / 2 + x;
                (expected[at], expected[at + 256]) = (pair[0], pair[1]);
            }
        }
        (mb.kind, mb.pcm) = (Kind::Pcm, samples);
    }
    for profile in Profile::ALL {
        let Some(pictures) = decoded(&recipe, profile, &recipe.stream_of(profile, &slices)) else { return };
        assert!(pictures == expected, "{profile}: other samples");
    }
}

/// Every P picture repeats its reference, so the pictures tell which one that was.
#[test]
fn long_term_references_are_found_again() {
    let recipe = Recipe {
        seed: 4,
        width: 64,
        height: 48,
        pictures: 8,
        slices: 2,
        sparseness: 3,
        large_one_in: 0,
        has_transform_8x8: false,
    };
    // Which picture each one shows: itself if intra.
    let (newest, long) = (Reference::Newest, Reference::LongTerm);
    let marked = |index| Marking::LongTerm { index, slots: 2 };
    let plan = [
        (None, marked(0), 0),
        (None, marked(1), 1),
        (Some(long(0)), Marking::Sliding, 0),
        (Some(long(1)), Marking::Sliding, 1),
        (Some(newest), Marking::Sliding, 1),
        (None, marked(0), 5),
        (Some(newest), Marking::Sliding, 1),
        (Some(long(0)), marked(1), 5),
    ];
    let mut slices = recipe.slices();
    for (pair, (picture, (reference, marking, _))) in slices.chunks_mut(2).zip(plan.iter().enumerate()) {
        for slice in pair {
            let intra = reference.is_none();
            slice.header.intra = intra;
            slice.header.reference = reference.unwrap_or(newest);
            slice.header.marking = *marking;
            slice.header.deblocking.idc = 1;
            slice.header.frame_num = picture as u32;
            for mb in &mut slice.macroblocks {
                if !intra {
                    mb.kind = Kind::Skip;
                } else if !matches!(mb.kind, Kind::Pcm) {
                    (mb.kind, mb.chroma_mode, mb.cbp) = (Kind::Intra16x16(2), 0, mb.cbp & 0x30);
                    mb.transform_8x8 = false;
                }
            }
        }
    }
    for profile in [Profile::ConstrainedBaseline, Profile::High] {
        let mut recipe = recipe;
        recipe.pictures = plan.len() as u32;
        let Some(pictures) = decoded(&recipe, profile, &recipe.stream_of(profile, &slices)) else { return };
        let pictures: Vec<&[u8]> = pictures.chunks(recipe.frame_bytes()).collect();
        assert!(pictures[0] != pictures[1] && pictures[1] != pictures[5]);
        for (picture, (_, _, shows)) in plan.iter().enumerate() {
            assert!(pictures[picture] == pictures[*shows], "{profile}: picture {picture} isn't {shows}");
        }
    }
}

#[test]
fn a_decoder_notices_a_wrong_bit() {
    let recipe = recipes(true).nth(1).unwrap();
    for profile in Profile::ALL {
        let recipe = Recipe { has_transform_8x8: profile.has_transform_8x8(), ..recipe };
        let stream = recipe.stream(profile);
        let Some(right) = decode(&stream) else { return };
        assert!(right.is_ok(), "{right:?}");
        for part in [3, 5, 7] {
            let mut wrong = stream.clone();
            wrong[stream.len() * part / 9] ^= 0x10;
            assert!(decode(&wrong).unwrap() != right, "{profile}: nothing noticed at {part}/9");
        }
    }
}
