//! Leases: which launch may touch which memory, decided when it is submitted.
//!
//! A world has one [`Ledger`] behind one lock. A launch takes leases on all its buffers (shared to read,
//! exclusive to write) and plans (exclusive) and its place in its stream while it holds that lock, so that all
//! launches of a world have one order. A launch that conflicts with an earlier one of another stream begins when that
//! one has ended; launches of one stream are in order anyway. As every launch waits for earlier ones only,
//! no two wait for each other.

use crate::error::Error;
use std::any::Any;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::*};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// The leases of a world. It is also the world's identity: what belongs to it holds it.
#[derive(Default)]
pub(crate) struct Ledger(Mutex<Leases>);

#[derive(Default)]
pub(crate) struct Leases {
    slots: Vec<Lease>,
    free: Vec<usize>,
    /// Launches submitted.
    launches: u64,
}

/// Who uses one buffer or plan.
#[derive(Default)]
struct Lease {
    /// The latest that writes.
    writer: Option<Holder>,
    /// Those that read since, the latest of each stream.
    readers: Vec<Holder>,
    /// What the latest launch that makes this plan makes it for.
    made: Option<Arc<[i64]>>,
    /// Launches that make this plan.
    generation: u64,
}

/// A launch, or an access of the caller, that holds leases.
#[derive(Clone)]
pub(crate) struct Holder {
    /// Launches of one stream are in order; 0 for an access of the caller.
    stream: u64,
    run: Arc<dyn Run>,
}

/// What runs while leases are held, on the threads of a host or in the queues of devices.
pub(crate) trait Run: Any + Send + Sync {
    fn ended(&self) -> bool;

    /// Blocks this thread until it has ended; what is in a device's queue is waited for there.
    fn wait(&self);

    /// As [`wait`](Self::wait), but while the ledger is locked: only what needs no lock to end is waited for.
    ///
    /// # Errors
    /// F0911 if the device has failed.
    fn settle(&self) -> Result<(), Error>;
}

/// Ends when each of the threads that run a launch has said so.
pub(crate) struct Ticket {
    left: AtomicUsize,
    ended: AtomicBool,
    lock: Mutex<()>,
    over: Condvar,
}

/// A buffer's or plan's place in the ledger of its world.
pub(crate) struct Slot {
    ledger: Arc<Ledger>,
    index: usize,
}

/// What launches want, resolved to slots; made once for a launch, or for a captured graph.
#[derive(Clone, Default)]
pub(crate) struct Claims {
    /// Slot, and whether it is written.
    memory: Vec<(usize, bool)>,
    plans: Vec<PlanClaim>,
}

/// What leases know of a plan.
pub(crate) struct PlanLease {
    slot: Slot,
    route: String,
    /// The latest launch that made it and failed, counted as the ledger counts them.
    failed: AtomicU64,
    /// How often it had been made by a launch that reports later, and where.
    maker: Mutex<Option<(u64, Arc<dyn Report>)>>,
}

/// Where a launch on a device reports its failure.
pub(crate) trait Report: Send + Sync {
    /// Whether there is a report; it stays.
    ///
    /// # Errors
    /// F0911 if the device has failed.
    fn any(&self) -> Result<bool, Error>;
}

#[derive(Clone)]
pub(crate) struct PlanClaim {
    pub plan: Arc<PlanLease>,
    /// The entry that wants it.
    pub entry: String,
    /// Positions of each rank that it must have been made for before; `None` if the launches make it first.
    pub needs: Option<Sizes>,
    /// Positions of each rank that it is made for.
    pub makes: Option<Sizes>,
}

/// Positions of each rank; `None` if a launch does not say.
pub(crate) type Sizes = Option<Arc<[i64]>>;

/// A plan that a launch uses, and how often it had been made by then.
pub(crate) type Used = Vec<(Arc<PlanLease>, u64)>;

/// A lease of the caller's thread; ends when dropped.
pub(crate) struct Held(Arc<Ticket>);

/// Whoever has it may touch a buffer, until it is dropped.
pub(crate) enum Turn<'s> {
    /// Later launches wait for the end of the lease.
    Own(#[expect(dead_code, reason = "ends when it is dropped")] Held),
    /// No launch of the world is submitted meanwhile.
    Quiet(#[expect(dead_code, reason = "unlocks when it is dropped")] MutexGuard<'s, Leases>),
}

/// A number that no other stream of this process has.
pub(crate) fn stream_number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Relaxed)
}

impl Ledger {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Leases> {
        self.0.lock().unwrap_or_else(|e| e.into_inner())
    }
}

