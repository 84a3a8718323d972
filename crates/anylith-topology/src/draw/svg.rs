//! The graph as a picture that needs nothing else: no script, no font, no style from outside. It is light
//! or dark as its reader has chosen.

use std::fmt::Write as _;

use anylith_core::{ComponentManifest, Manifest};

use super::{
    LEGEND, about, counts, edges, group_label,
    layout::{Frame, Layout, Node, Rect, Route, Sketch, lay_out},
};
use crate::{GroupPlan, Plan};

/// Colours of the groups, in turn.
const HUES: [&str; 8] = [
    "#2563eb", "#059669", "#d97706", "#db2777", "#7c3aed", "#0891b2", "#65a30d", "#e11d48",
];

const MARGIN: f64 = 28.0;
const TITLE: f64 = 70.0;
const FOOT: f64 = 46.0;
const MIN_WIDTH: f64 = 420.0;

/// The length of an arrow's head.
const HEAD: f64 = 8.0;

/// How far the sheet of each further replica looks out from behind its group.
const SHEET: f64 = 5.0;

const STYLE: &str = "\
text{font-family:ui-sans-serif,system-ui,-apple-system,'Segoe UI',Roboto,sans-serif;fill:#0f172a}\
.page{fill:#fff}.app{font-size:19px;font-weight:700}.note,.about{fill:#64748b}.note{font-size:12px}\
.about{font-size:11px}.name{font-size:13.5px;font-weight:600}.about,.name{text-anchor:middle}\
.box{fill:#fff;stroke:#94a3b8;stroke-width:1.2}.door .box{stroke:#4f46e5;stroke-width:2}\
.edge path{fill:none;stroke:#94a3b8;stroke-width:1.5}.edge .head{fill:#94a3b8;stroke:none}\
.remote path{stroke:#6366f1}.remote .head{fill:#6366f1}\
.edge:hover path{stroke:#e11d48;stroke-width:2.5}.edge:hover .head{fill:#e11d48;stroke:none}\
.group{font-size:12px;font-weight:650}.sheet{fill:#fff}\
@media(prefers-color-scheme:dark){text{fill:#e2e8f0}.group{fill:#e2e8f0!important}.page{fill:#0f172a}.note,.about{fill:#94a3b8}\
.box{fill:#1e293b;stroke:#64748b}.door .box{stroke:#a5b4fc}.sheet{fill:#0f172a}\
.edge path{stroke:#64748b}.edge .head{fill:#64748b}.remote path{stroke:#818cf8}.remote .head{fill:#818cf8}}";

/// The picture; the groups of a plan are frames, of which each further replica shows a sheet behind it.
pub fn svg(manifest: &Manifest, plan: Option<&Plan>) -> String {
    let edges = edges(manifest);
    let layout = lay_out(&sketch(manifest, plan, &edges));
    let width = (layout.width + 2.0 * MARGIN).max(MIN_WIDTH);
    let width = width
        .max(MARGIN * 2.0 + text_width(&subtitle(manifest, plan), 12.0))
        .ceil();
    let height = (layout.height + TITLE + FOOT + MARGIN).ceil();
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
         height=\"{height}\" role=\"img\">\n<title>{}: {}</title>\n",
        manifest.app,
        counts(manifest)
    );
    let _ = writeln!(out, "<style>{STYLE}</style>");
    let _ = writeln!(
        out,
        "<rect class=\"page\" width=\"{width}\" height=\"{height}\" rx=\"12\"/>"
    );
    heading(manifest, plan, &mut out);
    let shift = MARGIN + (width - 2.0 * MARGIN - layout.width).max(0.0) / 2.0;
    let _ = writeln!(out, "<g transform=\"translate({shift:.1} {TITLE})\">");
    let groups = plan
        .iter()
        .flat_map(|plan| &plan.groups)
        .zip(&layout.frames);
    for ((group, frame), hue) in groups.zip(HUES.into_iter().cycle()) {
        draw_group(group, frame, hue, &mut out);
    }
    for (edge, route) in edges.iter().zip(&layout.routes) {
        draw_edge(manifest, plan, *edge, route, &layout, &mut out);
    }
    for (component, rect) in manifest.components.iter().zip(&layout.boxes) {
        draw_component(component, rect, &mut out);
    }
    out.push_str("</g>\n");
    legend(plan, height, &mut out);
    out.push_str("</svg>\n");
    out
}

