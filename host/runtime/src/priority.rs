//! Which threads go first.

/// Puts the calling thread so far below others, as `nice` counts.
pub(crate) fn step_back(niceness: i32) {
    // Without a process id it is the calling thread that is meant.
    if let Err(error) = rustix::process::setpriority_process(None, niceness) {
        tracing::debug!(%error, "work that can wait keeps the priority of requests");
    }
}

/// Has the calling thread take the processor as soon as it wakes, from whoever has it just
/// then. It is for threads that sleep again at once.
///
/// Linux has done so since 6.12 for a thread that asks for short slices (`sched_runtime` in
/// `sched_setattr(2)`), and before 6.6 for any that slept. In between, and elsewhere, it may
/// wait for the end of the other one's slice.
#[cfg(target_os = "linux")]
pub(crate) fn come_first() {
    /// The shortest that can be asked for, in nanoseconds.
    const SLICE: u64 = 100_000;
    let niceness = rustix::process::getpriority_process(None).unwrap_or_default();
    let attributes = libc::sched_attr {
        size: size_of::<libc::sched_attr>() as u32,
        sched_policy: libc::SCHED_OTHER as u32,
        sched_flags: 0,
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
        tracing::debug!(%error, "guests may give way late");
    }
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn come_first() {}
