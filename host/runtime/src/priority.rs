//! Which threads go first.

/// Puts the calling thread so far below others, as `nice` counts.
pub(crate) fn step_back(niceness: i32) {
    // Without a process id it is the calling thread that is meant.
    if let Err(error) = rustix::process::setpriority_process(None, niceness) {
        tracing::debug!(%error, "work that can wait keeps the priority of requests");
    }
}

/// Has the calling thread take the processor as soon as it wakes, from whoever has it just
/// then, and leave it after a tenth of a millisecond if others want it. It is for threads that
/// sleep again soon, and have as much of a processor as any.
///
/// Linux has done so since 6.12 for a thread that asks for short slices (`sched_runtime` in
/// `sched_setattr(2)`), and before 6.6 for any that slept. In between, and elsewhere, it may
/// wait for the end of the other one's slice. Threads that it starts do without.
#[cfg(target_os = "linux")]
pub fn come_first() {
    /// The shortest that can be asked for, in nanoseconds.
    const SLICE: u64 = 100_000;
    let niceness = rustix::process::getpriority_process(None).unwrap_or_default();
    let attributes = libc::sched_attr {
        size: size_of::<libc::sched_attr>() as u32,
        sched_policy: libc::SCHED_OTHER as u32,
        sched_flags: libc::SCHED_FLAG_RESET_ON_FORK as u64,
        sched_nice: niceness,
        sched_priority: 0,
        sched_runtime: SLICE,
        sched_deadline: 0,
        sched_period: 0,
    };
    // SAFETY: it reads the attributes, which live until it returns; 0 is the calling thread.
    let failed = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) };
    if failed != 0 {
        let error = std::io::Error::last_os_error();
        tracing::debug!(%error, "threads that are to come first may come late");
    }
}

#[cfg(not(target_os = "linux"))]
pub fn come_first() {}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::mem::MaybeUninit;
    use std::thread;

    use super::*;

    /// The slice that the calling thread asks for, in nanoseconds.
    fn slice() -> u64 {
        let mut attributes = MaybeUninit::<libc::sched_attr>::zeroed();
        let size = size_of::<libc::sched_attr>();
        // SAFETY: as many bytes are written as it is told; all of them may be anything.
        unsafe {
            let read = libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attributes, size, 0);
            assert_eq!(read, 0, "{}", std::io::Error::last_os_error());
            attributes.assume_init().sched_runtime
        }
    }

    #[test]
    fn who_is_started_by_one_that_comes_first_does_not() {
        let usual = thread::spawn(slice).join().unwrap();
        let (first, started) = thread::spawn(|| {
            come_first();
            (slice(), thread::spawn(slice).join().unwrap())
        })
        .join()
        .unwrap();
        // Systems that know nothing of it say 0, and then to all.
        assert!(first == 100_000 || first == usual, "{first}, {usual}");
        assert_eq!(started, usual);
    }
}
