//! The bridge from tokio to a pool of compute threads: jobs run on rayon's threads and never on tokio's, by [turns].
//!
//! [turns]: super::turns

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rayon::ThreadPool;
use tokio::sync::oneshot;

use crate::codec::Cancel;
use crate::engine::Engine;
use crate::service::admission::{Admission, Delay, Shed};
use crate::service::refusal::Refusal;
use crate::service::turns::{Share, Turns};
use crate::session::Coder;
use tonic::Code;

/// A pool, the engine on it, and encoders kept warm for calls without a session.
#[derive(Debug)]
pub(crate) struct Lane {
    engine: Engine,
    coders: Mutex<Vec<Coder>>,
    turns: Arc<Mutex<Turns<Job>>>,
    busy: Arc<AtomicUsize>,
    delay: Arc<Mutex<Delay>>,
}

/// Is told how long it has waited, and when it starts in virtual time.
type Job = Box<dyn FnOnce(Duration, u64) + Send>;

/// Tells a job, when dropped, that nobody waits for it any more.
struct CancelOnDrop(Cancel);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.raise();
    }
}

/// A job that runs, as it sees itself.
#[derive(Clone, Debug)]
pub(crate) struct Running {
    /// How long it waited for a thread.
    pub(crate) queued: Duration,
    /// Raised once nobody waits for it any more.
    pub(crate) cancel: Cancel,
    deadline: Option<Instant>,
}

impl Running {
    /// Asks between two of its stages whether anybody still waits for it.
    ///
    /// # Errors
    /// `DEADLINE_EXCEEDED` where nobody does, or it would come too late.
    pub(crate) fn check(&self) -> Result<(), Refusal> {
        let is_late = self.deadline.is_some_and(|deadline| Instant::now() >= deadline);
        if is_late || self.cancel.is_raised() { Err(Refusal::late()) } else { Ok(()) }
    }
}

/// Time since the process first asked.
fn clock() -> Duration {
    static ORIGIN: LazyLock<Instant> = LazyLock::new(Instant::now);
    ORIGIN.elapsed()
}

impl Lane {
    /// A pool of `threads` threads, one a core where 0, that sheds as `admission` says.
    pub(crate) fn new(
        name: &'static str,
        threads: usize,
        admission: &Admission,
    ) -> Result<Self, rayon::ThreadPoolBuildError> {
        let pool: ThreadPool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(move |index| format!("{name}-{index}"))
            .build()?;
        clock();
        let bounds = [admission.stale_delay_ms, admission.effort_delay_ms, admission.refuse_delay_ms];
        let bounds = bounds.map(|ms| Duration::from_millis(ms.into()));
        Ok(Self {
            engine: Engine::new(Arc::new(pool)).with_clock(clock),
            coders: Mutex::default(),
            turns: Arc::default(),
            busy: Arc::default(),
            delay: Arc::new(Mutex::new(Delay::new(bounds))),
        })
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    pub(crate) fn threads(&self) -> usize {
        self.engine.pool().current_num_threads()
    }

    /// Jobs that wait for a thread.
    pub(crate) fn waiting(&self) -> usize {
        lock(&self.turns).len()
    }

    /// Jobs that run; more than threads where one waits for its own parts.
    pub(crate) fn busy(&self) -> usize {
        self.busy.load(Ordering::Relaxed)
    }

    /// What is to be shed, by how long jobs wait.
    pub(crate) fn shed(&self) -> Shed {
        lock(&self.delay).shed(clock())
    }

    /// How long a job has to wait at least, as things are.
    fn standing(&self) -> Duration {
        lock(&self.delay).standing(clock())
    }

    /// Runs `work` on the pool, for whoever has that share of it. Dropping the future before the job has begun cancels it; later,
    /// the job learns of it where it asks, and its encoders within a frame where they heed its flag.
    ///
    /// # Errors
    /// `INTERNAL` where the work panicked; the process and the pool live on.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        share: Share,
        work: impl FnOnce(&Running) -> T + Send + 'static,
    ) -> impl Future<Output = Result<T, Refusal>> + Send + 'static {
        let (answer, answered) = oneshot::channel();
        let cancel = Cancel::default();
        let guard = CancelOnDrop(cancel.clone());
        let (busy, end) = (Arc::clone(&self.busy), share.end());
        let job: Job = Box::new(move |queued, start| {
            if cancel.is_raised() {
                return;
            }
            busy.fetch_add(1, Ordering::Relaxed);
            let running = Running { queued, cancel, deadline: None };
            let began = Instant::now();
            let done = catch_unwind(AssertUnwindSafe(|| work(&running)));
            // Before the answer, which may bring its stream's next job.
            share.charge(start, began.elapsed());
            busy.fetch_sub(1, Ordering::Relaxed);
            // Nobody may be waiting any more, which is all right.
            let _ = answer.send(done);
        });
        lock(&self.turns).add(end, job);
        let (turns, delay) = (Arc::clone(&self.turns), Arc::clone(&self.delay));
        // A thread that comes for this job takes the one whose turn it is: there are as many of the ones as of the others.
        self.engine.pool().spawn(move || take_turn(&turns, &delay));
        async move {
            let _guard = guard;
            match answered.await {
                Ok(Ok(done)) => Ok(done),
                Ok(Err(_)) | Err(_) => {
                    tracing::error!("a compute job panicked");
                    Err(Refusal::new(Code::Internal, "the work failed inside the server"))
                }
            }
        }
    }

    /// As [`Lane::run`] for a call without a session, with a warm encoder, given up at `deadline`.
    ///
    /// # Errors
    /// Also `DEADLINE_EXCEEDED`.
    pub(crate) fn run_with_coder<T: Send + 'static>(
        self: &Arc<Self>,
        deadline: Instant,
        work: impl FnOnce(&mut Coder, &Running) -> Result<T, Refusal> + Send + 'static,
    ) -> impl Future<Output = Result<T, Refusal>> + Send + 'static {
        let this = Arc::clone(self);
        // What couldn't begin in time isn't queued at all.
        let is_hopeless = Instant::now() + self.standing() >= deadline;
        let job = self.run(Share::default(), move |running| {
            let running = Running { deadline: Some(deadline), ..running.clone() };
            running.check()?;
            let mut coder = this.take_coder();
            coder.heed(&running.cancel);
            let done = work(&mut coder, &running);
            this.keep_coder(coder);
            done
        });
        async move {
            if is_hopeless {
                return Err(Refusal::late());
            }
            tokio::time::timeout_at(deadline.into(), job).await.unwrap_or_else(|_| Err(Refusal::late()))?
        }
    }

    fn take_coder(&self) -> Coder {
        let kept = lock(&self.coders).pop();
        kept.unwrap_or_else(|| self.engine.coder())
    }

    fn keep_coder(&self, coder: Coder) {
        let mut coders = lock(&self.coders);
        if coders.len() < self.threads() {
            coders.push(coder);
        }
    }
}

