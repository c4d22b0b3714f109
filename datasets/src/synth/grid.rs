//! Coloured shapes on a 3 × 3 grid: describe them, count them, compare counts, find a neighbour. One cell is one merged
//! block of patches when the drawing is 84 pixels wide.

use rand::Rng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand_chacha::ChaCha8Rng;

use super::canvas::{self, Canvas};
use super::item::{Item, Says, Scene};

/// Cells per side.
const SIDE: usize = 3;
const CELLS: usize = SIDE * SIDE;

const COLOURS: [(&str, canvas::Colour); 4] =
    [("red", [220, 40, 40]), ("green", [30, 150, 60]), ("blue", [40, 80, 220]), ("yellow", [240, 200, 30])];
const SHAPES: [&str; 3] = ["circle", "square", "triangle"];

/// One coloured shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Thing {
    colour: usize,
    shape: usize,
}

impl Thing {
    fn random(rng: &mut ChaCha8Rng) -> Self {
        Self { colour: rng.random_range(0..COLOURS.len()), shape: rng.random_range(0..SHAPES.len()) }
    }

    fn words(self) -> String {
        format!("{} {}", COLOURS[self.colour].0, SHAPES[self.shape])
    }
}

/// What a question is about: things of a colour, of a shape, or of both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Subject {
    colour: Option<usize>,
    shape: Option<usize>,
}

impl Subject {
    fn holds(self, thing: Thing) -> bool {
        self.colour.is_none_or(|colour| colour == thing.colour) && self.shape.is_none_or(|shape| shape == thing.shape)
    }

    /// A random thing that is one, or that is none.
    fn thing(self, is_one: bool, rng: &mut ChaCha8Rng) -> Thing {
        loop {
            let mut thing = Thing::random(rng);
            if is_one {
                thing = Thing { colour: self.colour.unwrap_or(thing.colour), shape: self.shape.unwrap_or(thing.shape) };
            }
            if self.holds(thing) == is_one {
                return thing;
            }
        }
    }

    /// In the plural: `red shapes`, `circles`, `red circles`.
    fn words(self) -> String {
        let shape = self.shape.map_or("shapes".to_owned(), |shape| format!("{}s", SHAPES[shape]));
        self.colour.map_or(shape.clone(), |colour| format!("{} {shape}", COLOURS[colour].0))
    }
}

/// Which thing stands in which cell, row by row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grid {
    cells: [Option<Thing>; CELLS],
}

impl Grid {
    /// Puts things into random cells.
    fn scatter(things: &[Thing], rng: &mut ChaCha8Rng) -> Self {
        let mut cells = [None; CELLS];
        for (cell, thing) in cells.iter_mut().zip(things) {
            *cell = Some(*thing);
        }
        cells.shuffle(rng);
        Self { cells }
    }

    fn random(level: u8, rng: &mut ChaCha8Rng) -> Self {
        let things: Vec<Thing> = (0..total(level, rng)).map(|_| Thing::random(rng)).collect();
        Self::scatter(&things, rng)
    }

    /// How many of a subject each row holds.
    fn per_row(&self, subject: Subject) -> [usize; SIDE] {
        let count = |row: usize| {
            let cells = &self.cells[row * SIDE..(row + 1) * SIDE];
            cells.iter().flatten().filter(|thing| subject.holds(**thing)).count()
        };
        [0, 1, 2].map(count)
    }

    /// The whole grid in words, row by row.
    pub fn words(&self) -> String {
        let cell = |cell: &Option<Thing>| cell.map_or("nothing".to_owned(), Thing::words);
        let row = |row: &[Option<Thing>]| row.iter().map(cell).collect::<Vec<_>>().join(", ");
        self.cells.chunks(SIDE).map(row).collect::<Vec<_>>().join("; ")
    }

    /// Draws cell borders and things.
    pub fn draw(&self, canvas: &mut Canvas) {
        let cell = 1.0 / SIDE as f64;
        let hair = 1.0 / canvas.size() as f64;
        for index in 1..SIDE {
            let at = (index as f64 * cell * canvas.size() as f64).round() * hair;
            canvas.rectangle([at, 0.0, at + hair, 1.0], canvas::GREY);
            canvas.rectangle([0.0, at, 1.0, at + hair], canvas::GREY);
        }
        for (index, thing) in self.cells.iter().enumerate() {
            let Some(thing) = thing else { continue };
            let center = [index % SIDE, index / SIDE].map(|place| (place as f64 + 0.5) * cell);
            let colour = COLOURS[thing.colour].1;
            let radius = cell * 0.36;
            let [x, y] = center;
            match thing.shape {
                0 => canvas.disc(center, radius, colour),
                1 => {
                    let half = radius * 0.9;
                    canvas.rectangle([x - half, y - half, x + half, y + half], colour);
                }
                _ => {
                    let corners = [[x, y - radius], [x - radius, y + radius * 0.85], [x + radius, y + radius * 0.85]];
                    canvas.convex(&corners, colour);
                }
            }
        }
    }
}

