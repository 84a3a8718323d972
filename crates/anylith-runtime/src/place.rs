//! A component as the code of this process runs for it, wherever that is.

use std::{
    collections::BTreeMap,
    fmt, ptr,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

/// A component as code runs for it. There is one for each name in a process, for as long as that lives.
pub(crate) struct Place {
    /// Its name; empty outside of components.
    pub(crate) component: &'static str,
    /// For how long its code was polled, in nanoseconds, as far as that is known.
    busy: AtomicU64,
}

/// Where code runs that belongs to no component.
static OUTSIDE: Place = Place {
    component: "",
    busy: AtomicU64::new(0),
};

/// Those that somebody has asked for. Bounded by the names of components in the program.
static KNOWN: Mutex<BTreeMap<&'static str, &'static Place>> = Mutex::new(BTreeMap::new());

impl Place {
    /// That of code which belongs to no component.
    pub(crate) const fn outside() -> &'static Self {
        &OUTSIDE
    }

    /// That of the component with this name.
    pub(crate) fn of(component: &'static str) -> &'static Self {
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        known.entry(component).or_insert_with(|| {
            let busy = AtomicU64::new(0);
            Box::leak(Box::new(Self { component, busy }))
        })
    }

    /// That of the component with this name, which may have been read.
    pub(crate) fn named(component: &str) -> &'static Self {
        let known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        let place = known.get(component).copied();
        drop(known);
        place.unwrap_or_else(|| Self::of(Box::leak(component.into())))
    }

    /// Whether code that runs there belongs to no component.
    #[inline]
    pub(crate) fn is_outside(&self) -> bool {
        ptr::eq(self, &OUTSIDE)
    }

    /// Its code ran for so long.
    pub(crate) fn was_busy(&self, length: Duration) {
        let nanoseconds = u64::try_from(length.as_nanos()).unwrap_or(u64::MAX);
        self.busy.fetch_add(nanoseconds, Relaxed);
    }

    /// For how long its code ran, as far as that is known.
    pub(crate) fn busy(&self) -> Duration {
        Duration::from_nanos(self.busy.load(Relaxed))
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.component)
    }
}
