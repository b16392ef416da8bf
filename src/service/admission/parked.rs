//! A message that isn't whole, in blocks of one size: who decodes takes room for the whole of it at its first byte, in one piece, and
//! pieces of many mebibytes that come and go aren't soon given back by an allocator.

use std::collections::VecDeque;

use axum::body::Bytes;

/// Size of a block. What arrives is copied into it, so that a small part of a large buffer doesn't keep all of that.
const BLOCK_BYTES: usize = 16 << 10;

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct Parked {
    blocks: VecDeque<Vec<u8>>,
}

impl Parked {
    pub(super) fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// Takes what has arrived.
    pub(super) fn put(&mut self, mut data: &[u8]) {
        while !data.is_empty() {
            let room = self.blocks.back().map_or(0, |block| BLOCK_BYTES - block.len());
            if room == 0 {
                self.blocks.push_back(Vec::with_capacity(BLOCK_BYTES));
                continue;
            }
            let (now, later) = data.split_at(data.len().min(room));
            if let Some(block) = self.blocks.back_mut() {
                block.extend_from_slice(now);
            }
            data = later;
        }
    }

    /// The oldest block.
    pub(super) fn take(&mut self) -> Option<Bytes> {
        self.blocks.pop_front().map(Bytes::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_comes_back_in_blocks() {
        let data: Vec<_> = (0..300_000_u32).map(|at| (at % 251) as u8).collect();
        let mut parked = Parked::default();
        data.chunks(7_001).for_each(|chunk| parked.put(chunk));
        let mut back = Vec::new();
        while let Some(block) = parked.take() {
            assert!(block.len() == BLOCK_BYTES || parked.is_empty());
            back.extend(block);
        }
        assert_eq!(back, data);
        parked.put(b"");
        assert!(parked.is_empty() && parked.take().is_none());
    }
}
