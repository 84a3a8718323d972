//! `#[anylith::test]` says all that is wrong with a test at once.

#[anylith::test(Shop, fakes(CartClient), topologies(direct))]
async fn a_fake_without_a_value(_cart: CartClient) {}

#[anylith::test]
async fn no_application() {}

#[anylith::test(Shop, fake(CartClient = 1))]
async fn an_unknown_word() {}

#[anylith::test(Shop, topologies(wire, wire))]
fn many<T>(_cluster: Cluster<Shop>, _cart: &CartClient, _more: [u8; 2]) {}

#[anylith::test(Shop)]
async fn builder_and_more(_builder: ClusterBuilder<Shop>, _cart: CartClient) {}

#[anylith::test(Shop)]
struct NotAFunction;

struct Shop;
struct CartClient;
struct Cluster<A>(A);
struct ClusterBuilder<A>(A);

fn main() {}
