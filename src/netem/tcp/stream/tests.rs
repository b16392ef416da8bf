use super::*;

#[test]
fn headers_come_before_each_sixteen_kib() {
    for bytes in [1, 16_383, 16_384, 16_385, 100_000] {
        assert_eq!(unframed(framed(bytes)), u64::from(bytes));
        assert!(unframed(framed(bytes) - 1) < u64::from(bytes));
    }
    assert_eq!((framed(16_384), framed(16_385), unframed(9), unframed(10)), (16_393, 16_403, 0, 1));
}

/// All segments that go at once.
fn burst(stream: &mut Stream, now_ms: u64) -> Vec<Segment> {
    std::iter::from_fn(|| stream.emit(now_ms)).collect()
}

#[test]
fn ten_segments_go_first_and_twice_as_many_after_a_round_trip() {
    let mut stream = Stream::new(TcpConfig::default());
    stream.write(0, 200_000);
    assert!(!stream.can_take());
    let first = burst(&mut stream, 0);
    assert_eq!((first.len(), first.first().unwrap().packet_bytes()), (10, 1500));
    let mut pieces = Vec::new();
    for segment in first {
        let ack = stream.arrived(segment, &mut pieces);
        stream.acknowledge(&ack, 40);
    }
    assert_eq!(burst(&mut stream, 40).len(), 20);
    // Ten segments, less the header of the first DATA frame.
    assert_eq!(pieces.iter().map(|piece| piece.bytes).sum::<u32>(), 14_480 - 9);
}

#[test]
fn what_is_lost_goes_again_and_holds_up_what_comes_after_it() {
    let mut stream = Stream::new(TcpConfig::default());
    stream.write(0, 5_000);
    stream.write(1, 9_000);
    let segments = burst(&mut stream, 0);
    let mut pieces = Vec::new();
    for (index, &segment) in segments.iter().enumerate().filter(|(index, _)| *index != 1) {
        let ack = stream.arrived(segment, &mut pieces);
        stream.acknowledge(&ack, 40 + index as u64);
    }
    assert_eq!(pieces, [Piece { frame_number: 0, bytes: 1439 }]);
    let again = burst(&mut stream, 50);
    assert_eq!(again, [Segment { sent_ms: 50, ..segments[1] }]);
    pieces.clear();
    let ack = stream.arrived(again[0], &mut pieces);
    stream.acknowledge(&ack, 90);
    assert_eq!(pieces, [Piece { frame_number: 0, bytes: 3561 }, Piece { frame_number: 1, bytes: 9000 }]);
    assert_eq!(stream.outbound.held(), (0, 0));
}

#[test]
fn silence_ends_with_a_timeout_that_doubles() {
    let mut stream = Stream::new(TcpConfig::default());
    stream.write(0, 1_000);
    let sends: Vec<u64> = (0..10_000).filter(|&ms| stream.emit(ms).is_some()).collect();
    assert_eq!(sends, [0, 1_000, 3_000, 7_000]);
}

#[test]
fn buffers_bound_what_waits() {
    let config = TcpConfig { socket_bytes: 64 << 10, unsent_bytes: Some(16 << 10), ..TcpConfig::default() };
    let mut stream = Stream::new(config);
    while stream.can_take() {
        stream.write(0, 10_000);
    }
    burst(&mut stream, 0);
    stream.fill_socket();
    let (http2, unsent) = stream.waiting();
    assert_eq!(unsent, 16 << 10);
    assert!((40 << 10..80 << 10).contains(&http2), "{http2}");
}

#[test]
fn a_timeout_for_nothing_is_taken_back() {
    let mut stream = Stream::new(TcpConfig::default());
    stream.write(0, 60_000);
    let first = burst(&mut stream, 0);
    let mut pieces = Vec::new();
    let acks: Vec<Ack> = first.iter().map(|&segment| stream.arrived(segment, &mut pieces)).collect();
    // The way back is silent until after the timeout: one segment goes again.
    assert_eq!(burst(&mut stream, 1_000), [Segment { sent_ms: 1_000, ..first[0] }]);
    // Then all is told of, and the window is what it was and what they are worth: already by the first, whose timestamp is old.
    stream.acknowledge(&acks[0], 1_100);
    assert_eq!(burst(&mut stream, 1_100).len(), 2);
    acks[1..].iter().for_each(|ack| stream.acknowledge(ack, 1_101));
    assert!(burst(&mut stream, 1_101).len() >= 9);
    // A timeout for something isn't: the window begins at one.
    let mut stream = Stream::new(TcpConfig::default());
    stream.write(0, 60_000);
    burst(&mut stream, 0);
    let again = burst(&mut stream, 1_000);
    let ack = stream.arrived(again[0], &mut pieces);
    stream.acknowledge(&ack, 1_100);
    assert_eq!(burst(&mut stream, 1_100).len(), 2);
}

#[test]
fn a_timeout_is_a_round_trip_and_the_least_one_at_least() {
    for least_timeout_ms in [200, 1_000] {
        let mut stream = Stream::new(TcpConfig { least_timeout_ms, ..TcpConfig::default() });
        let mut pieces = Vec::new();
        // The variation of a round trip that is always the same vanishes.
        for round in 0..40 {
            stream.write(round, 1_000);
            let segment = burst(&mut stream, 40 * round)[0];
            let ack = stream.arrived(segment, &mut pieces);
            stream.acknowledge(&ack, 40 * round + 40);
        }
        stream.write(40, 1_000);
        let sends: Vec<u64> = (1_600..3_000).filter(|&ms| stream.emit(ms).is_some()).collect();
        assert_eq!(sends[..2], [1_600, 1_640 + u64::from(least_timeout_ms)]);
    }
}
