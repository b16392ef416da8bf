#![allow(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;

use super::*;

fn trace(text: &str) -> Arc<Trace> {
    Arc::new(Trace::parse(text).unwrap())
}

/// A link without propagation.
fn bare() -> LinkConfig {
    LinkConfig { propagation: Duration::ZERO, ..LinkConfig::default() }
}

/// Sends (at ms, bytes) and tells (ms, number) of those that come out until `until_ms`.
fn run(link: &mut Link<usize>, sends: &[(u64, u32)], until_ms: u64) -> Vec<(u64, usize)> {
    let mut out = Vec::new();
    let mut delivered = Vec::new();
    for ms in 0..until_ms {
        for (number, &(_, bytes)) in sends.iter().enumerate().filter(|(_, (at, _))| *at == ms) {
            link.send(bytes, number, ms);
        }
        link.step(ms, &mut delivered);
        out.extend(delivered.drain(..).map(|number| (ms, number)));
    }
    out
}

#[test]
fn an_opportunity_takes_whole_packets_and_parts_and_is_lost_where_nothing_waits() {
    // Opportunities at 3, 6, 9, ... ms.
    let mut link = Link::new(trace("3"), bare(), 0).unwrap();
    let sends = [(0, 700), (0, 700), (0, 1500), (0, 1200), (8, 100)];
    // 3 ms: 700 + 700 + 100 of the third. 6 ms: its 1400 + 100 of the fourth. 9 ms: its 1100 + the last's 100.
    assert_eq!(run(&mut link, &sends, 13), [(3, 0), (3, 1), (6, 2), (9, 3), (9, 4)]);
    let tally = link.tally();
    assert_eq!((tally.offered_bytes, tally.delivered_bytes), (4 * 1500, 4200));
}

#[test]
fn packets_larger_than_an_opportunity_take_several() {
    let mut link = Link::new(trace("1\n1\n10\n"), bare(), 0).unwrap();
    assert_eq!(run(&mut link, &[(0, 4000), (1, 200)], 20), [(10, 0), (10, 1)]);
}

#[test]
fn what_is_served_doesnt_count_against_the_queue() {
    let config = LinkConfig { queue_packets: Some(2), ..bare() };
    let mut link = Link::new(trace("5\n100"), config, 0).unwrap();
    // The first is partly through at 5 ms; then two may wait, and the third of those is refused.
    let sends = [(0, 2000), (6, 10), (6, 10), (6, 10)];
    assert_eq!(run(&mut link, &sends, 101), [(100, 0), (100, 1), (100, 2)]);
    assert_eq!((link.tally().dropped_packets, link.tally().dropped_bytes), (1, 10));
    assert_eq!(link.held_bytes(), 0);
}

#[test]
fn propagation_comes_before_the_queue() {
    let mut link = Link::new(trace("1"), LinkConfig::default(), 0).unwrap();
    assert_eq!(run(&mut link, &[(3, 1500), (3, 1500)], 40), [(23, 0), (24, 1)]);
}

#[test]
fn losses_come_as_often_as_asked() {
    let sends: Vec<(u64, u32)> = (0..20_000).map(|ms| (ms, 100)).collect();
    let share = |loss| {
        let mut link = Link::new(trace("1"), LinkConfig { loss, ..bare() }, 3).unwrap();
        let arrived = run(&mut link, &sends, 20_001);
        let mut burst = (0, 0);
        let mut last = None;
        for (_, number) in &arrived {
            let missing = number - last.map_or(0, |last: usize| last + 1);
            burst = (burst.0 + usize::from(missing > 0), burst.1 + missing);
            last = Some(*number);
        }
        (link.tally().lost_packets as f64 / 20_000.0, burst.1 as f64 / burst.0.max(1) as f64)
    };
    let (independent, short) = share(Loss::Independent { probability: 0.1 });
    assert!((independent - 0.1).abs() < 0.01 && short < 1.3, "{independent} {short}");
    // Bad for a tenth of the time, ten packets at once.
    let (bursts, long) = share(Loss::Bursts { to_bad: 1.0 / 90.0, to_good: 0.1, probability: 1.0 });
    assert!((bursts - 0.1).abs() < 0.03 && long > 6.0, "{bursts} {long}");
    assert_eq!(share(Loss::Independent { probability: 1.0 }).0, 1.0);
}

