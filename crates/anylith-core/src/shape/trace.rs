//! What is known of a type, and what is asked of it next.

use std::collections::HashMap;

use serde::de::DeserializeOwned;

use super::probe::{CANDIDATES, Probe, Refusal};

/// How often a type is deserialised from the top. Each time something new is found, or it is the last.
const MOST_PASSES: usize = 1_000;

/// How many values are asked for in all, and how deep.
const MOST_STEPS: usize = 400_000;
const DEEPEST: usize = 64;
/// How deep values are shown that are empty from there on.
const SHOWN_DEEP: usize = 12;

/// A type, as far as it is known: a graph of nodes, the first of which is the type itself.
#[derive(Debug, Default)]
pub(super) struct Trace {
    pub(super) nodes: Vec<Node>,
    index: HashMap<Key, usize>,
    /// The nodes whose values are being made, the outermost first.
    stack: Vec<usize>,
    /// The deepest that the stack was since someone last looked.
    deepest: usize,
    /// The node that failed last, for the one that holds it.
    failed: Option<usize>,
    /// Down to which depth options and lists hold something, where all is known.
    filled: Option<usize>,
    /// Grows with everything that is learnt.
    learnt: usize,
    steps: usize,
}

/// What makes two nodes one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    /// They are of one type.
    Type(&'static str),
    /// They are at one place of their holder. The name of a type that a macro made within a function does
    /// not tell it from another one.
    Place(usize, Slot),
}

/// A place within a node: of a variant, and of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Slot {
    pub(super) variant: usize,
    pub(super) field: usize,
}

/// A type, or a place in one.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) type_name: &'static str,
    pub(super) kind: Kind,
    /// Whether a value of it was made.
    made: bool,
    /// How many values it refused.
    refused: usize,
    /// Whether no value of it can be made.
    pub(super) hopeless: bool,
    /// Whether it asked what comes next.
    pub(super) asks: bool,
    /// The variants of it that are being made, the outermost first.
    active: Vec<usize>,
}

/// What a type asked for.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    /// Nothing yet.
    Unknown,
    /// A value without parts; this is its kind.
    Plain(&'static str),
    /// `Some` of the one part, or `None`.
    Option(Parts),
    /// Any number of the one part.
    List(Parts),
    /// Any number of pairs of the two parts.
    Map(Parts),
    /// Exactly these parts. The name is that of a tuple struct or a newtype, or empty.
    Tuple(&'static str, Parts),
    /// A struct with its name.
    Struct(&'static str, Parts),
    /// An enum with its name.
    Enum(&'static str, Vec<Variant>),
}

/// A variant of an enum.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Variant {
    pub(super) name: &'static str,
    /// What it holds: nothing known yet, or a plain kind, a tuple or a struct.
    pub(super) form: Form,
    pub(super) parts: Parts,
    /// How deep the values within it were, where one was made.
    height: Option<usize>,
    hopeless: bool,
}

/// The form of a variant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Unknown,
    Unit,
    Newtype,
    Tuple,
    Struct,
}

/// The nodes that another one holds, by place.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Parts {
    /// The names of the places, if they have names.
    pub(super) names: &'static [&'static str],
    pub(super) nodes: Vec<Option<usize>>,
    /// Whether the fields are given by name, the hopeless ones last, so that the others are seen.
    pub(super) by_name: bool,
}

impl Parts {
    pub(super) fn unnamed(count: usize) -> Self {
        Self {
            names: &[],
            nodes: vec![None; count.min(MOST_STEPS)],
            by_name: false,
        }
    }

    pub(super) fn named(names: &'static [&'static str]) -> Self {
        Self {
            names,
            nodes: vec![None; names.len()],
            by_name: false,
        }
    }

    fn all_known(&self) -> bool {
        self.nodes.iter().all(Option::is_some)
    }
}

