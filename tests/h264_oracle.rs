//! The H.264 encoder's reconstruction is what a real decoder shows, bit for bit: ffmpeg decodes every stream here.
//!
//! `AURALINK_H264_STREAMS=5000` sets the number of random streams.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests may fail where tests may")]

mod h264_common;
mod skip;

use std::hint::spin_loop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use auralink::codec::h264::{FrameOrder, Framing, H264Config, H264Encoder, Preset, Profile};
use auralink::{Cancel, FrameBuf, PixelFormat, kernel};
use h264_common::content::Content;
use h264_common::ffmpeg::{Oracle, decode, is_there};
use h264_common::{Case, Scene, Unit, annex_b, encode, encode_frame, nal_units, pool, random};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};

const PRESETS: [Preset; 3] = Preset::ALL;

fn config(profile: Profile, preset: Preset, slices: usize) -> H264Config {
    H264Config { profile, preset, slices, ..H264Config::default() }
}

fn stream(config: H264Config, scene: Scene) -> Case {
    Case { config, scenes: vec![scene] }
}

/// Encodes each case, and compares every picture with the decoder's.
fn check(cases: impl IntoIterator<Item = (String, Case)>) {
    let (mut oracle, pool) = (Oracle::new(), pool(2));
    for (name, case) in cases {
        oracle.feed(&name, case.config.framing, encode(&case, kernel::detect(), &pool));
    }
    oracle.settle();
    eprintln!("{} streams, {} pictures", oracle.streams, oracle.pictures);
}

/// An oracle that can't say no proves nothing: a sample, a picture or a bit that is wrong is found.
#[test]
fn faults_are_seen() {
    if !is_there() {
        return;
    }
    let case = stream(config(Profile::High, Preset::Balanced, 2), Scene::at(Content::Texture, (80, 64), 4, 24));
    let faults: [fn(&mut Vec<Unit>); 5] = [
        |units| units[2].picture.planes[0][777] ^= 1,
        |units| *units[3].picture.planes[2].last_mut().unwrap() ^= 1,
        |units| {
            if let Some(last) = units.pop() {
                units[0].bytes.extend(last.bytes);
            }
        },
        |units| drop(units.remove(1)),
        |units| units[1].bytes[40] ^= 8,
    ];
    for (index, fault) in faults.into_iter().enumerate() {
        let mut units = encode(&case, kernel::detect(), &pool(1));
        fault(&mut units);
        let mut oracle = Oracle::new();
        oracle.feed("a wrong stream", Framing::AnnexB, units);
        assert!(oracle.try_settle().is_err(), "fault {index} went unseen");
    }
}

#[test]
fn every_quantiser_parameter_in_every_profile() {
    let contents = [Content::Texture, Content::Text, Content::Noise, Content::Extremes, Content::Objects];
    check((0..=51).flat_map(|qp| Profile::ALL.map(|profile| (qp, profile))).map(|(qp, profile)| {
        let preset = PRESETS[usize::from(qp) % 3];
        let content = contents[usize::from(qp / 3) % contents.len()];
        let scene = Scene::at(content, (80, 64), 3, qp);
        (format!("{profile} {preset} {content:?} at {qp}"), stream(config(profile, preset, 1), scene))
    }));
}

#[test]
fn every_content_in_every_profile_and_preset() {
    check(Content::ALL.into_iter().flat_map(|content| {
        let tools = Profile::ALL.into_iter().flat_map(|profile| PRESETS.map(|preset| (profile, preset)));
        tools.zip([4, 12, 18, 24, 27, 31, 36, 42, 51]).map(move |((profile, preset), qp)| {
            let scene = Scene::at(content, (112, 80), 5, qp);
            (format!("{profile} {preset} {content:?} at {qp}"), stream(config(profile, preset, 1), scene))
        })
    }));
}

