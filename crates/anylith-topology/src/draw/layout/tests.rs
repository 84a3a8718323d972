//! What holds for every picture.

use std::sync::LazyLock;

use super::{Frame, Layout, Node, Rect, Route, Sketch, lay_out};

/// A graph without cycles out of `seed`, with as many groups as asked.
fn sketch(nodes: usize, groups: usize, seed: u64) -> Sketch {
    let mut state = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut random = move |below: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below.max(1)
    };
    let mut sketch = Sketch::default();
    for node in 0..nodes {
        let group = (groups > 0).then(|| random(groups));
        sketch.nodes.push(Node {
            width: 100.0 + random(60) as f64,
            height: 48.0,
            group,
        });
        for _ in 0..random(4) {
            let to = node + 1 + random(9);
            if to < nodes && !sketch.edges.contains(&(node, to)) {
                sketch.edges.push((node, to));
            }
        }
    }
    sketch.groups = vec![
        Frame {
            header: 20.0,
            padding: 14.0
        };
        groups
    ];
    sketch
}

fn overlap(a: &Rect, b: &Rect) -> bool {
    a.x < b.right() && b.x < a.right() && a.y < b.bottom() && b.y < a.bottom()
}

fn inside(outer: &Rect, inner: &Rect) -> bool {
    outer.x <= inner.x
        && outer.y <= inner.y
        && inner.right() <= outer.right()
        && inner.bottom() <= outer.bottom()
}

/// Points along the drawn way.
fn points(route: &Route) -> Vec<(f64, f64)> {
    let Route::Through(corners) = route else {
        return Vec::new();
    };
    let mut points = Vec::new();
    for (index, pair) in corners.windows(2).enumerate() {
        let ((x0, y0), (x1, y1)) = (pair[0], pair[1]);
        for step in 0..=40 {
            let t = f64::from(step) / 40.0;
            let s = 1.0 - t;
            // The curve of Bézier with both handles half-way, as the picture draws it.
            let (a, b, c, d) = (s * s * s, 3.0 * s * s * t, 3.0 * s * t * t, t * t * t);
            let middle = f64::midpoint(x0, x1);
            let curved = (
                a * x0 + (b + c) * middle + d * x1,
                (a + b) * y0 + (c + d) * y1,
            );
            points.push(if index % 2 == 0 {
                curved
            } else {
                (x0 * s + x1 * t, y0)
            });
        }
    }
    points
}

/// Graphs of many sizes, laid out once for all tests.
fn each_layout(check: impl Fn(&Sketch, &Layout)) {
    static LAYOUTS: LazyLock<Vec<(Sketch, Layout)>> = LazyLock::new(|| {
        let sizes = [
            (0, 0),
            (1, 0),
            (1, 1),
            (3, 0),
            (10, 0),
            (10, 3),
            (12, 12),
            (30, 0),
            (30, 4),
        ];
        let sketches = sizes
            .into_iter()
            .flat_map(|(nodes, groups)| (0..3).map(move |seed| sketch(nodes, groups, seed)));
        sketches
            .map(|sketch| {
                let layout = lay_out(&sketch);
                (sketch, layout)
            })
            .collect()
    });
    for (sketch, layout) in LAYOUTS.iter() {
        check(sketch, layout);
    }
}

#[test]
fn boxes_and_groups_do_not_overlap() {
    each_layout(|sketch, layout| {
        for (index, rect) in layout.boxes.iter().enumerate() {
            assert!(
                layout.boxes[..index]
                    .iter()
                    .all(|other| !overlap(rect, other))
            );
        }
        for (index, frame) in layout.frames.iter().enumerate() {
            assert!(
                layout.frames[..index]
                    .iter()
                    .all(|other| !overlap(frame, other))
            );
            for (node, rect) in sketch.nodes.iter().zip(&layout.boxes) {
                let mine = node.group == Some(index);
                assert!(if mine {
                    inside(frame, rect)
                } else {
                    !overlap(frame, rect)
                });
            }
        }
    });
}

#[test]
fn no_edge_runs_through_a_box() {
    each_layout(|_, layout| {
        for (x, y) in layout.routes.iter().flat_map(points) {
            let within = |rect: &Rect| {
                rect.x + 0.5 < x && x < rect.right() - 0.5 && rect.y < y && y < rect.bottom()
            };
            assert!(!layout.boxes.iter().any(within), "({x}, {y})");
        }
    });
}

#[test]
fn everything_is_within_the_picture() {
    each_layout(|_, layout| {
        let page = Rect {
            x: 0.0,
            y: 0.0,
            width: layout.width,
            height: layout.height + 0.01,
        };
        assert!(layout.boxes.iter().all(|rect| inside(&page, rect)));
        assert!(layout.frames.iter().all(|rect| inside(&page, rect)));
        for (x, y) in layout.routes.iter().flat_map(points) {
            assert!((-0.01..=page.width).contains(&x) && (-0.01..=page.height).contains(&y));
        }
    });
}

#[test]
fn an_edge_ends_where_its_arrow_points() {
    each_layout(|sketch, layout| {
        for ((from, to), route) in sketch.edges.iter().zip(&layout.routes) {
            let Route::Through(points) = route else {
                panic!("an edge became a loop")
            };
            assert!((points[0].0 - layout.boxes[*from].right()).abs() < 0.01);
            assert!((points[points.len() - 1].0 - layout.boxes[*to].x).abs() < 0.01);
        }
    });
}

#[test]
fn the_same_graph_gives_the_same_picture() {
    let sketch = sketch(20, 3, 7);
    assert_eq!(
        format!("{:?}", lay_out(&sketch)),
        format!("{:?}", lay_out(&sketch))
    );
}

#[test]
fn a_huge_graph_is_drawn_in_bounded_work() {
    let layout = lay_out(&sketch(600, 0, 1));
    assert_eq!(layout.boxes.len(), 600);
}