impl Trace {
    /// Asks `T` for all that it has, and shows each value that came of it.
    pub(super) fn of<T: DeserializeOwned>(mut show: impl FnMut(&T)) -> Self {
        let mut trace = Self::default();
        let root = trace.node(
            Key::Type(std::any::type_name::<T>()),
            std::any::type_name::<T>(),
        );
        for _ in 0..MOST_PASSES {
            let learnt = trace.learnt;
            trace.failed = None;
            let result = trace.run(root, |probe| T::deserialize(probe));
            if let Ok(value) = &result {
                show(value);
            }
            let done = result.is_ok() && !trace.has_more(root);
            let stuck = trace.learnt == learnt || trace.nodes[root].hopeless;
            if done || stuck || trace.steps >= MOST_STEPS {
                break;
            }
        }
        trace
    }

    /// Shows values once more, now that all is known: options are `None` and lists empty, further in each time.
    pub(super) fn show_emptier<T: DeserializeOwned>(mut self, mut show: impl FnMut(&T)) {
        for depth in 0..SHOWN_DEEP {
            self.filled = Some(depth);
            if let Ok(value) = self.run(0, |probe| T::deserialize(probe)) {
                show(&value);
            }
        }
    }

    fn node(&mut self, key: Key, type_name: &'static str) -> usize {
        if let Some(node) = self.index.get(&key) {
            return *node;
        }
        self.nodes.push(Node {
            type_name,
            kind: Kind::Unknown,
            made: false,
            refused: 0,
            hopeless: false,
            asks: false,
            active: Vec::new(),
        });
        self.index.insert(key, self.nodes.len() - 1);
        self.learnt += 1;
        self.nodes.len() - 1
    }

    /// The node in `slot` of `holder`; `type_name` is empty if the type is not known.
    pub(super) fn part(&mut self, holder: usize, slot: Slot, type_name: &'static str) -> usize {
        let type_name = without_pointers(type_name);
        let nameless =
            type_name.is_empty() || type_name.contains("::_::") || type_name.contains('{');
        let key = if nameless {
            Key::Place(holder, slot)
        } else {
            Key::Type(type_name)
        };
        let node = self.node(key, type_name);
        if let Some(parts) = self.nodes[holder].parts_mut(slot.variant)
            && let Some(place @ None) = parts.nodes.get_mut(slot.field)
        {
            *place = Some(node);
            self.learnt += 1;
        }
        node
    }