#[test]
fn every_number_of_slices() {
    check((1..=16).flat_map(|slices| Profile::ALL.map(|profile| (slices, profile))).map(|(slices, profile)| {
        let preset = PRESETS[slices % 3];
        let scene = Scene::at(Content::Objects, (64, 152), 4, 20 + slices as u8);
        (format!("{profile} {preset}, {slices} slices"), stream(config(profile, preset, slices), scene))
    }));
}

#[test]
fn odd_small_and_large_sizes() {
    let small = [(16, 16), (17, 33), (31, 16), (18, 250), (161, 91), (160, 90), (255, 47), (320, 17), (1024, 18)];
    let large = [(1024, 750), (16, 4000), (8192, 16), (1920, 1080)];
    let of_size = |size: (u32, u32), profile, preset, frames| {
        let scene = Scene::at(Content::Objects, size, frames, 26);
        (format!("{profile} {preset} {size:?}"), stream(config(profile, preset, 1), scene))
    };
    check(small.into_iter().flat_map(|size| Profile::ALL.map(|profile| of_size(size, profile, Preset::Balanced, 4))));
    check(
        large
            .into_iter()
            .zip(Profile::ALL.into_iter().cycle())
            .map(|(size, profile)| of_size(size, profile, Preset::Fast, 2)),
    );
}

/// Keyframes where asked for, where the picture changes and where its size does, in one stream.
#[test]
fn keyframes_and_changes_of_size() {
    check(Profile::ALL.into_iter().flat_map(|profile| [false, true].map(|recovery| (profile, recovery))).map(
        |(profile, recovery)| {
            let mut first = Scene::at(Content::Texture, (96, 64), 7, 25);
            first.orders[3].keyframe = true;
            first.orders[4].keyframe = true;
            let scenes = vec![
                first,
                Scene::at(Content::Objects, (64, 96), 3, 30),
                Scene::at(Content::Cuts, (64, 96), 12, 28),
                Scene::at(Content::Text, (97, 63), 3, 22),
                Scene::at(Content::Text, (98, 64), 3, 22),
                Scene::at(Content::Noise, (16, 16), 2, 33),
            ];
            let config =
                H264Config { recovery, frame_rate: Some((30_000, 1001)), ..config(profile, Preset::Balanced, 2) };
            (format!("{profile}, recovery {recovery}"), Case { config, scenes })
        },
    ));
}

/// More frames than frame_num counts, with and without long-term references.
#[test]
fn long_streams() {
    check([(Profile::ConstrainedBaseline, true), (Profile::High, false)].map(|(profile, recovery)| {
        let config = H264Config { recovery, ..config(profile, Preset::Fast, 1) };
        (format!("{profile}, recovery {recovery}"), stream(config, Scene::at(Content::Texture, (32, 32), 600, 35)))
    }));
}

#[test]
fn caps_and_targets_of_bytes() {
    let contents = [Content::Noise, Content::Texture, Content::Cuts, Content::Text, Content::Extremes];
    check(Profile::ALL.into_iter().flat_map(|profile| contents.map(|content| (profile, content))).enumerate().map(
        |(index, (profile, content))| {
            let mut scene = Scene::at(content, (128, 96), 10, 10);
            for (number, order) in scene.orders.iter_mut().enumerate() {
                let bytes = [200, 400, 900, 1500, 2500, 6000][(number + index) % 6];
                order.max_bytes = (number % 3 != 0).then_some(bytes);
                order.target_bytes = (number % 3 != 1).then_some(bytes / 2);
            }
            let slices = 1 + index % 3;
            (
                format!("{profile} {content:?}, {slices} slices"),
                stream(config(profile, PRESETS[index % 3], slices), scene),
            )
        },
    ));
}

