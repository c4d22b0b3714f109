//! Rectangles and triangles with labelled lengths: describe them, find the perimeter, find the area.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::canvas::{self, Canvas};
use super::item::{Item, Says, Scene};

const PAPER_BLUE: canvas::Colour = [190, 215, 250];
/// A triangle flatter than this share of its base is hard to read.
const LEAST_HEIGHT: f64 = 0.35;

/// A figure and its lengths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Figure {
    /// Width and height.
    Rectangle(u32, u32),
    /// Base, left side and right side.
    Triangle(u32, u32, u32),
    /// Base and height, with the right angle at the lower left; only these are labelled.
    RightTriangle(u32, u32),
}

impl Figure {
    /// `rectangle 4, 7`: its labelled lengths, the lower one first.
    pub fn words(&self) -> String {
        match self {
            Self::Rectangle(width, height) => format!("rectangle {width}, {height}"),
            Self::Triangle(base, left, right) => format!("triangle {base}, {left}, {right}"),
            Self::RightTriangle(base, height) => format!("right triangle {base}, {height}"),
        }
    }

    /// Draws it as large as its labels leave room for, true to scale unless that would make it too flat.
    pub fn draw(&self, canvas: &mut Canvas) {
        let scale = (canvas.size() / 72).max(1);
        let dot = scale as f64 / canvas.size() as f64;
        let margin = [dot * 14.0, dot * 12.0];
        let corners = self.corners();
        let [wide, high] = [0, 1].map(|axis| corners.iter().map(|corner| corner[axis]).fold(0.0, f64::max));
        let room = [1.0 - 2.0 * margin[0], 1.0 - 2.0 * margin[1]];
        let unit = (room[0] / wide).min(room[1] / high);
        let offset = [(1.0 - wide * unit) / 2.0, (1.0 - high * unit) / 2.0];
        let points: Vec<[f64; 2]> =
            corners.iter().map(|[x, y]| [offset[0] + x * unit, 1.0 - offset[1] - y * unit]).collect();
        canvas.convex(&points, PAPER_BLUE);
        for index in 0..points.len() {
            canvas.line(points[index], points[(index + 1) % points.len()], dot * 1.2, canvas::BLACK);
        }
        self.write_lengths(canvas, &points, scale);
    }

    /// Writes each length outside its side, as far away as its text is thick in that direction.
    fn write_lengths(&self, canvas: &mut Canvas, points: &[[f64; 2]], scale: usize) {
        let gap = 3.0 * scale as f64 / canvas.size() as f64;
        let mut write = |length: u32, [a, b]: [usize; 2]| {
            let ([ax, ay], [bx, by]) = (points[a], points[b]);
            // Corners go anticlockwise on paper whose y points down, so the outside lies to the right of each side.
            let away = [ay - by, bx - ax];
            let size = (away[0].powi(2) + away[1].powi(2)).sqrt().max(f64::MIN_POSITIVE);
            let away = away.map(|part| part / size);
            let text = length.to_string();
            let [width, height] = canvas.label_size(&text, scale);
            let far = gap + f64::midpoint(away[0].abs() * width, away[1].abs() * height);
            let at = [f64::midpoint(ax, bx) + away[0] * far, f64::midpoint(ay, by) + away[1] * far];
            canvas.label(&text, at, scale, canvas::BLACK);
        };
        match *self {
            Self::Rectangle(width, height) => {
                write(width, [0, 1]);
                write(height, [3, 0]);
            }
            Self::Triangle(base, left, right) => {
                write(base, [0, 1]);
                write(right, [1, 2]);
                write(left, [2, 0]);
            }
            Self::RightTriangle(base, height) => {
                write(base, [0, 1]);
                write(height, [2, 0]);
            }
        }
    }