    /// Makes a value of `node` with `make`.
    pub(super) fn run<R>(
        &mut self,
        node: usize,
        make: impl FnOnce(Probe<'_>) -> Result<R, Refusal>,
    ) -> Result<R, Refusal> {
        self.steps += 1;
        if self.steps >= MOST_STEPS || self.stack.len() >= DEEPEST {
            self.failed = Some(node);
            return Err(Refusal);
        }
        self.stack.push(node);
        let outer = std::mem::replace(&mut self.deepest, self.stack.len());
        let (failed, active) = (self.failed, self.nodes[node].active.len());
        let result = make(Probe { trace: self, node });
        let height = self.deepest - self.stack.len();
        self.deepest = self.deepest.max(outer);
        self.stack.pop();
        let variant = self.nodes[node].active.drain(active..).next();
        if result.is_ok() {
            self.failed = failed;
            self.made(node, variant, height);
        } else {
            self.not_made(node, variant);
        }
        result
    }

    fn made(&mut self, node: usize, variant: Option<usize>, height: usize) {
        let node = &mut self.nodes[node];
        self.learnt += usize::from(!node.made);
        node.made = true;
        if let Some(index) = variant
            && let Kind::Enum(_, variants) = &mut node.kind
        {
            let variant = &mut variants[index];
            self.learnt += usize::from(variant.height.is_none());
            variant.height = Some(variant.height.map_or(height, |other| other.min(height)));
        }
    }

    /// Decides what to do otherwise the next time, as no value of `node` came of this.
    fn not_made(&mut self, index: usize, variant: Option<usize>) {
        let within = self.failed.replace(index).filter(|within| *within != index);
        let Some(within) = within else {
            // The type itself did not like what it got: offer something else.
            let node = &mut self.nodes[index];
            node.refused += 1;
            node.hopeless |= node.refused >= CANDIDATES;
            self.learnt += 1;
            return;
        };
        if !self.nodes[within].hopeless {
            return;
        }
        let node = &mut self.nodes[index];
        let hopeless = match (&mut node.kind, variant) {
            // These can do without what they hold.
            (Kind::Option(_) | Kind::List(_) | Kind::Map(_), _) => false,
            (Kind::Struct(_, parts), _) => give_up(parts),
            (Kind::Enum(_, variants), Some(variant)) => {
                let variant = &mut variants[variant];
                variant.hopeless |= give_up(&mut variant.parts);
                self.learnt += 1;
                variants.iter().all(|variant| variant.hopeless)
            }
            _ => true,
        };
        node.hopeless |= hopeless;
        self.learnt += 1;
    }

    /// Writes down what `node` asks for, if it is new.
    pub(super) fn describe(&mut self, node: usize, kind: impl FnOnce() -> Kind) {
        if self.nodes[node].kind == Kind::Unknown {
            self.nodes[node].kind = kind();
            self.learnt += 1;
        }
    }

    /// Writes down what a variant asks for, if it is new.
    pub(super) fn describe_variant(&mut self, node: usize, index: usize, form: Form, parts: Parts) {
        if let Kind::Enum(_, variants) = &mut self.nodes[node].kind
            && let Some(variant) = variants.get_mut(index)
            && variant.form == Form::Unknown
        {
            (variant.form, variant.parts) = (form, parts);
            self.learnt += 1;
        }
    }

    /// Whether an option, a list or a map should hold something this time.
    pub(super) fn wants_content(&self, node: usize) -> bool {
        let Some(parts) = self.nodes[node].parts(0) else {
            return false;
        };
        if let Some(depth) = self.filled {
            let cannot = |part: &usize| self.stack.contains(part) || self.nodes[*part].hopeless;
            return self.stack.len() <= depth && !parts.nodes.iter().flatten().any(cannot);
        }
        parts.nodes.iter().any(|part| match part {
            // If a value was made all the same, the type does not want to know.
            None => !self.nodes[node].made,
            Some(part) => !self.stack.contains(part) && self.has_more(*part),
        })
    }

    /// The variant to make this time.
    pub(super) fn pick(&mut self, node: usize) -> Option<usize> {
        let Node {
            kind: Kind::Enum(_, variants),
            active,
            ..
        } = &self.nodes[node]
        else {
            return None;
        };
        let open = |index: &usize| !variants[*index].hopeless && !active.contains(index);
        let unseen = |index: &usize| open(index) && !variants[*index].seen();
        let deeper = |index: &usize| {
            let mut parts = variants[*index].parts.nodes.iter().flatten();
            open(index) && parts.any(|part| !self.stack.contains(part) && self.has_more(*part))
        };
        let all = || 0..variants.len();
        let flattest = || all().filter(|index| variants[*index].height.is_some());
        let pick = all()
            .find(unseen)
            .or_else(|| all().find(deeper))
            .or_else(|| flattest().min_by_key(|index| variants[*index].height))
            .or_else(|| all().find(open))?;
        self.nodes[node].active.push(pick);
        Some(pick)
    }

    /// Which value to offer for a plain kind: another one where the others were refused.
    pub(super) fn candidate(&self) -> usize {
        self.stack
            .iter()
            .map(|node| self.nodes[*node].refused)
            .max()
            .unwrap_or(0)
    }

    /// The order in which the fields of a struct are given by name: those that stop it come last.
    pub(super) fn hopeless_last(&self, parts: &Parts) -> Vec<usize> {
        let mut order: Vec<usize> = (0..parts.nodes.len()).collect();
        order
            .sort_by_key(|place| parts.nodes[*place].is_some_and(|node| self.nodes[node].hopeless));
        order
    }

    /// Whether anything can still be learnt of `node` or of what it holds.
    fn has_more(&self, node: usize) -> bool {
        let mut seen = vec![false; self.nodes.len()];
        let mut waiting = vec![node];
        while let Some(index) = waiting.pop() {
            if std::mem::replace(&mut seen[index], true) {
                continue;
            }
            let node = &self.nodes[index];
            if !node.hopeless && !node.known() {
                return true;
            }
            waiting.extend(node.held());
        }
        false
    }

    /// The kind of `node`'s parts in a struct or a variant.
    pub(super) fn parts(&self, node: usize, variant: usize) -> Parts {
        self.nodes[node].parts(variant).cloned().unwrap_or_default()
    }
}

/// Tries the fields by name next, or gives up where that was done or is no help.
fn give_up(parts: &mut Parts) -> bool {
    let again = !parts.by_name && !parts.names.is_empty() && !parts.all_known();
    parts.by_name |= again;
    !again
}

impl Node {
    pub(super) fn parts(&self, variant: usize) -> Option<&Parts> {
        match &self.kind {
            Kind::Unknown | Kind::Plain(_) => None,
            Kind::Option(parts) | Kind::List(parts) | Kind::Map(parts) => Some(parts),
            Kind::Tuple(_, parts) | Kind::Struct(_, parts) => Some(parts),
            Kind::Enum(_, variants) => variants.get(variant).map(|variant| &variant.parts),
        }
    }

