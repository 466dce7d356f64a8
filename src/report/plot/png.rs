//! Paints a scene as PNG with tiny-skia; text from DejaVu Sans, which the program carries, so that any machine gives the same picture.

use super::scene::{Anchor, Colour, Item, Scene};
use tiny_skia::{
    FillRule, LineCap, LineJoin, Paint, PathBuilder, Pixmap, Rect, Stroke, StrokeDash, Transform,
};

/// Why a picture cannot be painted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PngError {
    /// No or too many pixels.
    #[error("a picture of {0} x {1} pixels cannot be painted")]
    Size(u32, u32),
    /// The carried font cannot be read.
    #[error("the font cannot be read: {0}")]
    Font(#[from] ttf_parser::FaceParsingError),
    /// The compressor failed.
    #[error("the picture cannot be compressed: {0}")]
    Encode(String),
}

/// The PNG file, `scale` pixels per unit of the scene.
///
/// # Errors
/// [`PngError`] if the size is unfit or the picture cannot be compressed.
pub fn write(scene: &Scene, scale: f32) -> Result<Vec<u8>, PngError> {
    let (width, height) = (
        (scene.width as f32 * scale).round() as u32,
        (scene.height as f32 * scale).round() as u32,
    );
    let mut pixmap = Pixmap::new(width, height).ok_or(PngError::Size(width, height))?;
    let face = ttf_parser::Face::parse(dejavu::sans::regular(), 0)?;
    let transform = Transform::from_scale(scale, scale);
    pixmap.fill(paint(scene.ground).shader_colour());
    for item in &scene.items {
        draw(&mut pixmap, item, transform, &face);
    }
    pixmap
        .encode_png()
        .map_err(|error| PngError::Encode(error.to_string()))
}

/// A colour ready for tiny-skia.
struct Ink(tiny_skia::Color);

impl Ink {
    fn shader_colour(&self) -> tiny_skia::Color {
        self.0
    }

    fn paint(&self) -> Paint<'static> {
        let mut paint = Paint::default();
        paint.set_color(self.0);
        paint.anti_alias = true;
        paint
    }
}

fn paint(colour: Colour) -> Ink {
    let [red, green, blue] = colour.rgb;
    Ink(tiny_skia::Color::from_rgba8(
        red,
        green,
        blue,
        (colour.alpha.clamp(0.0, 1.0) * 255.0).round() as u8,
    ))
}

fn draw(pixmap: &mut Pixmap, item: &Item, transform: Transform, face: &ttf_parser::Face<'_>) {
    match item {
        Item::Path {
            points,
            colour,
            width,
            dashed,
        } => {
            let mut builder = PathBuilder::new();
            for (index, (x, y)) in points.iter().enumerate() {
                if index == 0 {
                    builder.move_to(*x as f32, *y as f32);
                } else {
                    builder.line_to(*x as f32, *y as f32);
                }
            }
            let Some(path) = builder.finish() else { return };
            let stroke = Stroke {
                width: *width as f32,
                line_join: LineJoin::Round,
                line_cap: LineCap::Butt,
                dash: dashed.then(|| StrokeDash::new(vec![4.0, 3.0], 0.0)).flatten(),
                ..Stroke::default()
            };
            pixmap.stroke_path(&path, &paint(*colour).paint(), &stroke, transform, None);
        }
        Item::Circle {
            at: (x, y),
            radius,
            colour,
            hollow,
        } => {
            let Some(path) = PathBuilder::from_circle(*x as f32, *y as f32, *radius as f32) else {
                return;
            };
            if *hollow {
                let stroke = Stroke {
                    width: 1.5,
                    ..Stroke::default()
                };
                pixmap.stroke_path(&path, &paint(*colour).paint(), &stroke, transform, None);
            } else {
                pixmap.fill_path(&path, &paint(*colour).paint(), FillRule::Winding, transform, None);
            }
        }
        Item::Rect {
            at: (x, y),
            size: (width, height),
            colour,
        } => {
            if let Some(rect) = Rect::from_xywh(*x as f32, *y as f32, *width as f32, *height as f32) {
                pixmap.fill_rect(rect, &paint(*colour).paint(), transform, None);
            }
        }
        Item::Text {
            at,
            text,
            size,
            colour,
            anchor,
            upwards,
        } => {
            let scale = *size as f32 / f32::from(face.units_per_em());
            let width = advance(text, face) * scale;
            let back = match anchor {
                Anchor::Start => 0.0,
                Anchor::Middle => width / 2.0,
                Anchor::End => width,
            };
            let mut outline = Outline {
                builder: PathBuilder::new(),
                x: 0.0,
            };
            for c in crate::report::text::printable(text).chars() {
                let glyph = face.glyph_index(c).unwrap_or_default();
                face.outline_glyph(glyph, &mut outline);
                outline.x += f32::from(face.glyph_hor_advance(glyph).unwrap_or(0));
            }
            let Some(path) = outline.builder.finish() else {
                return;
            };
            // Font units have y upwards; the picture has y downwards.
            let mut place = Transform::from_row(scale, 0.0, 0.0, -scale, -back, 0.0);
            if *upwards {
                place = place.post_concat(Transform::from_rotate(-90.0));
            }
            let place = place
                .post_concat(Transform::from_translate(at.0 as f32, at.1 as f32))
                .post_concat(transform);
            pixmap.fill_path(&path, &paint(*colour).paint(), FillRule::Winding, place, None);
        }
    }
}

fn advance(text: &str, face: &ttf_parser::Face<'_>) -> f32 {
    text.chars()
        .map(|c| {
            f32::from(
                face.glyph_hor_advance(face.glyph_index(c).unwrap_or_default())
                    .unwrap_or(0),
            )
        })
        .sum()
}

struct Outline {
    builder: PathBuilder,
    x: f32,
}

impl ttf_parser::OutlineBuilder for Outline {
    fn move_to(&mut self, x: f32, y: f32) {
        self.builder.move_to(self.x + x, y);
    }

    fn line_to(&mut self, x: f32, y: f32) {
        self.builder.line_to(self.x + x, y);
    }

    fn quad_to(&mut self, x1: f32, y1: f32, x: f32, y: f32) {
        self.builder.quad_to(self.x + x1, y1, self.x + x, y);
    }

    fn curve_to(&mut self, x1: f32, y1: f32, x2: f32, y2: f32, x: f32, y: f32) {
        self.builder
            .cubic_to(self.x + x1, y1, self.x + x2, y2, self.x + x, y);
    }

    fn close(&mut self) {
        self.builder.close();
    }
}
