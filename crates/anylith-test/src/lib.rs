//! One test, under every topology.
//!
//! A test is written once, against the clients of an application's components. `#[anylith::test]` runs it with all
//! components in one process, with every call going through a socket, and with each component in a process of its
//! own:
//!
//! ```ignore
//! #[anylith::test(Shop, fakes(PaymentClient = FakePayment::default()))]
//! async fn an_order_is_charged_once(checkout: CheckoutClient, payment: Arc<FakePayment>) {
//!     checkout.place_order(order()).await.unwrap();
//!     assert_eq!(payment.charges(), 1);
//! }
//! ```
//!
//! Behind the attribute is a [`Cluster`]: the application in one [`Topology`], with this process in the middle of it,
//! where the test's body and its fakes are. A test that kills replicas, or asks for several of one component, takes a
//! [`&Cluster`](Cluster) or a [`ClusterBuilder`] as its argument.
//!
//! Whatever a test leaves behind goes with it: the processes, the sockets and the folder they are in.

mod body;
mod builder;
mod cluster;
mod in_process;
mod interceptor;
mod logs;
mod processes;
mod reborn;
mod topology;
mod trial;

pub use builder::ClusterBuilder;
pub use cluster::{Cluster, ClusterError};
pub use interceptor::Interceptor;
pub use topology::Topology;
pub use trial::Outcome;

/// What the expansion of `#[anylith::test]` calls. No promise is made about it.
#[doc(hidden)]
pub mod __rt {
    pub use crate::trial::{Case, run, run_unstarted};
}
