//! Frames that were given to be sent and aren't answered yet: what has to be sent again when a stream is lost, and the order that
//! answers are handed over in. It has no sockets.

use std::collections::VecDeque;
use std::time::Instant;

use super::{Answer, Error};
use crate::proto::StreamFrame;

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Unanswered {
    /// Most that may be here.
    window: usize,
    /// By frame number.
    frames: VecDeque<Entry>,
    /// The number of the newest that was ever given.
    last: Option<u64>,
}

#[derive(Debug)]
struct Entry {
    frame: StreamFrame,
    given: Instant,
    /// When it was sent on the stream that is open; none where it has yet to be.
    sent: Option<Instant>,
    /// How often it was sent, on whatever stream.
    times: u32,
    answer: Option<Answer>,
}

impl Unanswered {
    pub(super) const fn new() -> Self {
        Self { window: 1, frames: VecDeque::new(), last: None }
    }

    pub(super) const fn set_window(&mut self, window: usize) {
        self.window = window;
    }

    pub(super) fn has_room(&self) -> bool {
        self.frames.len() < self.window
    }

    pub(super) fn len(&self) -> usize {
        self.frames.len()
    }

    /// Takes a frame that is to be sent.
    pub(super) fn push(&mut self, frame: StreamFrame) -> Result<(), Error> {
        if !self.has_room() {
            return Err(Error::WindowFull { window: self.window });
        }
        if let Some(last) = self.last.filter(|&last| frame.frame_number <= last) {
            return Err(Error::Order { frame_number: frame.frame_number, last });
        }
        self.last = Some(frame.frame_number);
        self.frames.push_back(Entry { frame, given: Instant::now(), sent: None, times: 0, answer: None });
        Ok(())
    }

    /// Whether one waits to be sent, and the server would take it. It may take fewer at once than one before it did.
    pub(super) fn has_unsent(&self) -> bool {
        let (mut on_their_way, mut unsent) = (0, 0);
        for entry in &self.frames {
            match entry.sent {
                Some(_) => on_their_way += usize::from(entry.answer.is_none()),
                None => unsent += 1,
            }
        }
        unsent > 0 && on_their_way < self.window
    }

    /// The oldest that waits to be sent, from now on on its way.
    pub(super) fn send(&mut self) -> Option<StreamFrame> {
        let entry = self.frames.iter_mut().find(|entry| entry.sent.is_none())?;
        entry.sent = Some(Instant::now());
        entry.times += 1;
        Some(entry.frame.clone())
    }

    /// Takes the answer of a frame that is on its way; whether it is: else it will be sent again, or was answered.
    pub(super) fn answer(&mut self, frame_number: u64, answer: Answer) -> bool {
        let entry = self.frames.iter_mut().find(|entry| entry.frame.frame_number == frame_number);
        match entry.filter(|entry| entry.sent.is_some() && entry.answer.is_none()) {
            Some(entry) => {
                entry.answer = Some(answer);
                true
            }
            None => false,
        }
    }

    /// When the frame was given to be sent.
    pub(super) fn given(&self, frame_number: u64) -> Option<Instant> {
        self.frames.iter().find(|entry| entry.frame.frame_number == frame_number).map(|entry| entry.given)
    }

    /// Whether none waits to be sent.
    pub(super) fn all_sent(&self) -> bool {
        self.frames.iter().all(|entry| entry.sent.is_some())
    }

    /// The frame and all that follow it have to be sent again: what was made of later ones doesn't go with what will be made of it.
    pub(super) fn recall(&mut self, frame_number: u64) {
        for entry in self.frames.iter_mut().filter(|entry| entry.frame.frame_number >= frame_number) {
            (entry.sent, entry.answer) = (None, None);
        }
    }

    /// The stream is lost: all without an answer, and those behind them, have to be sent again.
    pub(super) fn recall_all(&mut self) {
        let first = self.frames.iter().find(|entry| entry.answer.is_none());
        if let Some(number) = first.map(|entry| entry.frame.frame_number) {
            self.recall(number);
        }
    }