/// How many things a level's grid holds.
fn total(level: u8, rng: &mut ChaCha8Rng) -> usize {
    match level {
        1 => rng.random_range(2..=3),
        2 => rng.random_range(3..=5),
        3 => rng.random_range(4..=6),
        4 => rng.random_range(6..=8),
        _ => rng.random_range(7..=9),
    }
}

/// `rows 1+0+2=3`: what each row holds, and the sum.
fn sum(rows: [usize; SIDE]) -> String {
    format!("{}+{}+{}={}", rows[0], rows[1], rows[2], rows.iter().sum::<usize>())
}

/// Describe the grid, row by row.
pub fn caption(level: u8, rng: &mut ChaCha8Rng) -> Item {
    let grid = Grid::random(level, rng);
    Item { prompt: "Describe the grid.".into(), says: Says::Text(grid.words()), scene: Some(Scene::Grid(grid)) }
}

/// Levels 1 and 2 ask for a colour, 3 for a colour or a shape, 4 and 5 for both; counts from 0 to 5 are about as frequent.
pub fn count(level: u8, rng: &mut ChaCha8Rng) -> Item {
    let (colour, shape) = (rng.random_range(0..COLOURS.len()), rng.random_range(0..SHAPES.len()));
    let subject = match level {
        1 | 2 => Subject { colour: Some(colour), shape: None },
        3 if rng.random_bool(0.5) => Subject { colour: Some(colour), shape: None },
        3 => Subject { colour: None, shape: Some(shape) },
        _ => Subject { colour: Some(colour), shape: Some(shape) },
    };
    let total = total(level, rng);
    let count = rng.random_range(0..=total.min(5));
    let things: Vec<Thing> = (0..total).map(|index| subject.thing(index < count, rng)).collect();
    let grid = Grid::scatter(&things, rng);
    let reasoning = format!("rows {}", sum(grid.per_row(subject)));
    Item::answer(format!("How many {}?", subject.words()), Some(Scene::Grid(grid)), reasoning, &count)
}

/// Levels 1 and 2 ask which of two colours has more shapes, levels 3 to 5 how many more of one there are than of the other.
pub fn more(level: u8, rng: &mut ChaCha8Rng) -> Item {
    let mut colours = [0, 1, 2, 3];
    colours.shuffle(rng);
    let [first, second, ..] = colours.map(|colour| Subject { colour: Some(colour), shape: None });
    loop {
        let total = total(level.max(2), rng);
        let things: Vec<Thing> = (0..total)
            .map(|_| match rng.random_range(0..5) {
                0 | 1 => first.thing(true, rng),
                2 | 3 => second.thing(true, rng),
                _ => Thing::random(rng),
            })
            .collect();
        let grid = Grid::scatter(&things, rng);
        let rows = [first, second].map(|subject| grid.per_row(subject));
        let [a, b] = rows.map(|rows| rows.iter().sum::<usize>());
        if a == b || (level >= 3 && a < b) {
            continue;
        }
        let [one, other] = [first, second].map(|subject| COLOURS[subject.colour.unwrap_or_default()].0);
        let counted = format!("{one} {}, {other} {}", sum(rows[0]), sum(rows[1]));
        let scene = Some(Scene::Grid(grid));
        if level >= 3 {
            let prompt = format!("How many more {one} than {other} shapes?");
            return Item::answer(prompt, scene, format!("{counted}, {a}-{b}={}", a - b), &(a - b));
        }
        let (sign, winner) = if a > b { ('>', one) } else { ('<', other) };
        let prompt = format!("Are there more {one} or {other} shapes?");
        return Item::answer(prompt, scene, format!("{counted}, {a}{sign}{b}"), &winner);
    }
}

/// A direction as asked, as written, and its step in columns and rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Direction {
    asked: &'static str,
    written: &'static str,
    columns: isize,
    rows: isize,
}