pub(super) fn sketch(manifest: &Manifest, plan: Option<&Plan>, edges: &[(usize, usize)]) -> Sketch {
    let group_of = |component: &ComponentManifest| {
        let groups = &plan?.groups;
        groups
            .iter()
            .position(|group| group.components.contains(&component.name))
    };
    let node = |(index, component): (usize, &ComponentManifest)| {
        let leaving = edges.iter().filter(|(from, _)| *from == index).count();
        let arriving = edges.iter().filter(|(_, to)| *to == index).count();
        let about = about(component);
        let text = text_width(component.name.as_str(), 13.5).max(text_width(&about, 11.0));
        let lines = if about.is_empty() { 36.0 } else { 48.0 };
        Node {
            width: (text + 30.0).max(120.0).ceil(),
            height: f64::max(lines, 18.0 + 9.0 * leaving.max(arriving) as f64),
            group: group_of(component),
        }
    };
    let frame = |group: &GroupPlan| match labelled(group) {
        true => Frame {
            header: 20.0,
            padding: 14.0,
        },
        false => Frame {
            header: 0.0,
            padding: 9.0,
        },
    };
    Sketch {
        nodes: manifest.components.iter().enumerate().map(node).collect(),
        edges: edges.to_vec(),
        groups: plan
            .iter()
            .flat_map(|plan| &plan.groups)
            .map(frame)
            .collect(),
    }
}

/// A group of one component that bears its name needs no label, unless it has more than one replica.
fn labelled(group: &GroupPlan) -> bool {
    group.replicas > 1 || group.scaling.is_some() || *group.components != [group.name.clone()]
}

fn subtitle(manifest: &Manifest, plan: Option<&Plan>) -> String {
    let mut text = counts(manifest);
    if let Some(plan) = plan {
        let replicas: u32 = plan.groups.iter().map(|group| group.replicas).sum();
        let word = if replicas == 1 {
            "process"
        } else {
            "processes"
        };
        let _ = write!(text, " · topology {}: {replicas} {word}", plan.topology);
    }
    text
}

fn heading(manifest: &Manifest, plan: Option<&Plan>, out: &mut String) {
    let _ = writeln!(
        out,
        "<text class=\"app\" x=\"{MARGIN}\" y=\"30\">{}</text>",
        manifest.app
    );
    let note = subtitle(manifest, plan);
    let _ = writeln!(
        out,
        "<text class=\"note\" x=\"{MARGIN}\" y=\"48\">{}</text>",
        escaped(&note)
    );
}

fn legend(plan: Option<&Plan>, height: f64, out: &mut String) {
    let y = height - 20.0;
    let _ = writeln!(
        out,
        "<text class=\"note\" x=\"{MARGIN}\" y=\"{y}\">{LEGEND}</text>"
    );
    if plan.is_none() {
        return;
    }
    let mut x = MARGIN + text_width(LEGEND, 12.0) + 28.0;
    for (class, text) in [
        ("edge", "within a process"),
        ("edge remote", "between processes"),
    ] {
        let line = y - 4.0;
        let _ = writeln!(
            out,
            "<g class=\"{class}\"><path d=\"M{x:.1} {line}h22\"/></g>"
        );
        x += 28.0;
        let _ = writeln!(
            out,
            "<text class=\"note\" x=\"{x:.1}\" y=\"{y}\">{text}</text>"
        );
        x += text_width(text, 12.0) + 24.0;
    }
}

fn draw_group(group: &GroupPlan, frame: &Rect, hue: &str, out: &mut String) {
    let Rect {
        x,
        y,
        width,
        height,
    } = *frame;
    let sheets = (group.replicas - 1).min(2);
    let _ = writeln!(
        out,
        "<g><title>{}: {} replicas</title>",
        group.name, group.replicas
    );
    for sheet in (0..=sheets).rev() {
        let shift = SHEET * f64::from(sheet);
        let (x, y) = (x + shift, y + shift);
        let place = format!(
            "x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"14\""
        );
        let _ = writeln!(out, "<rect class=\"sheet\" {place}/>");
        let _ = writeln!(
            out,
            "<rect {place} fill=\"{hue}\" fill-opacity=\".09\" stroke=\"{hue}\" stroke-opacity=\".55\"/>"
        );
    }
    if labelled(group) {
        let (x, y) = (x + 14.0, y + 21.0);
        let label = escaped(&group_label(group));
        let _ = writeln!(
            out,
            "<text class=\"group\" style=\"fill:{hue}\" x=\"{x:.1}\" y=\"{y:.1}\">{label}</text>"
        );
    }
    out.push_str("</g>\n");
}

