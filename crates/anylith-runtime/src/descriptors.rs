//! How many file descriptors a process may have.
//!
//! Most systems begin every process with 1024, since `select` breaks above that, and let it have far more if it asks. Who
//! serves connections asks.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What is asked for. Each costs nothing until it is used, but programs that are started from here may walk through all.
const ENOUGH: u64 = 1 << 16;

/// Takes as many as the system lets this process have without asking anybody, up to [`ENOUGH`].
pub(crate) fn take_more() {
    if let Some(more) = raised(getrlimit(Resource::Nofile)) {
        // Where it is refused, it goes on with what it has.
        let _ = setrlimit(Resource::Nofile, more);
    }
}

/// What to ask for; `None` where nothing is won.
fn raised(has: Rlimit) -> Option<Rlimit> {
    let current = has.maximum.map_or(ENOUGH, |maximum| maximum.min(ENOUGH));
    let is_more = has.current.is_some_and(|now| now < current);
    is_more.then_some(Rlimit {
        current: Some(current),
        ..has
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_takes_what_it_may_have_and_never_gives_any_back() {
        let raised = |current, maximum| {
            let raised = raised(Rlimit { current, maximum });
            raised.map(|raised| (raised.current, raised.maximum))
        };
        let taken = Some((Some(20_000), Some(20_000)));
        assert_eq!(raised(Some(1024), Some(20_000)), taken);
        let taken = Some((Some(ENOUGH), Some(ENOUGH * 4)));
        assert_eq!(raised(Some(1024), Some(ENOUGH * 4)), taken);
        assert_eq!(raised(Some(1024), None), Some((Some(ENOUGH), None)));
        assert_eq!(raised(Some(1024), Some(1024)), None);
        assert_eq!(raised(Some(ENOUGH * 2), None), None);
        assert_eq!(raised(None, None), None);
    }

    #[test]
    fn a_process_has_more_after_it_has_asked() {
        take_more();
        let has = getrlimit(Resource::Nofile);
        let may = has.maximum.unwrap_or(ENOUGH).min(ENOUGH);
        assert!(has.current.is_none_or(|now| now >= may), "{has:?}");
    }
}
