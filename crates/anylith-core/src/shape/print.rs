//! The fingerprint of a traced type. It depends on the structure only, not on which parts were met first
//! or are shared, so that equal shapes have equal fingerprints however they were found.

use super::trace::{Form, Kind, Node, Parts, Trace};
use crate::Fingerprint;

/// How many nodes are looked at; knots of types that hold each other are looked at more than once.
const MOST_STEPS: usize = 200_000;

/// The fingerprint of the first node of `trace`.
pub(super) fn print(trace: &Trace) -> Fingerprint {
    let known = vec![None; trace.nodes.len()];
    Printer {
        trace,
        known,
        path: Vec::new(),
        steps: 0,
    }
    .node(0)
    .0
}

struct Printer<'a> {
    trace: &'a Trace,
    /// The fingerprints of nodes that do not depend on what they are in.
    known: Vec<Option<Fingerprint>>,
    /// The nodes that are being printed, the outermost first.
    path: Vec<usize>,
    steps: usize,
}

impl Printer<'_> {
    /// The fingerprint of a node, and how far out on the path it leads back.
    fn node(&mut self, index: usize) -> (Fingerprint, usize) {
        if let Some(print) = self.known[index] {
            return (print, usize::MAX);
        }
        let node = &self.trace.nodes[index];
        if let Some(back) = self.path.iter().position(|other| *other == index) {
            let distance = self.path.len() - back;
            return (
                Fingerprint::EMPTY.with("back").with(&distance.to_string()),
                back,
            );
        }
        self.steps += 1;
        if self.steps > MOST_STEPS {
            return (unseen(node), usize::MAX);
        }
        self.path.push(index);
        let (print, outermost) = self.kind(node);
        self.path.pop();
        if outermost >= self.path.len() {
            self.known[index] = Some(print);
            return (print, usize::MAX);
        }
        (print, outermost)
    }

    fn kind(&mut self, node: &Node) -> (Fingerprint, usize) {
        let start = Fingerprint::EMPTY;
        match &node.kind {
            Kind::Unknown => (unseen(node), usize::MAX),
            Kind::Plain(kind) => (start.with(kind), usize::MAX),
            Kind::Option(parts) => self.parts(start.with("option"), node, parts),
            Kind::List(parts) => self.parts(start.with("list"), node, parts),
            Kind::Map(parts) => self.parts(start.with("map"), node, parts),
            Kind::Tuple(name, parts) => self.parts(start.with("tuple").with(name), node, parts),
            Kind::Struct(name, parts) => self.parts(start.with("struct").with(name), node, parts),
            Kind::Enum(name, variants) => {
                let mut print = start.with("enum").with(name);
                let mut outermost = usize::MAX;
                for variant in variants {
                    let form = match variant.form {
                        Form::Unknown => "unknown",
                        Form::Unit => "unit",
                        Form::Newtype => "newtype",
                        Form::Tuple => "tuple",
                        Form::Struct => "struct",
                    };
                    let (next, out) =
                        self.parts(print.with(variant.name).with(form), node, &variant.parts);
                    (print, outermost) = (next, outermost.min(out));
                }
                (print, outermost)
            }
        }
    }

    fn parts(&mut self, start: Fingerprint, node: &Node, parts: &Parts) -> (Fingerprint, usize) {
        let mut print = start.with(&parts.nodes.len().to_string());
        let mut outermost = usize::MAX;
        for (place, part) in parts.nodes.iter().enumerate() {
            print = print.with(parts.names.get(place).unwrap_or(&""));
            let (inner, out) = match part {
                Some(part) => self.node(*part),
                None => (unseen(node), usize::MAX),
            };
            print = print.with(&inner.to_string());
            outermost = outermost.min(out);
        }
        (print, outermost)
    }
}

/// What stands for something that was never seen: the name of its type, without paths.
fn unseen(node: &Node) -> Fingerprint {
    Fingerprint::EMPTY
        .with("unseen")
        .with(&without_paths(node.type_name))
}

/// `a::b::C<d::E>` → `C<E>`.
fn without_paths(type_name: &str) -> String {
    let mut name = String::with_capacity(type_name.len());
    let mut word = 0;
    for character in type_name.chars() {
        match character {
            ':' => name.truncate(word),
            other => {
                name.push(other);
                if !other.is_alphanumeric() && other != '_' {
                    word = name.len();
                }
            }
        }
    }
    name
}
