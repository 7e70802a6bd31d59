//! A sleep that others can cut short.

#[cfg(target_os = "linux")]
pub(crate) use timer::Alarm;

#[cfg(not(target_os = "linux"))]
pub(crate) use without::Alarm;

#[cfg(target_os = "linux")]
mod timer {
    use std::time::Duration;

    use rustix::event::{PollFd, PollFlags, poll};
    use rustix::fd::OwnedFd;
    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    };

    /// For the one thread that sleeps on it. To set it wakes nobody.
    #[derive(Debug)]
    pub(crate) struct Alarm(Option<OwnedFd>);

    impl Default for Alarm {
        fn default() -> Self {
            let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
            let timer = timerfd_create(TimerfdClockId::Monotonic, flags);
            let told = timer.inspect_err(|error| tracing::debug!(%error, "no alarm"));
            Self(told.ok())
        }
    }

    impl Alarm {
        /// Goes off each time that this is over, from now on. Zero: not any more.
        pub(crate) fn set(&self, every: Duration) {
            if let Some(timer) = &self.0
                && let Ok(every) = Timespec::try_from(every)
            {
                let times = Itimerspec {
                    it_interval: every,
                    it_value: every,
                };
                if let Err(error) = timerfd_settime(timer, TimerfdTimerFlags::empty(), &times) {
                    tracing::debug!(%error, "no alarm");
                }
            }
        }

        /// Sleeps for this time, or until the alarm goes off. It may have done so before.
        pub(crate) fn sleep(&self, most: Duration) {
            let Some(timer) = &self.0 else {
                return std::thread::sleep(most);
            };
            let mut waits = [PollFd::new(timer, PollFlags::IN)];
            // A time that the system has no word for is as good as for ever.
            let most = Timespec::try_from(most).ok();
            if matches!(poll(&mut waits, most.as_ref()), Ok(1)) {
                // It counts how often it went off. Set anew meanwhile, it did not.
                rustix::io::read(timer, &mut [0; 8]).ok();
            }
        }
    }

    #[cfg(test)]
    mod tests {
        use std::time::Instant;

        use super::*;

        const HOURS: Duration = Duration::from_secs(100 * 3600);

        #[test]
        fn it_ends_sleeps_until_it_is_stopped() {
            let alarm = Alarm::default();
            alarm.set(HOURS);
            alarm.set(Duration::from_millis(1));
            for _ in 0..3 {
                alarm.sleep(HOURS);
            }
            alarm.set(Duration::ZERO);
            let begun = Instant::now();
            alarm.sleep(Duration::from_millis(20));
            assert!(begun.elapsed() >= Duration::from_millis(20));
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod without {
    use std::time::Duration;

    /// Never goes off.
    #[derive(Debug, Default)]
    pub(crate) struct Alarm;

    impl Alarm {
        pub(crate) fn set(&self, _every: Duration) {}

        pub(crate) fn sleep(&self, most: Duration) {
            std::thread::sleep(most);
        }
    }
}
