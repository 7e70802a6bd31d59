//! The signal that stops a guest.
//!
//! Its handler looks whether the thread is in the code of a guest that is to end, and if
//! so lets it go on at an instruction that traps. wasmtime then does what it does with
//! every trap: it drops what is on the guest's stack and returns an error to the host.
//! At any instruction of a function the frame pointer is that of the function or of its
//! caller, which is what wasmtime needs to find its way, and nothing of the host's is
//! under way. (It would not do in a call in tail position, while the frame moves: such
//! components keep their checks.)

use std::cell::Cell;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Run;

/// Does nothing by itself, so one that comes late does no harm.
const SIGNAL: libc::c_int = libc::SIGURG;

/// A thread's clock, which other threads can read too.
pub(super) type Clock = libc::clockid_t;

thread_local! {
    /// The run that is polled now, the innermost if there are several.
    static INNERMOST: Cell<*const Run> = const { Cell::new(ptr::null()) };
}

/// Whether guests can be stopped so: the handler is in place.
pub(crate) fn supported() -> bool {
    static INSTALLED: OnceLock<bool> = OnceLock::new();
    *INSTALLED.get_or_init(install)
}

fn install() -> bool {
    // SAFETY: both are plain data for which zeroes are a value; the handler does nothing
    // that a handler must not do.
    unsafe {
        let mut before = MaybeUninit::<libc::sigaction>::zeroed().assume_init();
        if libc::sigaction(SIGNAL, ptr::null(), &raw mut before) != 0 {
            return false;
        }
        if before.sa_sigaction != libc::SIG_DFL && before.sa_sigaction != libc::SIG_IGN {
            tracing::warn!("SIGURG is taken: guests that compute keep their checks");
            return false;
        }
        let mut action = MaybeUninit::<libc::sigaction>::zeroed().assume_init();
        action.sa_sigaction = (on_signal as *const ()).addr();
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_RESTART;
        libc::sigemptyset(&raw mut action.sa_mask);
        libc::sigaction(SIGNAL, &raw const action, ptr::null_mut()) == 0
    }
}

extern "C" fn on_signal(_: libc::c_int, _: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: runs that are polled on this thread stay where they are until it goes on,
    // and the system hands over a context that is this thread's.
    unsafe {
        let Some(innermost) = INNERMOST.get().as_ref() else {
            return;
        };
        let mut run = ptr::from_ref(innermost);
        while let Some(this) = run.as_ref() {
            if this.over.load(Ordering::Relaxed) {
                break;
            }
            run = this.outer.load(Ordering::Relaxed);
        }
        if run.is_null() {
            return;
        }
        let context = &mut *context.cast::<libc::ucontext_t>();
        let instruction = &mut context.uc_mcontext.gregs[libc::REG_RIP as usize];
        if innermost.code.has(instruction.cast_unsigned() as usize) {
            innermost.stopped.store(true, Ordering::Relaxed);
            *instruction = innermost.code.trap().cast_signed() as i64;
        }
    }
}

/// This thread and its clock.
pub(super) fn thread() -> (i32, Clock) {
    thread_local! {
        static THREAD: (i32, Clock) = {
            let mut clock = libc::CLOCK_THREAD_CPUTIME_ID;
            // SAFETY: the thread is this one. If it has no clock of its own, the one
            // above shows the reader's, whose time is short.
            unsafe {
                libc::pthread_getcpuclockid(libc::pthread_self(), &raw mut clock);
                (libc::gettid(), clock)
            }
        };
    }
    THREAD.with(|thread| *thread)
}

/// What a thread's clock shows; none if the thread is gone.
pub(super) fn processor_time(clock: Clock) -> Option<Duration> {
    let mut time = MaybeUninit::<libc::timespec>::uninit();
    // SAFETY: the call fills what it is given if it returns 0.
    let time = unsafe {
        if libc::clock_gettime(clock, time.as_mut_ptr()) != 0 {
            return None;
        }
        time.assume_init()
    };
    let seconds = u64::try_from(time.tv_sec).ok()?;
    Some(Duration::new(seconds, u32::try_from(time.tv_nsec).ok()?))
}

/// The run that is polled on this thread.
pub(super) fn innermost() -> *const Run {
    INNERMOST.get()
}

/// Makes another run the one that is polled on this thread; returns the one before.
pub(super) fn set_innermost(run: *const Run) -> *const Run {
    INNERMOST.replace(run)
}

/// Sends a thread the signal. One that has ended, or does something else by now, takes no
/// notice.
pub(super) fn interrupt(thread: i32) {
    // SAFETY: the call takes numbers only.
    unsafe {
        libc::syscall(libc::SYS_tgkill, libc::getpid(), thread, SIGNAL);
    }
}
