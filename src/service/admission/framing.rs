//! Where messages begin and end in what is received.

/// Bytes before each message of gRPC: a flag, and its length.
const PREFIX_BYTES: usize = 5;

/// How far the reading of a body has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// gRPC: message after message.
    Messages {
        prefix: [u8; PREFIX_BYTES],
        /// Bytes of it that are there.
        prefix_bytes: usize,
        /// Bytes that the message still lacks.
        lacking: usize,
        /// Bytes of the message that are there, with its prefix.
        partial: usize,
    },
    /// The whole body is one message.
    Whole { partial: usize },
}

impl Framing {
    pub(crate) const MESSAGES: Self =
        Self::Messages { prefix: [0; PREFIX_BYTES], prefix_bytes: 0, lacking: 0, partial: 0 };
    pub(crate) const WHOLE: Self = Self::Whole { partial: 0 };

    /// Takes what has arrived.
    pub(crate) fn take(&mut self, mut data: &[u8]) {
        let (prefix, prefix_bytes, lacking, partial) = match self {
            Self::Whole { partial } => {
                *partial += data.len();
                return;
            }
            Self::Messages { prefix, prefix_bytes, lacking, partial } => (prefix, prefix_bytes, lacking, partial),
        };
        while let Some((&byte, rest)) = data.split_first() {
            if *prefix_bytes < PREFIX_BYTES {
                if let Some(place) = prefix.get_mut(*prefix_bytes) {
                    *place = byte;
                }
                (*prefix_bytes, *partial, data) = (*prefix_bytes + 1, *partial + 1, rest);
                if *prefix_bytes == PREFIX_BYTES {
                    let [_, length @ ..] = *prefix;
                    *lacking = u32::from_be_bytes(length) as usize;
                }
            } else {
                let (its, rest) = data.split_at(data.len().min(*lacking));
                (*lacking, *partial, data) = (*lacking - its.len(), *partial + its.len(), rest);
            }
            if *prefix_bytes == PREFIX_BYTES && *lacking == 0 {
                (*prefix_bytes, *partial) = (0, 0);
            }
        }
    }

    /// Bytes of a message that has begun and isn't whole.
    pub(crate) const fn partial(&self) -> usize {
        match self {
            Self::Messages { partial, .. } | Self::Whole { partial } => *partial,
        }
    }

    /// Whether a message has begun and isn't whole.
    pub(crate) const fn is_within(&self) -> bool {
        match self {
            Self::Messages { partial, .. } => *partial > 0,
            Self::Whole { .. } => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_found_however_they_are_cut() {
        let mut body = Vec::new();
        let mut ends = vec![0];
        for length in [0_u32, 1, 5, 300, 0, 70_000] {
            body.push(0);
            body.extend(length.to_be_bytes());
            body.extend((0..length).map(|byte| byte as u8));
            ends.push(body.len());
        }
        for cut in [1, 2, 3, 7, 64, 65_536, body.len()] {
            let mut framing = Framing::MESSAGES;
            let mut read = 0;
            for chunk in body.chunks(cut) {
                framing.take(chunk);
                read += chunk.len();
                let begun = ends.iter().rev().find(|&&end| end <= read).unwrap();
                assert_eq!(framing.partial(), read - begun, "{read} bytes in pieces of {cut}");
            }
            assert!(!framing.is_within());
        }
    }

    #[test]
    fn a_whole_body_is_one_message() {
        let mut framing = Framing::WHOLE;
        framing.take(&[0; 100]);
        framing.take(&[0; 11]);
        assert!(framing.is_within() && framing.partial() == 111);
    }
}
