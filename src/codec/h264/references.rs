//! The pictures a frame may be predicted from: the newest, and long-term ones that are known to have arrived.

use std::collections::VecDeque;
use std::sync::Arc;

use super::header::{Marking, Reference};
use super::picture::Picture;
use super::source::Size;

/// Long-term pictures: one that has arrived, and one that may.
pub(super) const LONG_TERM_SLOTS: usize = 2;
/// Frames whose fate is remembered.
const HISTORY: usize = 512;
/// Frames after which a picture that nobody acknowledged gives up its slot.
const PATIENCE: u64 = 60;

/// A picture by the number of its frame.
#[derive(Clone, Debug)]
struct Kept {
    id: u64,
    picture: Arc<Picture>,
}

/// What is known of a frame that was sent.
#[derive(Clone, Copy, Debug)]
struct Sent {
    id: u64,
    /// What it was predicted from.
    from: Option<u64>,
    is_acked: bool,
    is_lost: bool,
}

/// The encoder's picture of the decoder's memory.
#[derive(Debug, Default)]
pub(super) struct References {
    free: Vec<Arc<Picture>>,
    size: Size,
    newest: Option<Kept>,
    long: [Option<Kept>; LONG_TERM_SLOTS],
    sent: VecDeque<Sent>,
}

/// What a P frame is predicted from.
#[derive(Debug)]
pub(super) struct Choice {
    pub(super) picture: Arc<Picture>,
    pub(super) reference: Reference,
    pub(super) id: u64,
}

impl References {
    /// Forgets everything, for pictures of a size.
    pub(super) fn reset(&mut self, size: Size) {
        if size != self.size {
            self.free.clear();
            self.size = size;
        }
        for kept in self.long.iter_mut().map(Option::take).chain([self.newest.take()]).flatten() {
            release(&mut self.free, kept.picture, size);
        }
        self.sent.clear();
    }

    /// The picture of the last frame.
    pub(super) fn newest(&self) -> Option<&Picture> {
        self.newest.as_ref().map(|kept| &*kept.picture)
    }

    /// A picture to make the next frame in.
    pub(super) fn spare(&mut self) -> Arc<Picture> {
        let at = self.free.iter().position(|picture| Arc::strong_count(picture) == 1);
        match at {
            Some(at) => self.free.swap_remove(at),
            None => Arc::new(Picture::new(self.size)),
        }
    }

    /// Gives back a picture that came to nothing.
    pub(super) fn give_back(&mut self, picture: Arc<Picture>) {
        release(&mut self.free, picture, self.size);
    }

    /// What the next frame may be predicted from: the newest picture if the decoder has it whole as far as is known, else
    /// the newest long-term one that has arrived, else nothing.
    pub(super) fn choose(&self) -> Option<Choice> {
        let newest = self.newest.as_ref()?;
        let slot = |id: u64| self.long.iter().position(|kept| kept.as_ref().is_some_and(|kept| kept.id == id));
        let choice = |kept: &Kept| Choice {
            picture: Arc::clone(&kept.picture),
            reference: slot(kept.id).map_or(Reference::Newest, |slot| Reference::LongTerm(slot as u8)),
            id: kept.id,
        };
        if !self.is_broken(newest.id) {
            return Some(choice(newest));
        }
        let arrived = self.long.iter().flatten().filter(|kept| self.has_arrived(kept.id));
        arrived.max_by_key(|kept| kept.id).map(choice)
    }

    /// Where the next frame is to be kept, beside being the newest: a slot, if one has nothing that is of use.
    pub(super) fn marking(&self, id: u64) -> Marking {
        let best = self.long.iter().flatten().filter(|kept| self.has_arrived(kept.id)).map(|kept| kept.id).max();
        let is_of_use = |kept: &Kept| {
            Some(kept.id) == best
                || (best.is_none_or(|best| kept.id > best) && id < kept.id + PATIENCE && !self.is_broken(kept.id))
        };
        match self.long.iter().position(|kept| !kept.as_ref().is_some_and(is_of_use)) {
            Some(index) => Marking::LongTerm { index: index as u8, slots: LONG_TERM_SLOTS as u8 },
            None => Marking::Sliding,
        }
    }

    /// Takes a frame that was coded.
    pub(super) fn accept(&mut self, id: u64, picture: Arc<Picture>, from: Option<&Choice>, marking: Marking) {
        if from.is_none() {
            self.reset(self.size);
        }
        let kept = Kept { id, picture };
        if let Marking::LongTerm { index, .. } = marking
            && let Some(slot) = self.long.get_mut(usize::from(index))
            && let Some(old) = slot.replace(kept.clone())
        {
            release(&mut self.free, old.picture, self.size);
        }
        if let Some(old) = self.newest.replace(kept) {
            release(&mut self.free, old.picture, self.size);
        }
        if self.sent.len() == HISTORY {
            self.sent.pop_front();
        }
        // All of it at once: no frame later allocates.
        self.sent.reserve_exact(HISTORY - self.sent.len());
        self.sent.push_back(Sent { id, from: from.map(|choice| choice.id), is_acked: false, is_lost: false });
    }

    /// The receiver has a frame.
    pub(super) fn acknowledge(&mut self, id: u64) {
        if let Some(sent) = self.find_mut(id) {
            sent.is_acked = true;
        }
    }

    /// The receiver will never have a frame.
    pub(super) fn lose(&mut self, id: u64) {
        if let Some(sent) = self.find_mut(id) {
            sent.is_lost = true;
        }
    }

    fn find_mut(&mut self, id: u64) -> Option<&mut Sent> {
        let first = self.sent.front()?.id;
        self.sent.get_mut(usize::try_from(id.checked_sub(first)?).ok()?).filter(|sent| sent.id == id)
    }

    fn find(&self, id: u64) -> Option<&Sent> {
        let first = self.sent.front()?.id;
        self.sent.get(usize::try_from(id.checked_sub(first)?).ok()?).filter(|sent| sent.id == id)
    }

    /// The frame and what it was predicted from, back to the keyframe or to what is forgotten.
    fn ancestry(&self, id: u64) -> impl Iterator<Item = &Sent> {
        std::iter::successors(self.find(id), |sent| self.find(sent.from?))
    }

    fn is_broken(&self, id: u64) -> bool {
        self.ancestry(id).any(|sent| sent.is_lost)
    }

    /// Whether the receiver has the frame and all that it was predicted from. A frame whose fate isn't known yet may prove lost,
    /// and with it all that came after, however well that arrived.
    fn has_arrived(&self, id: u64) -> bool {
        self.find(id).is_some() && self.ancestry(id).all(|sent| sent.is_acked && !sent.is_lost)
    }
}

/// Keeps a picture to be made anew, once nobody else holds it.
fn release(free: &mut Vec<Arc<Picture>>, picture: Arc<Picture>, size: Size) {
    if picture.is_of(size) && !free.iter().any(|other| Arc::ptr_eq(other, &picture)) {
        free.push(picture);
    }
}