/// Every frame order's cap either holds or is refused, and what is refused leaves no trace in the stream.
#[test]
fn caps_from_the_smallest_up() {
    check(Profile::ALL.map(|profile| {
        let mut scene = Scene::at(Content::Noise, (64, 64), 60, 20);
        for (number, order) in scene.orders.iter_mut().enumerate() {
            order.max_bytes = Some(4 + 2 * number);
        }
        // What comes after the first keyframe may be skipped altogether.
        scene.orders[0].max_bytes = None;
        (format!("{profile}"), stream(config(profile, Preset::Fast, 1), scene))
    }));
}

#[test]
fn intra_refresh() {
    check(Profile::ALL.into_iter().flat_map(|profile| [2, 5, 9].map(|frames| (profile, frames))).map(
        |(profile, frames)| {
            let config = H264Config { intra_refresh_frames: Some(frames), ..config(profile, Preset::Balanced, 1) };
            (format!("{profile}, refresh in {frames}"), stream(config, Scene::at(Content::Objects, (112, 48), 20, 28)))
        },
    ));
}

/// A receiver that joins where a round of intra refresh begins has seen no keyframe: once the round is complete, its picture is
/// the encoder's, bit for bit, and stays so.
#[test]
fn a_round_of_intra_refresh_makes_the_picture_whole() {
    const FRAMES: usize = 40;
    if !is_there() {
        return;
    }
    for (index, (profile, round)) in
        Profile::ALL.into_iter().flat_map(|profile| [(profile, 4), (profile, 7)]).enumerate()
    {
        let config =
            H264Config { intra_refresh_frames: Some(round), ..config(profile, PRESETS[index % 3], 1 + index % 2) };
        let scene = Scene::at(Content::Objects, (144, 64), FRAMES, 26);
        let units = encode(&stream(config, scene), kernel::detect(), &pool(1));
        assert!(units.iter().skip(1).all(|unit| !unit.keyframe), "{profile}: a keyframe would make it whole");
        // Rounds begin with parameter sets.
        let begins = |unit: &Unit| nal_units(&unit.bytes, config.framing).first().is_some_and(|unit| unit[0] & 31 == 7);
        let starts: Vec<_> = (8..FRAMES - 2 * round as usize).filter(|&at| begins(&units[at])).collect();
        assert!(!starts.is_empty(), "{profile}: no round begins");
        for start in starts {
            let sent: Vec<u8> = units[start..].iter().flat_map(|unit| annex_b(&unit.bytes, config.framing)).collect();
            let bytes = 144 * 64 / 2 * 3;
            let seen = decode(&sent, false, |pipe| {
                let mut all = Vec::new();
                pipe.read_to_end(&mut all).map_err(|error| error.to_string())?;
                Ok(all)
            });
            let seen = seen.unwrap_or_else(|fault| panic!("{profile} from {start}: {fault}"));
            // The recovery point is the frame after the round; decoders may hold back those before.
            let whole = FRAMES - start - round as usize;
            assert!(seen.len() >= whole * bytes, "{profile} from {start}: {} pictures", seen.len() / bytes);
            for (back, seen) in seen.rchunks_exact(bytes).take(whole).enumerate() {
                let number = FRAMES - 1 - back;
                let difference = units[number].picture.difference(seen);
                assert!(
                    difference.is_none(),
                    "{profile} from {start}, round of {round}, frame {number}: {difference:?}"
                );
            }
        }
    }
}

/// The largest picture that the service takes, in slices and in each profile.
#[test]
fn pictures_of_4k() {
    check([(Profile::High, Preset::Balanced, 2), (Profile::ConstrainedBaseline, Preset::Fast, 1)].map(
        |(profile, preset, slices)| {
            let scene = Scene::at(Content::Objects, (3840, 2160), 2, 27);
            (format!("{profile} {preset}, {slices} slices"), stream(config(profile, preset, slices), scene))
        },
    ));
}

