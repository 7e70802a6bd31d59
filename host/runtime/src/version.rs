//! Versions of interfaces: which of them go together.

use semver::Version;

/// The version in an interface's name, `lakehouse:plugin/store@0.1.0`.
pub(crate) fn of(interface: &str) -> Option<&str> {
    interface.split_once('@').map(|(_, version)| version)
}

/// Whether a guest that was built against one version is served by another.
///
/// By semver: the first number that is not zero has to be the same, and before 1.0
/// the minor is that number. What follows only adds, so the older one is always served,
/// and the newer one as long as it uses nothing that was added.
pub(crate) fn compatible(theirs: &str, ours: &str) -> bool {
    theirs == ours
        || matches!((track(theirs), track(ours)), (Some(theirs), Some(ours)) if theirs == ours)
}

/// Whether a guest was built against a later version than the host's.
pub(crate) fn later(theirs: &str, ours: &str) -> bool {
    match (Version::parse(theirs), Version::parse(ours)) {
        (Ok(theirs), Ok(ours)) => theirs.cmp_precedence(&ours).is_gt(),
        _ => false,
    }
}

/// What to do about a guest whose version does not go with the host's.
pub(crate) fn advice(theirs: &str, ours: &str) -> String {
    let build = format!("build the plugin against {ours}");
    if later(theirs, ours) {
        format!("update the host, or {build}")
    } else {
        build
    }
}

/// The numbers that have to be equal; none of a version that goes with no other one.
fn track(version: &str) -> Option<(u64, u64)> {
    let version = Version::parse(version).ok()?;
    match (version.major, version.minor) {
        _ if !version.pre.is_empty() => None,
        (0, 0) => None,
        (0, minor) => Some((0, minor)),
        (major, _) => Some((major, 0)),
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

    #[test]
    fn the_later_of_two_is_known() {
        for (theirs, ours) in [
            ("0.1.1", "0.1.0"),
            ("0.10.0", "0.9.9"),
            ("1.0.0", "0.9.9"),
            ("0.2.0", "0.2.0-rc.1"),
        ] {
            assert!(later(theirs, ours), "{theirs} {ours}");
            assert!(!later(ours, theirs), "{ours} {theirs}");
        }
        for (theirs, ours) in [("1.0.0", "1.0.0+build"), ("nonsense", "0.1.0")] {
            assert!(!later(theirs, ours), "{theirs} {ours}");
            assert!(!later(ours, theirs), "{ours} {theirs}");
        }
    }
}