fn draw_component(component: &ComponentManifest, rect: &Rect, out: &mut String) {
    let Rect {
        x,
        y,
        width,
        height,
    } = *rect;
    let class = if component.listeners.is_empty() {
        ""
    } else {
        " class=\"door\""
    };
    let _ = writeln!(out, "<g{class}>");
    if !component.summary.is_empty() {
        let _ = writeln!(out, "<title>{}</title>", escaped(&component.summary));
    }
    let _ = writeln!(
        out,
        "<rect class=\"box\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"9\"/>"
    );
    let (middle, center) = (x + width / 2.0, y + height / 2.0);
    let about = about(component);
    let name = if about.is_empty() {
        center + 4.7
    } else {
        center - 3.0
    };
    let _ = writeln!(
        out,
        "<text class=\"name\" x=\"{middle:.1}\" y=\"{name:.1}\">{}</text>",
        component.name
    );
    if !about.is_empty() {
        let y = center + 13.0;
        let about = escaped(&about);
        let _ = writeln!(
            out,
            "<text class=\"about\" x=\"{middle:.1}\" y=\"{y:.1}\">{about}</text>"
        );
    }
    out.push_str("</g>\n");
}

fn draw_edge(
    manifest: &Manifest,
    plan: Option<&Plan>,
    (from, to): (usize, usize),
    route: &Route,
    layout: &Layout,
    out: &mut String,
) {
    let (from_name, to_name) = (
        &manifest.components[from].name,
        &manifest.components[to].name,
    );
    let group = |name: &str| {
        plan.and_then(|plan| plan.group_of(name))
            .map(|group| &group.name)
    };
    let remote = group(from_name.as_str()) != group(to_name.as_str());
    let class = if remote { "edge remote" } else { "edge" };
    let (path, tip, towards) = match route {
        Route::Through(points) => curve(points),
        Route::Loop => own_loop(&layout.boxes[from]),
    };
    let back = tip.0 - HEAD * towards;
    let (above, below) = (tip.1 - 4.0, tip.1 + 4.0);
    let _ = writeln!(
        out,
        "<g class=\"{class}\"><title>{from_name} → {to_name}</title><path d=\"{path}\"/>\
         <path class=\"head\" d=\"M{:.1} {:.1}L{back:.1} {above:.1}V{below:.1}Z\"/></g>",
        tip.0, tip.1
    );
}

/// The path through `points`, its last point, and 1 if it arrives there going right, else -1.
pub(super) fn curve(points: &[(f64, f64)]) -> (String, (f64, f64), f64) {
    let (Some(&start), Some(&end)) = (points.first(), points.last()) else {
        return (String::new(), (0.0, 0.0), 1.0);
    };
    let towards = if end.0 >= start.0 { 1.0 } else { -1.0 };
    let mut path = format!("M{:.1} {:.1}", start.0, start.1);
    let mut at = start;
    let last = points.len() - 1;
    for (index, &(mut x, y)) in points.iter().enumerate().skip(1) {
        if index == last {
            x -= (HEAD - 1.0) * towards;
        }
        if index % 2 == 0 || (y - at.1).abs() < 0.5 {
            let _ = write!(path, "L{x:.1} {y:.1}");
        } else {
            let bend = (x - at.0) * 0.5;
            let (leave, arrive) = (at.0 + bend, x - bend);
            let _ = write!(
                path,
                "C{leave:.1} {:.1} {arrive:.1} {y:.1} {x:.1} {y:.1}",
                at.1
            );
        }
        at = (x, y);
    }
    (path, end, towards)
}

/// From the top of a box around its upper right corner into its side.
pub(super) fn own_loop(rect: &Rect) -> (String, (f64, f64), f64) {
    let (x, y) = (rect.right() - 22.0, rect.y);
    let tip = (rect.right(), y + 12.0);
    let path = format!(
        "M{x:.1} {y:.1}C{x:.1} {:.1} {:.1} {:.1} {:.1} {:.1}",
        y - 26.0,
        tip.0 + 34.0,
        tip.1 - 4.0,
        tip.0 + HEAD - 1.0,
        tip.1
    );
    (path, tip, -1.0)
}

/// About how wide `text` is in the fonts that the style asks for; rather too wide than too narrow.
fn text_width(text: &str, size: f64) -> f64 {
    let em = |character: char| match character {
        'i' | 'j' | 'l' | 'I' | '.' | ',' | '·' | ' ' | ':' | '\'' => 0.31,
        'f' | 'r' | 't' | '-' => 0.4,
        'm' | 'w' | 'M' | 'W' | '→' => 0.92,
        'A'..='Z' | '_' => 0.71,
        '\0'..='\u{2ff}' => 0.6,
        _ => 1.0,
    };
    text.chars().map(em).sum::<f64>() * size
}

/// Text between tags.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            // XML has no way to write most control characters.
            control if control.is_control() || ('\u{fffe}'..='\u{ffff}').contains(&control) => {
                out.push(' ');
            }
            other => out.push(other),
        }
    }
    out
}