/// Whatever format frames come in, the reconstruction is what is shown.
#[test]
fn every_format() {
    let (mut oracle, pool) = (Oracle::new(), pool(1));
    for (index, format) in PixelFormat::ALL.into_iter().filter(|&format| format != PixelFormat::Gray16).enumerate() {
        for (width, height) in [(48, 32), (35, 21)] {
            let mut encoder =
                H264Encoder::new(kernel::detect(), config(Profile::ALL[index % 3], Preset::Balanced, 1)).unwrap();
            let units = (0..3).map(|number| {
                let of_bytes = Content::Gradient.frame(width, height * 4, 100, number as u32).into_data();
                let data = of_bytes[..format.frame_bytes(width, height)].to_vec();
                let frame = FrameBuf::new(format, width, height, data).unwrap();
                encode_frame(&mut encoder, &frame.as_frame(), &FrameOrder::at(24), number, &pool).unwrap()
            });
            let units = units.collect();
            oracle.feed(&format!("{format} {width}x{height}"), Framing::AnnexB, units);
        }
    }
    oracle.settle();
}

/// What is nothing but noise is shown as it was, in no more bytes than its samples and a few for their macroblocks.
#[test]
fn noise_is_sent_as_it_is() {
    let mut oracle = Oracle::new();
    for (profile, slices) in Profile::ALL.into_iter().zip([1, 2, 3]) {
        let scene = Scene::at(Content::Noise, (96, 80), 4, 2);
        let frames: Vec<FrameBuf> = scene.frames().map(|(frame, _)| frame).collect();
        let units = encode(&stream(config(profile, Preset::Fast, slices), scene), kernel::detect(), &pool(2));
        for (unit, frame) in units.iter().zip(&frames) {
            assert!(unit.bytes.len() < 30 * (384 + 4) + 100, "{profile}: {} bytes", unit.bytes.len());
            assert!(unit.picture.planes.iter().enumerate().all(|(k, plane)| plane == frame.as_frame().plane(k).data()));
        }
        oracle.feed(&format!("noise in {profile}"), Framing::AnnexB, units);
    }
    oracle.settle();
}

/// In profiles with weighted prediction, a fade takes a fraction of the bytes, and is right to the bit.
#[test]
fn fades_are_predicted_by_weights() {
    let mut oracle = Oracle::new();
    for (slices, seed) in [(1, 20), (2, 31), (5, 120), (1, 155)] {
        let bytes = Profile::ALL.map(|profile| {
            let mut scene = Scene::at(Content::Fade, (192, 160), 10, 26);
            scene.seed = seed;
            let units = encode(&stream(config(profile, Preset::Balanced, slices), scene), kernel::detect(), &pool(1));
            let bytes: usize = units.iter().skip(1).map(|unit| unit.bytes.len()).sum();
            oracle.feed(&format!("{profile} from {seed}"), Framing::AnnexB, units);
            bytes
        });
        eprintln!("{bytes:?}");
        assert!(bytes[1..].iter().all(|&weighted| 5 * weighted < 3 * bytes[0]), "from {seed}: {bytes:?}");
    }
    oracle.settle();
}

/// The same NAL units in both framings, and the description that goes with the second.
#[test]
fn length_prefixes_hold_the_same_units() {
    for profile in Profile::ALL {
        let case = |framing| {
            stream(
                H264Config { framing, ..config(profile, Preset::Balanced, 3) },
                Scene::at(Content::Text, (96, 64), 3, 25),
            )
        };
        let [codes, lengths] = [Framing::AnnexB, Framing::LengthPrefixed]
            .map(|framing| encode(&case(framing), kernel::detect(), &pool(1)));
        for (number, (a, b)) in codes.iter().zip(&lengths).enumerate() {
            let units = nal_units(&a.bytes, Framing::AnnexB);
            assert_eq!(units, nal_units(&b.bytes, Framing::LengthPrefixed));
            let kinds: Vec<_> = units.iter().map(|unit| unit[0] & 31).collect();
            let expected: &[u8] = match (number, profile) {
                (0, Profile::ConstrainedBaseline) => &[7, 8, 5, 5, 5],
                (0, _) => &[7, 8, 8, 5, 5, 5],
                _ => &[1, 1, 1],
            };
            assert_eq!(kinds, expected, "{profile}");
        }
    }
}

