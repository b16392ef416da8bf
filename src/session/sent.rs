//! The packets sent of late: by which number the encoder knows the caller's frames.

/// Packets remembered; news of older ones come too late to be of use.
const REMEMBERED: usize = 256;

/// Whether a frame is among the packets sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// It is; with the encoder's number of it.
    Sent(u64),
    /// It never became a packet.
    Never,
    /// It is too old to be remembered.
    Forgotten,
}

/// Numbers of the caller's frames and of the encoder's, both ascending.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    numbers: [(u64, u64); REMEMBERED],
    count: usize,
}

impl Default for Sent {
    fn default() -> Self {
        Self { numbers: [(0, 0); REMEMBERED], count: 0 }
    }
}

impl Sent {
    pub(crate) fn remember(&mut self, frame_number: u64, id: u64) {
        self.numbers[self.count % REMEMBERED] = (frame_number, id);
        self.count += 1;
    }

    pub(crate) fn find(&self, frame_number: u64) -> Found {
        let kept = &self.numbers[..self.count.min(REMEMBERED)];
        match kept.iter().find(|(number, _)| *number == frame_number) {
            Some((_, id)) => Found::Sent(*id),
            None if self.count > REMEMBERED && kept.iter().all(|(number, _)| *number > frame_number) => {
                Found::Forgotten
            }
            None => Found::Never,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_found_until_they_are_forgotten() {
        let mut sent = Sent::default();
        assert_eq!(sent.find(0), Found::Never);
        (0..600).for_each(|id| sent.remember(2 * id, id + 7));
        assert_eq!(sent.find(1_198), Found::Sent(606));
        assert_eq!((sent.find(1_197), sent.find(687)), (Found::Never, Found::Forgotten));
        assert_eq!(sent.find(688), Found::Sent(351));
    }
}
