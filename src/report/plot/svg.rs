//! Writes a scene as SVG: no script, no external reference, a title for screen readers.

use super::scene::{Anchor, Colour, Item, Scene};
use std::fmt::Write as _;

/// The SVG document.
pub fn write(scene: &Scene) -> String {
    let mut out = String::new();
    let (width, height) = (short(scene.width), short(scene.height));
    let _ = writeln!(
        out,
        r#"<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img" font-family="system-ui, 'DejaVu Sans', sans-serif">"#
    );
    let _ = writeln!(out, "<title>{}</title>", escape(&scene.caption));
    let _ = writeln!(
        out,
        r#"<rect width="{width}" height="{height}" fill="{}"/>"#,
        scene.ground.css()
    );
    for item in &scene.items {
        mark(&mut out, item);
    }
    out.push_str("</svg>\n");
    out
}

fn mark(out: &mut String, item: &Item) {
    match item {
        Item::Path {
            points,
            colour,
            width,
            dashed,
        } => {
            let places: Vec<String> = points
                .iter()
                .map(|(x, y)| format!("{},{}", short(*x), short(*y)))
                .collect();
            let dash = if *dashed { r#" stroke-dasharray="4 3""# } else { "" };
            let _ = writeln!(
                out,
                r#"<polyline points="{}" fill="none" stroke="{}"{} stroke-width="{}" stroke-linejoin="round"{dash}/>"#,
                places.join(" "),
                colour.css(),
                opacity("stroke-opacity", *colour),
                short(*width)
            );
        }
        Item::Circle {
            at: (x, y),
            radius,
            colour,
            hollow,
        } => {
            let paint = if *hollow {
                format!(
                    r#"fill="none" stroke="{}" stroke-width="1.5"{}"#,
                    colour.css(),
                    opacity("stroke-opacity", *colour)
                )
            } else {
                format!(r#"fill="{}"{}"#, colour.css(), opacity("fill-opacity", *colour))
            };
            let _ = writeln!(
                out,
                r#"<circle cx="{}" cy="{}" r="{}" {paint}/>"#,
                short(*x),
                short(*y),
                short(*radius)
            );
        }
        Item::Rect {
            at: (x, y),
            size: (width, height),
            colour,
        } => {
            let _ = writeln!(
                out,
                r#"<rect x="{}" y="{}" width="{}" height="{}" fill="{}"{}/>"#,
                short(*x),
                short(*y),
                short(width.max(0.0)),
                short(height.max(0.0)),
                colour.css(),
                opacity("fill-opacity", *colour)
            );
        }
        Item::Text {
            at: (x, y),
            text,
            size,
            colour,
            anchor,
            upwards,
        } => {
            let anchor = match anchor {
                Anchor::Start => "",
                Anchor::Middle => r#" text-anchor="middle""#,
                Anchor::End => r#" text-anchor="end""#,
            };
            let turn = if *upwards {
                format!(r#" transform="rotate(-90 {} {})""#, short(*x), short(*y))
            } else {
                String::new()
            };
            let _ = writeln!(
                out,
                r#"<text x="{}" y="{}" font-size="{}" fill="{}"{anchor}{turn}>{}</text>"#,
                short(*x),
                short(*y),
                short(*size),
                colour.css(),
                escape(text)
            );
        }
    }
}

fn opacity(name: &str, colour: Colour) -> String {
    if colour.alpha < 1.0 {
        format!(r#" {name}="{}""#, short(colour.alpha))
    } else {
        String::new()
    }
}

/// Two decimals at most: a hundredth of a pixel is invisible, and files stay small.
fn short(number: f64) -> String {
    let text = format!("{number:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".into() } else { text.to_owned() }
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in crate::report::text::printable(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            other => out.push(other),
        }
    }
    out
}
