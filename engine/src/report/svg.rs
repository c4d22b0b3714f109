//! Curves and differences → drawings, as SVG inside a page. Colours are classes (`c0` …) that the page's style sheet gives a
//! meaning in light and dark; refuses to know what is drawn beyond numbers and labels.

use super::rows::short;
use super::{Curve, CurveLine, Interval};

/// Colours that there are.
pub(super) const COLOURS: usize = 8;
const DASHES: [&str; 4] = ["", "7 3", "2 3", "8 3 2 3"];

/// Text as HTML says it.
pub(super) fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe += "&amp;",
            '<' => safe += "&lt;",
            '>' => safe += "&gt;",
            '"' => safe += "&quot;",
            '\'' => safe += "&#39;",
            _ => safe.push(c),
        }
    }
    safe
}

/// Round numbers from `low` to `high`: steps of 1, 2 or 5 times a power of ten, about `count` of them.
pub(super) fn ticks(low: f64, high: f64, count: usize) -> Vec<f64> {
    let span = high - low;
    if !span.is_finite() || span <= 0.0 {
        return vec![low];
    }
    let rough = span / count as f64;
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power).into_iter().find(|step| *step >= rough);
    let step = step.unwrap_or(rough);
    let first = (low / step - 1e-9).ceil() as i64;
    let last = (high / step + 1e-9).floor() as i64;
    (first..=last).map(|at| at as f64 * step).collect()
}

/// A position on an axis.
struct Axis {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Axis {
    fn at(&self, value: f64) -> f64 {
        let share = if self.high > self.low { (value - self.low) / (self.high - self.low) } else { 0.5 };
        self.from + share * (self.to - self.from)
    }
}

/// A number over steps: a line per variant, and over several seeds the band from the lowest to the highest. `colour` gives
/// the number of a line's colour.
pub(super) fn chart(curve: &Curve, colour: impl Fn(&CurveLine) -> usize) -> String {
    const WIDTH: f64 = 440.0;
    const HEIGHT: f64 = 230.0;
    let points = || curve.lines.iter().flat_map(|line| &line.points);
    let low = points().map(|point| point.low).fold(f64::INFINITY, f64::min);
    let high = points().map(|point| point.high).fold(f64::NEG_INFINITY, f64::max);
    let x = Axis { low: 0.0, high: curve.steps as f64, from: 58.0, to: WIDTH - 12.0 };
    let y = Axis { low, high, from: HEIGHT - 38.0, to: 12.0 };
    let title = escape(&format!("{} of {}", curve.metric, curve.stage));
    let mut svg = format!(
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title} over steps\"><title>{title}</title>\n"
    );
    for tick in ticks(low, high, 5) {
        let at = y.at(tick);
        svg += &format!(
            "<line class=\"grid\" x1=\"{:.1}\" x2=\"{:.1}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/><text class=\"end\" x=\"{:.1}\" \
             y=\"{:.1}\">{}</text>\n",
            x.from,
            x.to,
            x.from - 6.0,
            at + 4.0,
            short(tick)
        );
    }
    for tick in ticks(0.0, curve.steps as f64, 6) {
        let at = x.at(tick);
        svg += &format!(
            "<line class=\"axis\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{:.1}\" y2=\"{:.1}\"/><text class=\"middle\" \
             x=\"{at:.1}\" y=\"{:.1}\">{tick}</text>\n",
            y.from,
            y.from + 4.0,
            y.from + 17.0
        );
    }
    svg += &format!(
        "<path class=\"axis\" d=\"M{:.1} {:.1}V{:.1}H{:.1}\"/><text class=\"middle\" x=\"{:.1}\" y=\"{:.1}\">step</text>\n",
        x.from,
        y.to,
        y.from,
        x.to,
        f64::midpoint(x.from, x.to),
        HEIGHT - 4.0
    );
    let at = |step: usize, value: f64| format!("{:.1} {:.1}", x.at(step as f64), y.at(value));
    // Bands first, so that none lies over a line.
    for line in curve.lines.iter().filter(|line| line.seeds > 1) {
        let up = line.points.iter().map(|point| at(point.step, point.high));
        let down = line.points.iter().rev().map(|point| at(point.step, point.low));
        let band = up.chain(down).collect::<Vec<_>>().join("L");
        svg += &format!("<path class=\"band c{}\" d=\"M{band}Z\"/>\n", colour(line) % COLOURS);
    }
    for line in &curve.lines {
        let path = line.points.iter().map(|point| at(point.step, point.mean)).collect::<Vec<_>>().join("L");
        let (label, colour) = (escape(&line.label()), colour(line));
        svg += &format!(
            "<path class=\"line c{}\"{} d=\"M{path}\"><title>{label}</title></path>\n",
            colour % COLOURS,
            dash(colour)
        );
    }
    svg + "</svg>\n"
}

/// A sample of a line, for a legend.
pub(super) fn swatch(colour: usize) -> String {
    format!(
        "<svg class=\"swatch\" viewBox=\"0 0 28 8\" aria-hidden=\"true\"><path class=\"line c{}\"{} d=\"M1 4H27\"/></svg>",
        colour % COLOURS,
        dash(colour)
    )
}