/// Runs the job whose turn it is.
fn take_turn(turns: &Mutex<Turns<Job>>, delay: &Mutex<Delay>) {
    let (next, longest) = {
        let mut turns = lock(turns);
        (turns.next(), turns.longest())
    };
    let Some((start, next)) = next else { return };
    let waited = next.since.elapsed();
    // Those that asked for little go before: a standing queue is seen by those that wait.
    lock(delay).note(longest.map_or(waited, |longest| longest.max(waited)), clock());
    (next.job)(waited, start);
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;

    #[tokio::test]
    async fn a_panic_is_answered_and_the_pool_lives_on() {
        let lane = Lane::new("test", 1, &Admission::default()).unwrap();
        let refusal = lane.run(Share::default(), |_| -> () { panic!("on purpose") }).await.unwrap_err();
        assert_eq!(refusal.code, Code::Internal);
        assert_eq!(lane.run(Share::default(), |_| 7).await.unwrap(), 7);
    }

    #[tokio::test]
    async fn a_stream_that_has_had_little_goes_before_one_that_has_had_much() {
        let lane = Lane::new("test", 1, &Admission::default()).unwrap();
        let (release, blocked) = std::sync::mpsc::channel::<()>();
        let first = lane.run(Share::default(), move |_| blocked.recv().is_ok());
        let (much, order) = (Share::default(), Arc::new(Mutex::new(Vec::new())));
        much.charge(0, Duration::from_secs(1));
        let jobs = [(much.clone(), "much"), (much, "much"), (Share::default(), "little")].map(|(share, name)| {
            let order = Arc::clone(&order);
            lane.run(share, move |_| lock(&order).push(name))
        });
        release.send(()).unwrap();
        assert!(first.await.unwrap());
        for job in jobs {
            job.await.unwrap();
        }
        assert_eq!(*lock(&order), ["little", "much", "much"]);
    }

    #[tokio::test]
    async fn a_job_nobody_waits_for_does_not_run() {
        let lane = Arc::new(Lane::new("test", 1, &Admission::default()).unwrap());
        let (release, blocked) = std::sync::mpsc::channel::<()>();
        let first = lane.run(Share::default(), move |_| blocked.recv().is_ok());
        let ran = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&ran);
        drop(lane.run(Share::default(), move |_| seen.store(true, Ordering::Relaxed)));
        release.send(()).unwrap();
        assert!(first.await.unwrap());
        lane.run(Share::default(), |_| ()).await.unwrap();
        assert!(!ran.load(Ordering::Relaxed));
        assert_eq!(lane.waiting(), 0);
    }

    #[tokio::test]
    async fn a_job_nobody_waits_for_any_more_ends_with_its_stage() {
        let lane = Arc::new(Lane::new("test", 1, &Admission::default()).unwrap());
        let (begin, begun) = tokio::sync::oneshot::channel();
        let (release, blocked) = std::sync::mpsc::channel::<()>();
        let (tell, told) = std::sync::mpsc::channel();
        let deadline = Instant::now() + Duration::from_secs(600);
        let job = lane.run_with_coder(deadline, move |_, running| {
            assert!(running.check().is_ok());
            begin.send(()).unwrap();
            blocked.recv().unwrap();
            tell.send(running.check().is_err()).unwrap();
            running.check()
        });
        let job = tokio::spawn(job);
        begun.await.unwrap();
        job.abort();
        assert!(job.await.is_err());
        release.send(()).unwrap();
        assert!(told.recv().unwrap(), "the second stage must not begin");
        // The same by the clock.
        let deadline = Instant::now() + Duration::from_millis(20);
        let late = lane.run(Share::default(), move |running| {
            let running = Running { deadline: Some(deadline), ..running.clone() };
            while running.check().is_ok() {
                std::thread::yield_now();
            }
            running.check().unwrap_err().code
        });
        assert_eq!(late.await.unwrap(), Code::DeadlineExceeded);
    }

    #[tokio::test]
    async fn a_deadline_is_kept() {
        let lane = Arc::new(Lane::new("test", 1, &Admission::default()).unwrap());
        let past = Instant::now() - Duration::from_millis(1);
        let refusal = lane.run_with_coder(past, |_, _| Ok(())).await.unwrap_err();
        assert_eq!(refusal.code, Code::DeadlineExceeded);
    }
}