/// The same bytes and pictures at every SIMD level and for every number of threads.
#[test]
fn bytes_depend_on_neither_level_nor_threads() {
    let pools = [1, 2, 7].map(pool);
    for (index, content) in Content::ALL.into_iter().enumerate() {
        for preset in PRESETS {
            let slices = [1, 3, 8][index % 3];
            let mut scene = Scene::at(content, (129, 130), 3, 14 + 4 * index as u8);
            scene.orders[2].max_bytes = Some(1500);
            scene.orders[1].target_bytes = Some(1500);
            let case = stream(config(Profile::ALL[(index / 3).min(2)], preset, slices), scene);
            let expected = encode(&case, kernel::Level::baseline(), &pools[0]);
            for (step, level) in kernel::levels().into_iter().enumerate() {
                let pool = &pools[(step + index) % 3];
                assert_same(
                    &expected,
                    &encode(&case, level, pool),
                    &format!("{content:?} {preset} {}", kernel::name(level)),
                );
            }
            let other = encode(&case, kernel::detect(), &pools[(index + 1) % 3]);
            assert_same(&expected, &other, &format!("{content:?} {preset} {slices} slices, other threads"));
        }
    }
}

fn assert_same(a: &[Unit], b: &[Unit], what: &str) {
    assert_eq!(a.len(), b.len(), "{what}");
    for (number, (a, b)) in a.iter().zip(b).enumerate() {
        assert!(a.bytes == b.bytes, "bytes of frame {number} differ: {what}");
        assert!(a.picture == b.picture, "reconstructions of frame {number} differ: {what}");
    }
}

/// Packets are lost and reported a round trip later: from the report on the decoder shows the reconstruction again, and no
/// keyframe was needed where a long-term picture had arrived.
#[test]
fn recovery_from_lost_packets() {
    const ROUND_TRIP: usize = 4;
    if !is_there() {
        return;
    }
    for (index, profile) in Profile::ALL.into_iter().enumerate() {
        for lost in [vec![17], vec![9, 10, 11, 30], vec![12, 14, 33, 35, 36, 50], (10..60).step_by(7).collect()] {
            let config = H264Config { recovery: true, ..config(profile, Preset::Balanced, 1 + index) };
            let mut encoder = H264Encoder::new(kernel::detect(), config).unwrap();
            let (mut sent, mut wanted, pool) = (Vec::new(), Vec::new(), pool(1));
            for number in 0..60_usize {
                if let Some(known) = number.checked_sub(ROUND_TRIP) {
                    let told = if lost.contains(&known) { H264Encoder::lose } else { H264Encoder::acknowledge };
                    told(&mut encoder, known as u64);
                }
                let frame = Content::Objects.frame(96, 80, 40, number as u32);
                let order = FrameOrder::at(27);
                let unit = encode_frame(&mut encoder, &frame.as_frame(), &order, number, &pool).unwrap();
                assert!(number == 0 || !unit.keyframe, "{profile}: frame {number} is a keyframe, lost {lost:?}");
                if lost.contains(&number) {
                    continue;
                }
                let is_dark = lost.iter().any(|&at| (at..at + ROUND_TRIP).contains(&number));
                sent.extend(annex_b(&unit.bytes, config.framing));
                wanted.push((number, (!is_dark).then_some(unit.picture)));
            }
            let bytes = 96 * 80 / 2 * 3;
            let result = decode(&sent, false, |pipe| {
                let mut seen = vec![0; bytes];
                for (number, picture) in &wanted {
                    pipe.read_exact(&mut seen).map_err(|_| format!("frame {number} isn't shown"))?;
                    let difference = picture.as_ref().and_then(|picture| picture.difference(&seen));
                    if let Some(difference) = difference {
                        return Err(format!("frame {number}: {difference}"));
                    }
                }
                Ok(())
            });
            result.unwrap_or_else(|fault| panic!("{profile}, lost {lost:?}: {fault}"));
        }
    }
}