fn dash(colour: usize) -> String {
    match DASHES[colour / COLOURS % DASHES.len()] {
        "" => String::new(),
        dashes => format!(" stroke-dasharray=\"{dashes}\""),
    }
}

/// One line of [`forest`].
pub(super) struct Effect {
    pub label: String,
    pub mean: f64,
    pub interval: Interval,
    pub colour: usize,
    /// Is it filled?
    pub excludes_zero: bool,
}

/// Differences with their intervals, one below the other, on one axis with a line at zero.
pub(super) fn forest(title: &str, effects: &[Effect]) -> String {
    const WIDTH: f64 = 560.0;
    const ROW: f64 = 24.0;
    let height = effects.len() as f64 * ROW + 38.0;
    let low = effects.iter().map(|effect| effect.interval.low).fold(0.0, f64::min);
    let high = effects.iter().map(|effect| effect.interval.high).fold(0.0, f64::max);
    let margin = ((high - low) * 0.05).max(1e-6);
    let x = Axis { low: low - margin, high: high + margin, from: 170.0, to: WIDTH - 12.0 };
    let bottom = height - 26.0;
    let title = escape(title);
    let mut svg = format!(
        "<svg class=\"forest\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{title}\"><title>{title}</title>\n"
    );
    for tick in ticks(x.low, x.high, 6) {
        let at = x.at(tick);
        let text = if tick.abs() < 1e-12 { "0".to_owned() } else { format!("{tick:+.3}") };
        let class = if tick.abs() < 1e-12 { "axis" } else { "grid" };
        svg += &format!(
            "<line class=\"{class}\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"4\" y2=\"{bottom:.1}\"/><text class=\"middle\" \
             x=\"{at:.1}\" y=\"{:.1}\">{text}</text>\n",
            bottom + 16.0
        );
    }
    for (index, effect) in effects.iter().enumerate() {
        let y = index as f64 * ROW + 4.0 + ROW / 2.0;
        let (from, to, at) = (x.at(effect.interval.low), x.at(effect.interval.high), x.at(effect.mean));
        let colour = effect.colour % COLOURS;
        let point = if effect.excludes_zero { "dot" } else { "ring" };
        svg += &format!(
            "<text class=\"end\" x=\"{:.1}\" y=\"{:.1}\">{}</text><path class=\"line c{colour}\" d=\"M{from:.1} \
             {y:.1}H{to:.1}M{from:.1} {:.1}v8M{to:.1} {:.1}v8\"/><circle class=\"{point} c{colour}\" cx=\"{at:.1}\" \
             cy=\"{y:.1}\" r=\"4.5\"/>\n",
            x.from - 8.0,
            y + 4.0,
            escape(&clipped(&effect.label)),
            y - 4.0,
            y - 4.0
        );
    }
    svg + "</svg>\n"
}

/// A label that fits the margin.
fn clipped(label: &str) -> String {
    const MOST: usize = 24;
    if label.chars().count() <= MOST {
        return label.to_owned();
    }
    label.chars().take(MOST - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round() {
        let spelled = |low, high, count| ticks(low, high, count).into_iter().map(short).collect::<Vec<_>>();
        assert_eq!(spelled(0.0, 1.0, 5), ["0", "0.200", "0.400", "0.600", "0.800", "1.000"]);
        assert_eq!(spelled(-0.13, 0.32, 5), ["-0.100", "0", "0.100", "0.200", "0.300"]);
        assert_eq!(spelled(0.0, 100.0, 6), ["0", "20.0", "40.0", "60.0", "80.0", "100"]);
        assert_eq!(ticks(3.0, 3.0, 5), [3.0]);
        assert_eq!(ticks(0.0, f64::NAN, 5).len(), 1);
    }

    #[test]
    fn nothing_that_is_written_becomes_markup() {
        assert_eq!(escape(r#"<a b="c">&'"#), "&lt;a b=&quot;c&quot;&gt;&amp;&#39;");
    }

    #[test]
    fn colours_that_run_out_get_dashes() {
        assert!(swatch(0).contains("class=\"line c0\" d="));
        assert!(swatch(8).contains("class=\"line c0\" stroke-dasharray=\"7 3\" d="));
    }

    #[test]
    fn a_forest_has_its_zero_in_sight() {
        let effect = |mean: f64| Effect {
            label: "a_variant_with_a_very_long_name".into(),
            mean,
            interval: Interval { low: mean - 0.1, high: mean + 0.1 },
            colour: 1,
            excludes_zero: true,
        };
        let svg = forest("accuracy", &[effect(0.5), effect(0.7)]);
        assert!(svg.contains(">0</text>") && svg.contains("class=\"axis\""), "{svg}");
        assert!(svg.contains("a_variant_with_a_very_l…"), "{svg}");
        assert_eq!(svg.matches("<circle").count(), 2);
    }
}