#[test]
fn jitter_delays_and_keeps_the_order() {
    let config = LinkConfig { jitter: Duration::from_millis(30), ..LinkConfig::default() };
    let mut link = Link::new(trace("1"), config, 1).unwrap();
    let sends: Vec<(u64, u32)> = (0..200).map(|index| (index * 200, 1500)).collect();
    let out = run(&mut link, &sends, 41_000);
    assert!(out.iter().map(|(_, number)| *number).eq(0..200));
    let delays: Vec<u64> = out.iter().map(|(ms, number)| ms - 200 * *number as u64).collect();
    let mean = delays.iter().sum::<u64>() as f64 / 200.0;
    // Half a normal distribution of deviation 30 has a mean of 24.
    assert!((mean - 44.0).abs() < 4.0 && delays.iter().all(|&ms| (20..=111).contains(&ms)), "{mean}");
}

#[test]
fn codel_keeps_a_standing_queue_short() {
    let wait = |codel| {
        let config = LinkConfig { queue_packets: None, codel, ..bare() };
        let mut link = Link::new(trace("1"), config, 0).unwrap();
        // A tenth more than goes through.
        let sends: Vec<(u64, u32)> = (0..20_000).map(|ms| (ms, 1650)).collect();
        let out = run(&mut link, &sends, 20_000);
        let last = out.last().unwrap();
        (last.0 - last.1 as u64, link.tally().dropped_packets)
    };
    let (plain, codel) = (wait(false), wait(true));
    assert_eq!(plain.1, 0);
    assert!(plain.0 > 1500 && codel.0 < 300 && codel.1 > 100, "{plain:?} {codel:?}");
}

#[test]
fn fields_out_of_range_are_named() {
    let bad = |config: LinkConfig| Link::<()>::new(trace("1"), config, 0).unwrap_err().field();
    assert_eq!(bad(LinkConfig { queue_packets: Some(0), ..bare() }), "queue_packets");
    assert_eq!(bad(LinkConfig { propagation: Duration::from_secs(6), ..bare() }), "propagation_ms");
    assert_eq!(bad(LinkConfig { jitter: Duration::from_secs(2), ..bare() }), "jitter_ms");
    assert_eq!(bad(LinkConfig { loss: Loss::Independent { probability: f64::NAN }, ..bare() }), "loss_probability");
}

fn any_loss() -> impl Strategy<Value = Loss> {
    prop_oneof![
        Just(Loss::Never),
        (0.0..=1.0).prop_map(|probability| Loss::Independent { probability }),
        (0.0..=1.0, 0.0..=1.0, 0.0..=1.0).prop_map(|(to_bad, to_good, probability)| Loss::Bursts {
            to_bad,
            to_good,
            probability
        }),
    ]
}

proptest! {
    #[test]
    fn no_byte_is_made_or_forgotten(
        gaps in prop::collection::vec(0_u64..40, 1..20),
        sends in prop::collection::vec((0_u64..300, 1_u32..4000), 0..200),
        queue_packets in prop::option::of(1_u32..20),
        (codel, loss, jitter_ms) in (any::<bool>(), any_loss(), 0_u64..50),
        seed in any::<u64>(),
    ) {
        let mut at = 1;
        let text: String = gaps.iter().map(|gap| { at += gap; format!("{at}\n") }).collect();
        let config = LinkConfig { queue_packets, codel, loss, jitter: Duration::from_millis(jitter_ms), ..bare() };
        let make = || Link::new(trace(&text), config, seed).unwrap();
        let mut link = make();
        let mut out = Vec::new();
        for ms in 0..400 {
            for &(_, bytes) in sends.iter().filter(|(at, _)| *at == ms) {
                link.send(bytes, bytes, ms);
            }
            link.step(ms, &mut out);
            let tally = *link.tally();
            let accounted = tally.lost_bytes + tally.dropped_bytes + tally.delivered_bytes + link.held_bytes();
            prop_assert_eq!(tally.sent_bytes, accounted);
            prop_assert_eq!(tally.delivered_bytes, out.iter().map(|&bytes| u64::from(bytes)).sum::<u64>());
            prop_assert!(tally.delivered_bytes <= tally.offered_bytes);
        }
        let mut again = make();
        let mut out_again = Vec::new();
        for ms in 0..400 {
            for &(_, bytes) in sends.iter().filter(|(at, _)| *at == ms) {
                again.send(bytes, bytes, ms);
            }
            again.step(ms, &mut out_again);
        }
        prop_assert_eq!(out, out_again);
    }
}
