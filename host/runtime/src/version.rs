//! Versions of interfaces: which of them go together.

/// The version in an interface's name, `lakehouse:plugin/store@0.1.0`.
pub(crate) fn of(interface: &str) -> Option<&str> {
    interface.split_once('@').map(|(_, version)| version)
}

/// Whether a guest that was built against one version is served by another.
///
/// By semver: the first number that is not zero has to be the same, and before 1.0
/// the minor is that number. Patches only add, so the older one is always served, and
/// the newer one as long as it uses nothing that was added.
pub(crate) fn compatible(theirs: &str, ours: &str) -> bool {
    theirs == ours
        || matches!((track(theirs), track(ours)), (Some(theirs), Some(ours)) if theirs == ours)
}

/// The numbers that have to be equal; none of a version that goes with no other one.
fn track(version: &str) -> Option<(u64, u64)> {
    let (version, _build) = version.split_once('+').unwrap_or((version, ""));
    let mut numbers = version.splitn(3, '.').map(|number| number.parse().ok());
    match (numbers.next()??, numbers.next()??, numbers.next()??) {
        (0, 0, _) => None,
        (0, minor, _) => Some((0, minor)),
        (major, _, _) => Some((major, 0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patches_go_together_before_one_and_minors_after() {
        for (theirs, ours) in [
            ("0.1.0", "0.1.0"),
            ("0.1.0", "0.1.7"),
            ("0.1.7", "0.1.0"),
            ("1.0.0", "1.4.2"),
            ("1.4.2+build", "1.0.0"),
            ("0.0.1", "0.0.1"),
            ("0.2.0-rc.1", "0.2.0-rc.1"),
        ] {
            assert!(compatible(theirs, ours), "{theirs} {ours}");
        }
        for (theirs, ours) in [
            ("0.2.0", "0.1.0"),
            ("0.1.0", "0.2.0"),
            ("2.0.0", "0.1.0"),
            ("2.0.0", "1.0.0"),
            ("0.0.1", "0.0.2"),
            ("0.2.0-rc.1", "0.2.0"),
            ("0.2.0-rc.1", "0.2.0-rc.2"),
            ("nonsense", "0.1.0"),
        ] {
            assert!(!compatible(theirs, ours), "{theirs} {ours}");
        }
    }
}
