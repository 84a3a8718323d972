//! A load generator for the online shop.
//!
//! A [`Shopper`] is one browser: it keeps its cookies, draws one [`Task`] after the other, and knows what it
//! has put into its cart. So it can tell whether a page is right, not only whether one came: the prices are
//! those of its currency, the lines of the cart are its own, and the total is their sum.
//!
//! A [`Load`] is many of them: a number of users who think between two tasks ([`Pace::Users`]), or a rate of
//! tasks that is held whatever the shop does ([`Pace::Rate`]). [`Load::run`] gives back a [`Report`].

mod catalogue;
mod history;
mod load;
mod mix;
mod money;
mod page;
mod report;
mod shopper;

pub use catalogue::{CATALOGUE, Product};
pub use history::Exchange;
pub use load::{Load, Pace};
pub use mix::{Card, OrderForm, Task, think};
pub use money::{Currency, Money, SHIPPING};
pub use page::{Basket, Page, Receipt};
pub use report::{Failure, Figures, Report, RequestKind};
pub use shopper::Shopper;