impl Leases {
    /// Whether the plans are as the claims need them.
    ///
    /// # Errors
    /// F0909 for a plan that nothing has made, F0904 for one made for other sizes.
    pub(crate) fn admit(&self, claims: &Claims) -> Result<(), Error> {
        for claim in &claims.plans {
            let Some(needs) = &claim.needs else { continue };
            let (route, entry) = (claim.plan.route_name(), &claim.entry);
            let Some(made) = &self.slots[claim.plan.slot.index].made else {
                let (entry, route) = (entry.clone(), route.to_string());
                return Err(Error::NotPlanned { entry, route });
            };
            let Some(needs) = needs else { continue };
            if made != needs && !made.is_empty() {
                let rank = made.iter().zip(needs.iter()).position(|(a, b)| a != b).unwrap_or(0);
                let (entry, route) = (entry.clone(), route.to_string());
                let (positions, made) = (needs[rank], made[rank]);
                return Err(Error::PlanSizes { entry, route, rank, positions, made });
            }
        }
        Ok(())
    }

    /// Gives the holder all it claims. What must end before it begins is added to `after`, its plans to `used`.
    /// The launch's number: later launches of this world have larger ones.
    pub(crate) fn commit(
        &mut self,
        claims: &Claims,
        by: &Holder,
        after: &mut Vec<Holder>,
        used: &mut Used,
    ) -> u64 {
        for (slot, writes) in &claims.memory {
            self.take(*slot, *writes, by, after);
        }
        for claim in &claims.plans {
            let slot = claim.plan.slot.index;
            self.take(slot, true, by, after);
            let lease = &mut self.slots[slot];
            if let Some(makes) = &claim.makes {
                lease.made = Some(makes.clone().unwrap_or_default());
                lease.generation += 1;
            }
            used.push((claim.plan.clone(), lease.generation));
        }
        self.launches += 1;
        self.launches
    }

    fn take(&mut self, slot: usize, writes: bool, by: &Holder, after: &mut Vec<Holder>) {
        let lease = &mut self.slots[slot];
        let mut wait = |holder: &Holder| {
            if !holder.precedes(by) && !holder.ended() {
                after.push(holder.clone());
            }
        };
        lease.writer.iter().for_each(&mut wait);
        if writes {
            lease.readers.iter().for_each(&mut wait);
            lease.readers.clear();
            lease.writer = Some(by.clone());
        } else {
            lease.readers.retain(|r| !r.precedes(by) && !r.ended());
            lease.readers.push(by.clone());
        }
    }

    /// After a launch failed: its plans are new again, unless a later launch makes them.
    pub(crate) fn failed(&mut self, used: &Used) {
        for (plan, generation) in used {
            let lease = &mut self.slots[plan.slot.index];
            if lease.generation == *generation {
                lease.made = None;
            }
        }
    }
}

impl Slot {
    pub(crate) fn new(ledger: &Arc<Ledger>) -> Slot {
        let mut leases = ledger.lock();
        let index = leases.free.pop().unwrap_or_else(|| {
            leases.slots.push(Lease::default());
            leases.slots.len() - 1
        });
        drop(leases);
        Slot { ledger: ledger.clone(), index }
    }

    pub(crate) fn belongs_to(&self, ledger: &Arc<Ledger>) -> bool {
        Arc::ptr_eq(&self.ledger, ledger)
    }

    /// Whether a launch makes this plan, and has not failed.
    pub(crate) fn is_made(&self) -> bool {
        self.ledger.lock().slots[self.index].made.is_some()
    }

    /// A lease for the caller's thread, once what conflicts has ended; later launches wait for its end.
    pub(crate) fn hold(&self, writes: bool) -> Held {
        hold(&self.ledger, &[(self, writes)])
    }

    /// As [`hold`](Self::hold) to read, if no launch in flight writes.
    pub(crate) fn try_read(&self) -> Option<Held> {
        let mut leases = self.ledger.lock();
        if leases.slots[self.index].writer.as_ref().is_some_and(|w| !w.ended()) {
            return None;
        }
        let ticket = Arc::new(Ticket::new(1));
        leases.take(self.index, false, &Holder::new(0, ticket.clone()), &mut Vec::new());
        Some(Held(ticket))
    }

    /// For device memory: waits for all that conflicts, and keeps launches of the world back while the
    /// caller holds what it returns.
    ///
    /// # Errors
    /// F0911 if the device has failed.
    pub(crate) fn quiet(&self, writes: bool) -> Result<MutexGuard<'_, Leases>, Error> {
        let mut leases = self.ledger.lock();
        leases.settle(self, writes)?;
        Ok(leases)
    }
}

