//! What a plot is made of: lines, circles, rectangles, text, in pixels from the upper left corner.

/// An opaque colour with a separate opacity.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Colour {
    /// Red, green, blue.
    pub rgb: [u8; 3],
    /// 0 = invisible, 1 = opaque.
    pub alpha: f64,
}

impl Colour {
    /// An opaque colour, `0xRRGGBB`.
    pub const fn hex(rgb: u32) -> Self {
        Self {
            rgb: [(rgb >> 16) as u8, (rgb >> 8) as u8, rgb as u8],
            alpha: 1.0,
        }
    }

    /// The same colour with another opacity.
    #[must_use]
    pub fn faded(self, alpha: f64) -> Self {
        Self { alpha, ..self }
    }

    /// `#rrggbb`.
    pub fn css(self) -> String {
        let [red, green, blue] = self.rgb;
        format!("#{red:02x}{green:02x}{blue:02x}")
    }
}

/// Colours of a plot; the series are told apart by colour-blind readers (Okabe and Ito, darkened to 5:1 on white).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Palette {
    /// Ground.
    pub ground: Colour,
    /// Text and axes.
    pub text: Colour,
    /// Grid and secondary marks.
    pub grid: Colour,
    /// Marks of ordinary trials.
    pub muted: Colour,
    /// Series in fixed order; the first marks the best.
    pub series: [Colour; 6],
    /// Ends of a sequence from worst to best (cividis).
    pub sequence: [Colour; 5],
}

impl Palette {
    /// Dark on white.
    pub const LIGHT: Self = Self {
        ground: Colour::hex(0xffffff),
        text: Colour::hex(0x1b1b1b),
        grid: Colour::hex(0xdddddd),
        muted: Colour::hex(0x6f6f6f),
        series: [
            Colour::hex(0x0072b2),
            Colour::hex(0xb84a00),
            Colour::hex(0x00785a),
            Colour::hex(0xa3487d),
            Colour::hex(0x8a5f00),
            Colour::hex(0x000000),
        ],
        sequence: [
            Colour::hex(0xd9c667),
            Colour::hex(0xa69d75),
            Colour::hex(0x7c7b78),
            Colour::hex(0x575d6d),
            Colour::hex(0x123570),
        ],
    };

    /// Light on black.
    pub const DARK: Self = Self {
        ground: Colour::hex(0x14161a),
        text: Colour::hex(0xececec),
        grid: Colour::hex(0x33373d),
        muted: Colour::hex(0x9aa0a6),
        series: [
            Colour::hex(0x56b4e9),
            Colour::hex(0xe69f00),
            Colour::hex(0x009e73),
            Colour::hex(0xcc79a7),
            Colour::hex(0xf0e442),
            Colour::hex(0xffffff),
        ],
        sequence: [
            Colour::hex(0x3b496c),
            Colour::hex(0x575d6d),
            Colour::hex(0x7c7b78),
            Colour::hex(0xbcaf6f),
            Colour::hex(0xfee838),
        ],
    };

    /// The colour at `share` (0 worst, 1 best) of the sequence.
    pub fn rank(&self, share: f64) -> Colour {
        let share = if share.is_finite() {
            share.clamp(0.0, 1.0)
        } else {
            0.0
        };
        let place = share * (self.sequence.len() - 1) as f64;
        let index = (place.floor() as usize).min(self.sequence.len() - 2);
        let (Some(low), Some(high)) = (self.sequence.get(index), self.sequence.get(index + 1)) else {
            return self.muted;
        };
        let part = place - index as f64;
        let mut rgb = [0; 3];
        for (out, (low, high)) in rgb.iter_mut().zip(low.rgb.iter().zip(high.rgb)) {
            *out = (f64::from(*low) + part * (f64::from(high) - f64::from(*low))).round() as u8;
        }
        Colour { rgb, alpha: 1.0 }
    }
}

/// Which end of a text stands at its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    /// Its start.
    Start,
    /// Its middle.
    Middle,
    /// Its end.
    End,
}

/// One mark.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// Straight segments through points.
    Path {
        /// Points.
        points: Vec<(f64, f64)>,
        /// Colour.
        colour: Colour,
        /// Width.
        width: f64,
        /// Dashed.
        dashed: bool,
    },
    /// A disc, or a ring if `hollow`.
    Circle {
        /// Middle.
        at: (f64, f64),
        /// Radius.
        radius: f64,
        /// Colour.
        colour: Colour,
        /// Only the outline.
        hollow: bool,
    },
    /// A filled rectangle.
    Rect {
        /// Upper left corner.
        at: (f64, f64),
        /// Width and height.
        size: (f64, f64),
        /// Colour.
        colour: Colour,
    },
    /// A text; its baseline starts, ends or is centred at the place.
    Text {
        /// Place.
        at: (f64, f64),
        /// Characters.
        text: String,
        /// Height of the font.
        size: f64,
        /// Colour.
        colour: Colour,
        /// Anchor.
        anchor: Anchor,
        /// Turned a quarter to the left (reads upwards).
        upwards: bool,
    },
}

/// A picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Scene {
    /// Width in pixels.
    pub width: f64,
    /// Height in pixels.
    pub height: f64,
    /// Ground.
    pub ground: Colour,
    /// What it shows, in one sentence; for readers who do not see it.
    pub caption: String,
    /// Marks from back to front.
    pub items: Vec<Item>,
}

impl Scene {
    /// Appends a straight line.
    pub fn line(&mut self, from: (f64, f64), to: (f64, f64), colour: Colour, width: f64) {
        self.items.push(Item::Path {
            points: vec![from, to],
            colour,
            width,
            dashed: false,
        });
    }

    /// Appends a text.
    pub fn text(
        &mut self,
        at: (f64, f64),
        text: impl Into<String>,
        size: f64,
        colour: Colour,
        anchor: Anchor,
    ) {
        self.items.push(Item::Text {
            at,
            text: text.into(),
            size,
            colour,
            anchor,
            upwards: false,
        });
    }
}