    /// Corners from the lower left, anticlockwise, y upwards, x from 0.
    fn corners(&self) -> Vec<[f64; 2]> {
        // A side is drawn at least 0.4 times as long as the other, or it would vanish.
        let legible = |width: u32, height: u32| {
            let (width, height) = (f64::from(width), f64::from(height));
            (width.max(height * 0.4), height.max(width * 0.4))
        };
        match *self {
            Self::Rectangle(width, height) => {
                let (w, h) = legible(width, height);
                vec![[0.0, 0.0], [w, 0.0], [w, h], [0.0, h]]
            }
            Self::Triangle(base, left, right) => {
                let (x, y) = apex(base, left, right);
                vec![[0.0, 0.0], [f64::from(base), 0.0], [x, y]]
            }
            Self::RightTriangle(base, height) => {
                let (w, h) = legible(base, height);
                vec![[0.0, 0.0], [w, 0.0], [0.0, h]]
            }
        }
    }
}

/// Where the upper corner of a triangle stands, seen from its lower left one.
fn apex(base: u32, left: u32, right: u32) -> (f64, f64) {
    let [base, left, right] = [base, left, right].map(f64::from);
    let x = (left * left + base * base - right * right) / (2.0 * base);
    (x, (left * left - x * x).max(0.0).sqrt())
}

/// Longest length of a level.
fn longest(level: u8) -> u32 {
    match level {
        1 | 2 => 9,
        3 => 12,
        4 => 20,
        _ => 40,
    }
}

fn rectangle(level: u8, rng: &mut ChaCha8Rng) -> Figure {
    let longest = longest(level);
    Figure::Rectangle(rng.random_range(2..=longest), rng.random_range(2..=longest))
}

fn triangle(level: u8, rng: &mut ChaCha8Rng) -> Figure {
    loop {
        let [base, left, right] = [(); 3].map(|()| rng.random_range(3..=longest(level)));
        let (x, y) = apex(base, left, right);
        // The upper corner stands above the base, so that the labels of the sides do not meet it.
        if (0.0..=f64::from(base)).contains(&x) && (LEAST_HEIGHT..1.6).contains(&(y / f64::from(base))) {
            return Figure::Triangle(base, left, right);
        }
    }
}

/// Describe the figure.
pub fn caption(level: u8, rng: &mut ChaCha8Rng) -> Item {
    let figure = if level >= 2 && rng.random_bool(0.5) { triangle(level, rng) } else { rectangle(level, rng) };
    Item { prompt: "Describe the figure.".into(), says: Says::Text(figure.words()), scene: Some(Scene::Figure(figure)) }
}

/// Rectangles at level 1, triangles as often from level 2 on; lengths up to 9, 9, 12, 20, 40.
pub fn perimeter(level: u8, rng: &mut ChaCha8Rng) -> Item {
    let figure = if level >= 2 && rng.random_bool(0.5) { triangle(level, rng) } else { rectangle(level, rng) };
    let (reasoning, answer) = match figure {
        Figure::Triangle(a, b, c) => (format!("{a}+{b}={}, {}+{c}={}", a + b, a + b, a + b + c), a + b + c),
        Figure::Rectangle(a, b) | Figure::RightTriangle(a, b) => {
            (format!("{a}+{b}={}, {}*2={}", a + b, a + b, (a + b) * 2), (a + b) * 2)
        }
    };
    Item::answer("What is the perimeter?".into(), Some(Scene::Figure(figure)), reasoning, &answer)
}

/// Rectangles at level 1, right triangles as often from level 2 on; lengths up to 9, 9, 12, 20, 40.
pub fn area(level: u8, rng: &mut ChaCha8Rng) -> Item {
    if level >= 2 && rng.random_bool(0.5) {
        let base = rng.random_range(2..=longest(level));
        // One even length, so that half the product is whole.
        let height = if base % 2 == 0 {
            rng.random_range(2..=longest(level))
        } else {
            2 * rng.random_range(1..=longest(level) / 2)
        };
        let reasoning = format!("{base}*{height}={}, {}/2={}", base * height, base * height, base * height / 2);
        let figure = Figure::RightTriangle(base, height);
        return Item::answer("What is the area?".into(), Some(Scene::Figure(figure)), reasoning, &(base * height / 2));
    }
    let (a, b) = (rng.random_range(2..=longest(level)), rng.random_range(2..=longest(level)));
    let figure = Some(Scene::Figure(Figure::Rectangle(a, b)));
    Item::answer("What is the area?".into(), figure, format!("{a}*{b}={}", a * b), &(a * b))
}
