//! Defects that the model test plants, to see that it finds them. Outside of this crate's own tests there are none.

/// Something wrong that can be planted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Defect {
    /// A reshape switches before all that is new is ready.
    SwitchEarly,
    /// Calls go to the new topology before it is written down that they do.
    SwitchUnkept,
    /// A number of replicas that could not be reached is kept.
    KeepNumber,
    /// What goes is drained while the directory still names it.
    DrainEarly,
    /// A component that came is forgotten when a reshape is taken back.
    ForgetComing,
    /// A replica that came is forgotten when a reshape is taken back.
    ForgetNew,
    /// The next control plane does not know that a reshape was under way.
    NoMemory,
    /// A singleton may start while the one before it drains.
    TwoAtOnce,
    /// The next control plane does not know who has a singleton.
    ForgetHolder,
    /// A reshape switches before a singleton has begun in its new place.
    SwitchUnseated,
    /// A singleton that was to come elsewhere is not waited for where it was.
    NoWayBack,
    /// What a singleton has handed over is forgotten by the next control plane.
    ForgetState,
    /// A caller of the new build comes before its callee has, and is not told that the one which is there is another.
    CallersFirst,
    /// The last callee of a build leaves while callers of that build are there.
    NoLastCallee,
    /// A replica is drained although as many as are wanted are ready only with it.
    TooFew,
    /// A replica that dies in an upgrade is started again from the other build.
    OtherBuild,
    /// An upgrade looks at each replica alone, and one that stands by is well.
    EachAlone,
    /// The next control plane does not know that an upgrade was under way.
    NoRollout,
}

/// Whether the test that runs has planted `defect`.
#[cfg(not(test))]
pub(crate) const fn planted(_: Defect) -> bool {
    false
}

#[cfg(test)]
thread_local! {
    static PLANTED: std::cell::Cell<Option<Defect>> = const { std::cell::Cell::new(None) };
}

/// Whether the test that runs has planted `defect`.
#[cfg(test)]
pub(crate) fn planted(defect: Defect) -> bool {
    PLANTED.get() == Some(defect)
}

/// Plants a defect in this thread, or none.
#[cfg(test)]
pub(crate) fn plant(defect: Option<Defect>) {
    PLANTED.set(defect);
}