impl Leases {
    /// Waits for what conflicts on devices. The lock is held meanwhile: a stream needs none to end.
    ///
    /// # Errors
    /// F0911 if the device has failed.
    pub(crate) fn settle(&mut self, slot: &Slot, writes: bool) -> Result<(), Error> {
        let lease = &mut self.slots[slot.index];
        let readers = lease.readers.iter().filter(|_| writes);
        for holder in lease.writer.iter().chain(readers) {
            holder.run.settle()?;
        }
        Ok(())
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut leases = self.ledger.lock();
        leases.slots[self.index] = Lease::default();
        leases.free.push(self.index);
    }
}

/// Leases on several slots of one ledger for the caller's thread, once what conflicts has ended.
pub(crate) fn hold(ledger: &Arc<Ledger>, slots: &[(&Slot, bool)]) -> Held {
    let ticket = Arc::new(Ticket::new(1));
    let held = Held(ticket.clone());
    let (by, mut after) = (Holder::new(0, ticket), Vec::new());
    let mut leases = ledger.lock();
    for (slot, writes) in slots {
        leases.take(slot.index, *writes, &by, &mut after);
    }
    drop(leases);
    after.iter().for_each(Holder::wait);
    held
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl Holder {
    pub(crate) fn new(stream: u64, run: Arc<dyn Run>) -> Holder {
        Holder { stream, run }
    }

    /// Whether it is the other one, or before it in one stream.
    fn precedes(&self, other: &Holder) -> bool {
        let one = std::ptr::addr_eq(Arc::as_ptr(&self.run), Arc::as_ptr(&other.run));
        one || (self.stream != 0 && self.stream == other.stream)
    }

    fn ended(&self) -> bool {
        self.run.ended()
    }

    /// Blocks this thread until a holder of a host has ended; streams of devices wait by themselves.
    pub(crate) fn wait(&self) {
        self.run.wait();
    }

    /// What runs, if it is of this kind.
    pub(crate) fn run<T: Run>(&self) -> Option<&T> {
        let run: &dyn Any = &*self.run;
        run.downcast_ref()
    }
}

impl Ticket {
    /// Of a launch that `threads` threads run.
    pub(crate) fn new(threads: usize) -> Ticket {
        Ticket {
            left: AtomicUsize::new(threads),
            ended: AtomicBool::new(false),
            lock: Mutex::default(),
            over: Condvar::new(),
        }
    }

    /// A thread has done its part; whether it was the last, which must call [`end`](Self::end).
    pub(crate) fn leave(&self) -> bool {
        self.left.fetch_sub(1, AcqRel) == 1
    }

    pub(crate) fn end(&self) {
        let held = self.lock.lock().unwrap_or_else(|e| e.into_inner());
        self.ended.store(true, Release);
        drop(held);
        self.over.notify_all();
    }
}

impl Run for Ticket {
    fn ended(&self) -> bool {
        self.ended.load(Acquire)
    }

    fn wait(&self) {
        if self.ended() {
            return;
        }
        let mut held = self.lock.lock().unwrap_or_else(|e| e.into_inner());
        while !self.ended() {
            held = self.over.wait(held).unwrap_or_else(|e| e.into_inner());
        }
    }

    /// A rank that fails locks the ledger.
    fn settle(&self) -> Result<(), Error> {
        Ok(())
    }
}

impl PlanLease {
    pub(crate) fn new(ledger: &Arc<Ledger>, route: &str) -> PlanLease {
        PlanLease {
            slot: Slot::new(ledger),
            route: route.to_string(),
            failed: AtomicU64::new(0),
            maker: Mutex::default(),
        }
    }

    pub(crate) fn slot(&self) -> &Slot {
        &self.slot
    }

    pub(crate) fn route_name(&self) -> &str {
        &self.route
    }

    /// The number of the latest launch that made it and failed.
    pub(crate) fn failed(&self) -> &AtomicU64 {
        &self.failed
    }

    pub(crate) fn made_by(&self, made: u64, report: Arc<dyn Report>) {
        *self.maker.lock().unwrap_or_else(PoisonError::into_inner) = Some((made, report));
    }

    /// Where the launch reports that made it for the `made`th time; `None` if it was made again since.
    pub(crate) fn maker(&self, made: u64) -> Option<Arc<dyn Report>> {
        let maker = self.maker.lock().unwrap_or_else(PoisonError::into_inner);
        maker.as_ref().filter(|(number, _)| *number == made).map(|(_, report)| report.clone())
    }
}

impl Claims {
    /// Of the plans that were `used` by these claims, in their order, those that they make.
    pub(crate) fn made<'u>(&self, used: &'u Used) -> impl Iterator<Item = (&'u PlanLease, u64)> {
        let makes = self.plans.iter().map(|claim| claim.makes.is_some());
        used.iter().zip(makes).filter_map(|((plan, made), makes)| makes.then_some((&**plan, *made)))
    }

    pub(crate) fn memory(&mut self, slot: &Slot, writes: bool) {
        self.memory.push((slot.index, writes));
    }

    pub(crate) fn plan(&mut self, claim: PlanClaim) {
        self.plans.push(claim);
    }

    /// Of launches in order, as one: a plan that an earlier one makes is made for the later ones.
    ///
    /// # Errors
    /// F0904 if a later one needs it for other sizes than it is made for.
    pub(crate) fn all<'a>(each: impl Iterator<Item = &'a Claims>) -> Result<Claims, Error> {
        let mut all = Claims::default();
        for claims in each {
            for (slot, writes) in &claims.memory {
                match all.memory.iter_mut().find(|(s, _)| s == slot) {
                    Some((_, all)) => *all |= writes,
                    None => all.memory.push((*slot, *writes)),
                }
            }
            for claim in &claims.plans {
                let slot = claim.plan.slot.index;
                match all.plans.iter_mut().find(|c| c.plan.slot.index == slot) {
                    None => all.plans.push(claim.clone()),
                    Some(earlier) => earlier.then(claim)?,
                }
            }
        }
        Ok(all)
    }
}