    fn parts_mut(&mut self, variant: usize) -> Option<&mut Parts> {
        match &mut self.kind {
            Kind::Unknown | Kind::Plain(_) => None,
            Kind::Option(parts) | Kind::List(parts) | Kind::Map(parts) => Some(parts),
            Kind::Tuple(_, parts) | Kind::Struct(_, parts) => Some(parts),
            Kind::Enum(_, variants) => variants.get_mut(variant).map(|variant| &mut variant.parts),
        }
    }

    /// Whether all that it asks for was seen, though perhaps not what those ask for.
    fn known(&self) -> bool {
        match &self.kind {
            Kind::Unknown => false,
            Kind::Plain(_) => true,
            Kind::Enum(_, variants) => variants
                .iter()
                .all(|variant| variant.hopeless || variant.seen()),
            Kind::Option(parts) | Kind::List(parts) | Kind::Map(parts) => {
                self.made || parts.all_known()
            }
            Kind::Tuple(_, parts) | Kind::Struct(_, parts) => self.made || parts.all_known(),
        }
    }

    fn held(&self) -> Vec<usize> {
        match &self.kind {
            Kind::Enum(_, variants) => variants
                .iter()
                .flat_map(|variant| &variant.parts.nodes)
                .flatten()
                .copied()
                .collect(),
            _ => self
                .parts(0)
                .iter()
                .flat_map(|parts| &parts.nodes)
                .flatten()
                .copied()
                .collect(),
        }
    }
}

impl Variant {
    pub(super) fn new(name: &'static str) -> Self {
        Self {
            name,
            form: Form::Unknown,
            parts: Parts::default(),
            height: None,
            hopeless: false,
        }
    }

    fn seen(&self) -> bool {
        self.form != Form::Unknown && (self.height.is_some() || self.parts.all_known())
    }
}

/// The type within those pointers and cells that serde looks through.
fn without_pointers(type_name: &'static str) -> &'static str {
    const THROUGH: [&str; 5] = [
        "alloc::boxed::Box<",
        "alloc::rc::Rc<",
        "alloc::sync::Arc<",
        "core::cell::Cell<",
        "core::cell::RefCell<",
    ];
    let mut name = type_name;
    while let Some(inner) = THROUGH.iter().find_map(|start| name.strip_prefix(start)) {
        name = inner.strip_suffix('>').unwrap_or(inner);
    }
    name
}
