//! The test's own place in the application.

use anylith_runtime::{
    __rt::{Interface, NoInterface},
    Component, StartError, Wiring,
};

/// The body of a test, as the application sees it: a component called `test`, which is dependent on all others.
///
/// So the body begins when everything is ready, is stopped before anything else is, and its calls have a caller:
/// edges out of it are set as `[edges."test -> Cart"]`.
pub(crate) struct Body {
    wiring: Wiring,
}

impl Body {
    /// A client whose calls come from the test.
    pub(crate) fn client<I: Interface>(&self) -> I {
        self.wiring.client()
    }
}

impl Component for Body {
    type Interface = NoInterface<Self>;
    type Dependencies = ();
    const NAME: &'static str = "test";
    const SUMMARY: &'static str = "The body of a test.";

    async fn build(wiring: &Wiring) -> Result<Self, StartError> {
        Ok(Self {
            wiring: wiring.clone(),
        })
    }
}
