//! Bounds on bytes, and shares of them.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::STEP_BYTES;
use crate::service::refusal::Refusal;

const MIB_STEPS: usize = (1 << 20) / STEP_BYTES;

/// A bound on bytes.
#[derive(Clone, Debug)]
pub(crate) struct Pool {
    steps: Arc<Semaphore>,
    total: usize,
    name: &'static str,
}

impl Pool {
    pub(crate) fn new(name: &'static str, mib: u32) -> Self {
        Self::of_steps(name, mib as usize * MIB_STEPS)
    }

    fn of_steps(name: &'static str, total: usize) -> Self {
        Self { steps: Arc::new(Semaphore::new(total)), total, name }
    }

    /// Two pools instead of one, the second of which has a `part` of it.
    pub(super) fn apart(self, part: usize) -> (Self, Self) {
        let small = self.total / part;
        (Self::of_steps(self.name, self.total - small), Self::of_steps(self.name, small))
    }

    /// The same bound on what is counted elsewhere.
    pub(super) fn of(self, steps: Arc<Semaphore>) -> Self {
        Self { steps, ..self }
    }

    pub(super) const fn steps(&self) -> &Arc<Semaphore> {
        &self.steps
    }

    pub(super) const fn total_bytes(&self) -> usize {
        self.total * STEP_BYTES
    }

    pub(super) fn taken_bytes(&self) -> usize {
        (self.total - self.steps.available_permits()) * STEP_BYTES
    }

    pub(super) fn refusal(&self) -> Refusal {
        let (total, name) = (self.total_bytes(), self.name);
        Refusal::busy(format!("the {total} bytes that may be in flight of {name} are taken"))
    }

    /// A share of it alone.
    ///
    /// # Errors
    /// Where there is none.
    pub(super) fn take(&self, steps: usize) -> Result<Room, Refusal> {
        Ok(Room { own: Vec::new(), common: vec![self.permit(steps)?], steps })
    }

    /// So many steps, at once.
    ///
    /// # Errors
    /// Where they aren't there.
    pub(super) fn permit(&self, steps: usize) -> Result<OwnedSemaphorePermit, Refusal> {
        let count = u32::try_from(steps).unwrap_or(u32::MAX);
        Arc::clone(&self.steps).try_acquire_many_owned(count).map_err(|_| self.refusal())
    }
}

/// A share of each pool, given back when dropped.
#[derive(Debug, Default)]
pub(crate) struct Room {
    /// Of the connection and of the caller.
    pub(super) own: Vec<OwnedSemaphorePermit>,
    /// Of all callers: of what all take from, of what is kept for some, or of both.
    pub(super) common: Vec<OwnedSemaphorePermit>,
    pub(super) steps: usize,
}

impl Room {
    /// Takes another's share over, of the same connection and caller.
    pub(super) fn merge(&mut self, other: Self) {
        self.steps += other.steps;
        if self.own.is_empty() {
            self.own = other.own;
        } else {
            self.own.iter_mut().zip(other.own).for_each(|(mine, its)| mine.merge(its));
        }
        for its in other.common {
            match self.common.iter_mut().find(|mine| Arc::ptr_eq(mine.semaphore(), its.semaphore())) {
                Some(mine) => mine.merge(its),
                None => self.common.push(its),
            }
        }
    }

    /// Gives what `bytes` take away, so far as it is there.
    pub(super) fn split_bytes(&mut self, bytes: usize) -> Self {
        self.split(bytes.div_ceil(STEP_BYTES))
    }

    /// Gives at most `steps` of it away.
    pub(super) fn split(&mut self, steps: usize) -> Self {
        let steps = steps.min(self.steps);
        self.steps -= steps;
        let own = self.own.iter_mut().filter_map(|permit| permit.split(steps)).collect();
        let mut lacking = steps;
        let common = self.common.iter_mut().filter_map(|permit| {
            let part = permit.split(lacking.min(permit.num_permits()))?;
            lacking -= part.num_permits();
            Some(part)
        });
        Self { own, common: common.collect(), steps }
    }
}
