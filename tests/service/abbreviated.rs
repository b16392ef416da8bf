//! JPEG streams whose tables are sent once.

use auralink::codec::jpeg::Completer;
use auralink::service::proto;
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;

use crate::harness::{Talk, config, i420, open_i420, start};

/// Packets: the first with its tables, others with Huffman tables trained on it, the rest without any.
const FRAMES: u64 = 5;

/// Whether a file brings tables: a DQT or DHT segment before its scan (ITU-T T.81 B.2.4).
fn has_tables(file: &[u8]) -> bool {
    let mut at = 2;
    while let Some(&[0xFF, marker, high, low]) = file.get(at..at + 4) {
        match marker {
            0xDB | 0xC4 => return true,
            0xDA => return false,
            _ => at += 2 + usize::from(u16::from_be_bytes([high, low])),
        }
    }
    panic!("no scan in {} bytes", file.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn packets_without_tables_are_read_with_those_of_packets_before() {
    let server = start(config()).await;
    let open = proto::Open { codec: proto::Codec::Jpeg as i32, abbreviated: true, ..open_i420(320, 180) };
    let (mut talk, _) = Talk::open(&mut server.client().await, open).await.unwrap();
    let (mut completer, mut whole, mut packets) = (Completer::default(), Vec::new(), Vec::new());
    for number in 1..=FRAMES {
        talk.frame(number, i420(320, 180, 7)).await;
        let packet = talk.packet().await;
        completer.complete(&packet.data, &mut whole).unwrap();
        packets.push((packet, JpegDecoder::new(ZCursor::new(whole.clone())).decode().unwrap()));
    }
    let (first, picture) = &packets[0];
    assert!(first.keyframe && has_tables(&first.data));
    assert_eq!(picture.len(), 320 * 180 * 3);
    let (last, _) = packets.last().unwrap();
    assert!(!last.keyframe && !has_tables(&last.data) && last.data.len() + 500 < first.data.len());
    for (packet, decoded) in &packets[1..] {
        assert!(decoded == picture, "packet {}: the frame was the same", packet.frame_number);
    }
    assert!(talk.finish().await.unwrap().is_empty());
    server.stop().await;
}
