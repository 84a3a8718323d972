use futures_util::FutureExt as _;

use super::*;
use crate::serve::{Answer, Answering, Incoming};

/// Says that it has more than the directory knows.
struct Boaster;

impl Serve for Boaster {
    fn components(&self) -> Vec<anylith_wire::ServedComponent> {
        let served = |name: String| anylith_wire::ServedComponent {
            name: Name::new(&name).unwrap(),
            fingerprint: Fingerprint(1),
            methods: 1,
        };
        (0..100).map(|at| served(format!("Echo{at}"))).collect()
    }

    fn call(&self, _: Incoming) -> Answering {
        async { Answer::Message(Vec::new()) }.boxed()
    }
}

#[tokio::test]
async fn nothing_is_kept_of_what_a_peer_claims_and_the_directory_does_not_have() {
    let name = |text: &str| Name::new(text).unwrap();
    let path = format!("anylith-rpc-boaster-{}", std::process::id());
    let endpoint = Endpoint::Unix(std::env::temp_dir().join(path));
    let serving = Network::new(name("Echo-1"), Limits::default());
    let _server = serving.serve(&endpoint, Arc::new(Boaster)).unwrap();
    let network = Network::new(name("Caller-1"), Limits::default());
    let address = Address {
        replica: name("Echo-1"),
        endpoint,
    };
    network.update(Directory::new(1, [(name("Echo0"), vec![address])]));
    network.offered(&name("Echo0")).await;
    let kept: Vec<Name> = network.shared.pools().keys().cloned().collect();
    assert_eq!(kept, [name("Echo0")]);
    network.update(Directory::new(2, []));
    assert!(network.shared.pools().is_empty(), "what is gone stays");
}

#[tokio::test]
async fn a_replica_without_the_component_is_told_apart_from_one_that_is_not_ready() {
    let name = |text: &str| Name::new(text).unwrap();
    let path = format!("anylith-rpc-other-{}", std::process::id());
    let endpoint = Endpoint::Unix(std::env::temp_dir().join(path));
    let serving = Network::new(name("Echo-1"), Limits::default());
    let _server = serving.serve(&endpoint, Arc::new(Boaster)).unwrap();
    let network = Network::new(name("Caller-1"), Limits::default());
    let address = Address {
        replica: name("Echo-1"),
        endpoint,
    };
    let both = ["Echo0", "Stock"].map(|component| (name(component), vec![address.clone()]));
    network.update(Directory::new(1, both));
    network.offered(&name("Echo0")).await;
    assert_eq!(network.obstacles(&name("Echo0")), None);
    let obstacle = (address, "it does not serve Stock".to_owned());
    assert_eq!(network.obstacles(&name("Stock")), Some(vec![obstacle]));
}