    /// The oldest answer, where no frame before it waits for one.
    pub(super) fn pop(&mut self) -> Option<Answer> {
        self.frames.front()?.answer.as_ref()?;
        self.frames.pop_front()?.answer
    }

    /// The oldest frame without an answer, and how often it was sent.
    pub(super) fn oldest(&self) -> Option<(u64, u32)> {
        let entry = self.frames.iter().find(|entry| entry.answer.is_none())?;
        Some((entry.frame.frame_number, entry.times))
    }

    /// When the frame was sent that has been on its way for longest.
    pub(super) fn oldest_sent(&self) -> Option<Instant> {
        self.frames.iter().filter(|entry| entry.answer.is_none()).find_map(|entry| entry.sent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::DropReason;

    fn frame(frame_number: u64) -> StreamFrame {
        StreamFrame { frame_number, ..StreamFrame::default() }
    }

    fn dropped(frame_number: u64) -> Answer {
        Answer::Dropped { frame_number, reason: DropReason::LinkBusy }
    }

    fn number(answer: Option<Answer>) -> Option<u64> {
        match answer? {
            Answer::Dropped { frame_number, .. } => Some(frame_number),
            other => panic!("{other:?}"),
        }
    }

    /// Four frames, of which three are sent.
    fn three_sent() -> Unanswered {
        let mut queue = Unanswered::new();
        queue.set_window(4);
        (1..=4).for_each(|number| queue.push(frame(number)).unwrap());
        (1..=3).for_each(|number| assert_eq!(queue.send().unwrap().frame_number, number));
        queue
    }

    #[test]
    fn answers_come_in_order_and_once() {
        let mut queue = three_sent();
        assert!(queue.answer(2, dropped(2)) && queue.pop().is_none());
        assert!(queue.answer(1, dropped(1)) && !queue.answer(1, dropped(1)) && !queue.answer(4, dropped(4)));
        assert_eq!([number(queue.pop()), number(queue.pop()), number(queue.pop())], [Some(1), Some(2), None]);
        assert_eq!((queue.len(), queue.oldest()), (2, Some((3, 1))));
    }

    #[test]
    fn the_window_bounds_what_is_held_and_numbers_ascend() {
        let mut queue = three_sent();
        assert!(matches!(queue.push(frame(5)), Err(Error::WindowFull { window: 4 })));
        queue.answer(1, dropped(1));
        assert!(queue.pop().is_some() && queue.has_room());
        assert!(matches!(queue.push(frame(4)), Err(Error::Order { frame_number: 4, last: 4 })));
        queue.push(frame(9)).unwrap();
    }

    #[test]
    fn what_was_lost_is_sent_again_with_all_behind_it() {
        let mut queue = three_sent();
        assert!(queue.answer(1, dropped(1)) && queue.answer(3, dropped(3)));
        queue.recall_all();
        assert_eq!(number(queue.pop()), Some(1), "what came whole stays");
        assert!(!queue.answer(3, dropped(3)), "an answer of the stream that was lost");
        // The next server takes two at once.
        queue.set_window(2);
        assert_eq!([queue.send(), queue.send()].map(|frame| frame.unwrap().frame_number), [2, 3]);
        assert!(!queue.has_unsent() && !queue.has_room());
        assert_eq!(queue.oldest(), Some((2, 2)));
        queue.answer(2, dropped(2));
        assert!(queue.has_unsent() && queue.oldest_sent().is_some());
    }

    #[test]
    fn a_refused_frame_takes_those_behind_it_along() {
        let mut queue = three_sent();
        queue.answer(3, dropped(3));
        queue.recall(2);
        queue.answer(1, dropped(1));
        assert_eq!([number(queue.pop()), number(queue.pop())], [Some(1), None]);
        assert_eq!(queue.send().unwrap().frame_number, 2);
    }
}