const DIRECTIONS: [Direction; 4] = [
    Direction { asked: "left of", written: "left", columns: -1, rows: 0 },
    Direction { asked: "right of", written: "right", columns: 1, rows: 0 },
    Direction { asked: "above", written: "above", columns: 0, rows: -1 },
    Direction { asked: "below", written: "below", columns: 0, rows: 1 },
];

/// The cell next to `from` in a direction.
fn step(from: usize, direction: Direction) -> Option<usize> {
    let column = (from % SIDE).checked_add_signed(direction.columns).filter(|&column| column < SIDE)?;
    let row = (from / SIDE).checked_add_signed(direction.rows).filter(|&row| row < SIDE)?;
    Some(row * SIDE + column)
}

/// `2,3`: row and column from 1.
fn place(cell: usize) -> String {
    format!("{},{}", cell / SIDE + 1, cell % SIDE + 1)
}

/// Which shape is next to another, in one step at levels 1 to 3, in two steps at levels 4 and 5.
pub fn relate(level: u8, rng: &mut ChaCha8Rng) -> Item {
    loop {
        let grid = Grid::random(level.max(2), rng);
        let from = rng.random_range(0..CELLS);
        let Some(anchor) = grid.cells[from] else { continue };
        if grid.cells.iter().flatten().filter(|thing| **thing == anchor).count() != 1 {
            continue;
        }
        let mut path = Vec::new();
        let mut at = from;
        for _ in 0..if level >= 4 { 2 } else { 1 } {
            let steps: Vec<(Direction, usize)> =
                DIRECTIONS.iter().filter_map(|&direction| Some((direction, step(at, direction)?))).collect();
            let Some(&(direction, next)) = steps.choose(rng) else { break };
            path.push((direction, next));
            at = next;
        }
        let Some(found) = grid.cells[at].filter(|_| at != from) else { continue };
        let written = |&(direction, cell): &(Direction, usize)| format!("{} is {}", direction.written, place(cell));
        let places: Vec<String> = path.iter().map(written).collect();
        let reasoning = format!("{} at {}, {}", anchor.words(), place(from), places.join(", "));
        // The last step is said first: what is above the cell left of the red circle?
        let mut asked = format!("the {}", anchor.words());
        for (index, (direction, _)) in path.iter().enumerate() {
            let cell = if index + 1 < path.len() { "the cell " } else { "" };
            asked = format!("{cell}{} {asked}", direction.asked);
        }
        return Item::answer(format!("What is just {asked}?"), Some(Scene::Grid(grid)), reasoning, &found.words());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn thing(colour: usize, shape: usize) -> Thing {
        Thing { colour, shape }
    }

    #[test]
    fn rows_are_counted_and_described_in_reading_order() {
        let mut cells = [None; CELLS];
        (cells[0], cells[2], cells[7]) = (Some(thing(0, 0)), Some(thing(2, 1)), Some(thing(0, 2)));
        let grid = Grid { cells };
        assert_eq!(sum(grid.per_row(Subject { colour: Some(0), shape: None })), "1+0+1=2");
        assert_eq!(
            grid.words(),
            "red circle, nothing, blue square; nothing, nothing, nothing; nothing, red triangle, nothing"
        );
    }

    #[test]
    fn steps_stay_on_the_grid() {
        assert_eq!(step(0, DIRECTIONS[0]), None);
        assert_eq!(step(4, DIRECTIONS[0]), Some(3));
        assert_eq!(step(4, DIRECTIONS[3]), Some(7));
        assert_eq!(step(8, DIRECTIONS[1]), None);
        assert_eq!(place(5), "2,3");
    }

    /// A thing's colour fills its own cell and no other.
    #[test]
    fn things_are_drawn_in_their_cells() {
        for size in [84, 112, 336] {
            for cell in 0..CELLS {
                for shape in 0..SHAPES.len() {
                    let mut cells = [None; CELLS];
                    cells[cell] = Some(thing(0, shape));
                    let image = Scene::Grid(Grid { cells }).draw(size).into_image();
                    let found: Vec<usize> = (0..size * size)
                        .filter(|i| image.pixels[i * 3..i * 3 + 3] == COLOURS[0].1)
                        .map(|i| (i / size * SIDE / size) * SIDE + i % size * SIDE / size)
                        .collect();
                    assert!(found.iter().all(|&at| at == cell));
                    assert!(found.len() * CELLS * 6 > size * size, "cell {cell} shape {shape} size {size}");
                }
            }
        }
    }
}