/// Frames are given up at many moments of their coding: those after them are right to the bit, and need no keyframe.
#[test]
fn frames_that_are_given_up() {
    let (mut oracle, pool) = (Oracle::new(), pool(2));
    for (index, profile) in Profile::ALL.into_iter().enumerate() {
        for content in [Content::Objects, Content::Fade, Content::Text] {
            let recovery = index == 1;
            let config = H264Config { recovery, scene_cut: false, ..config(profile, Preset::Balanced, 1 + index) };
            let mut encoder = H264Encoder::new(kernel::detect(), config).unwrap();
            let (mut units, mut given_up) = (Vec::new(), 0);
            for number in 0..40 {
                let order = FrameOrder { target_bytes: (number % 3 == 0).then_some(2_000), ..FrameOrder::at(27) };
                let cancel = Cancel::default();
                encoder.heed(&cancel);
                let unit = thread::scope(|scope| {
                    // The first are given up before they begin.
                    if number < 2 {
                        cancel.raise();
                    } else {
                        scope.spawn(|| {
                            (0..1_000 * number).for_each(|_| spin_loop());
                            cancel.raise();
                        });
                    }
                    let frame = content.frame(320, 240, 40, 2 * number);
                    encode_frame(&mut encoder, &frame.as_frame(), &order, units.len(), &pool)
                });
                given_up += usize::from(unit.is_none());
                units.extend(unit);
                encoder.heed(&Cancel::default());
                let frame = content.frame(320, 240, 40, 2 * number + 1);
                units.push(encode_frame(&mut encoder, &frame.as_frame(), &order, units.len(), &pool).unwrap());
            }
            assert!(given_up >= 2 && units.iter().skip(1).all(|unit| !unit.keyframe), "{profile} {content:?}");
            oracle.feed(&format!("{profile} {content:?}, {given_up} given up"), config.framing, units);
        }
    }
    oracle.settle();
}

/// Streams by chance, decoded many at a time; one that fails is made as small as can be.
#[test]
fn random_streams() {
    const TOGETHER: usize = 32;
    let count = std::env::var("AURALINK_H264_STREAMS").map_or(64, |count| count.parse().unwrap());
    let seed = std::env::var("AURALINK_H264_SEED").map_or(1_u8, |seed| seed.parse().unwrap());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]);
    let config = Config { max_shrink_iters: 300, failure_persistence: None, ..Config::default() };
    let (mut runner, strategy, pool) = (TestRunner::new_with_rng(config, rng), random::case(), pool(2));
    let (mut oracle, mut done) = (Oracle::new(), 0);
    while done < count {
        let trees: Vec<_> = (0..TOGETHER.min(count - done)).map(|_| strategy.new_tree(&mut runner).unwrap()).collect();
        for (index, tree) in trees.iter().enumerate() {
            let case = tree.current();
            let made = catch_unwind(AssertUnwindSafe(|| encode(&case, kernel::detect(), &pool)));
            let units = made.unwrap_or_else(|_| panic!("{case:#?}"));
            oracle.feed(&format!("stream {index}"), case.config.framing, units);
        }
        done += trees.len();
        if let Err(fault) = oracle.try_settle() {
            for tree in trees {
                let outcome = runner.run_one(tree, |case| {
                    let mut oracle = Oracle::new();
                    oracle.feed("stream", case.config.framing, encode(&case, kernel::detect(), &pool));
                    oracle.try_settle().map_err(TestCaseError::fail)
                });
                outcome.unwrap_or_else(|error| panic!("{error}"));
            }
            panic!("{fault}\nonly after the streams before it");
        }
    }
    eprintln!("{} streams, {} pictures", oracle.streams, oracle.pictures);
}