impl PlanClaim {
    fn then(&mut self, later: &PlanClaim) -> Result<(), Error> {
        let before = self.makes.as_ref().or(self.needs.as_ref()).cloned().flatten();
        if let (Some(before), Some(Some(needs))) = (&before, &later.needs)
            && before != needs
        {
            let rank = before.iter().zip(needs.iter()).position(|(a, b)| a != b).unwrap_or(0);
            let (entry, route) = (later.entry.clone(), self.plan.route_name().to_string());
            let (positions, made) = (needs[rank], before[rank]);
            return Err(Error::PlanSizes { entry, route, rank, positions, made });
        }
        if self.makes.is_none() && self.needs == Some(None) && later.needs.is_some() {
            self.needs.clone_from(&later.needs);
        }
        if later.makes.is_some() {
            self.makes.clone_from(&later.makes);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leases(n: usize) -> (Arc<Ledger>, Vec<Slot>) {
        let ledger = Arc::new(Ledger::default());
        let slots = (0..n).map(|_| Slot::new(&ledger)).collect();
        (ledger, slots)
    }

    fn launch(stream: u64) -> (Arc<Ticket>, Holder) {
        let ticket = Arc::new(Ticket::new(1));
        (ticket.clone(), Holder::new(stream, ticket))
    }

    fn take(ledger: &Ledger, slot: &Slot, writes: bool, by: &Holder) -> usize {
        let mut after = Vec::new();
        ledger.lock().take(slot.index, writes, by, &mut after);
        after.len()
    }

    #[test]
    fn readers_share_and_writers_wait_for_all_of_them() {
        let (ledger, slots) = leases(1);
        let ((a, first), (_, second), (_, third)) = (launch(1), launch(2), launch(3));
        assert_eq!(take(&ledger, &slots[0], false, &first), 0);
        assert_eq!(take(&ledger, &slots[0], false, &second), 0);
        a.end();
        assert_eq!(take(&ledger, &slots[0], true, &third), 1, "the second still reads");
        assert_eq!(take(&ledger, &slots[0], false, &launch(4).1), 1);
        assert_eq!(take(&ledger, &slots[0], true, &launch(3).1), 1, "not for its own stream");
    }

    #[test]
    fn a_reader_stays_until_it_has_ended() {
        let (ledger, slots) = leases(1);
        let (_old, reader) = launch(0);
        assert_eq!(take(&ledger, &slots[0], false, &reader), 0);
        assert_eq!(take(&ledger, &slots[0], false, &launch(0).1), 0);
        assert_eq!(take(&ledger, &slots[0], true, &launch(1).1), 2, "two calls read at once");
    }

    #[test]
    fn a_slot_that_is_free_again_has_no_history() {
        let (ledger, mut slots) = leases(2);
        assert_eq!(take(&ledger, &slots[1], true, &launch(1).1), 0);
        drop(slots.pop());
        let again = Slot::new(&ledger);
        assert_eq!(again.index, 1);
        assert_eq!(take(&ledger, &again, true, &launch(2).1), 0);
    }

    #[test]
    fn one_access_may_read_and_write_the_same() {
        let (ledger, slots) = leases(1);
        drop(hold(&ledger, &[(&slots[0], false), (&slots[0], true)]));
        drop(slots[0].hold(true));
        assert!(slots[0].try_read().is_some());
        let held = slots[0].hold(true);
        assert!(slots[0].try_read().is_none());
        drop(held);
    }
}
