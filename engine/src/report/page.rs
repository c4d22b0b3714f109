//! [`Report`] → one HTML file that needs no other: no script, no font, no address. Tables are those of the markdown; beside
//! them stand drawings ([`super::svg`]).

use std::collections::BTreeMap;

use super::rows::Rows;
use super::svg::{Effect, chart, escape, forest, swatch};
use super::{ArmTable, Arms, CurveLine, Report};

/// Okabe and Ito's colours, which are told apart with any kind of colour vision; the yellow is darker on white.
const STYLE: &str = "\
:root{color-scheme:light dark;--text:#1b1b1b;--back:#fff;--soft:#6b6b6b;--rule:#dcdcdc;--head:#f5f5f5;\
--c0:#0072b2;--c1:#e69f00;--c2:#009e73;--c3:#d55e00;--c4:#cc79a7;--c5:#56b4e9;--c6:#8a7f00;--c7:#555}
@media(prefers-color-scheme:dark){:root{--text:#e6e6e6;--back:#161618;--soft:#a0a0a0;--rule:#38383c;--head:#222226;\
--c0:#4aa8e0;--c6:#f0e442;--c7:#bbb}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--text);background:var(--back);max-width:1100px;margin:2rem auto;padding:0 1rem}
h1,h2,h3{line-height:1.2}h2{margin-top:2.4rem;border-bottom:1px solid var(--rule);padding-bottom:.3rem}
p.about{color:var(--soft);max-width:52rem}.scroll{overflow-x:auto}
table{border-collapse:collapse;margin:.8rem 0;font-variant-numeric:tabular-nums}
th,td{text-align:left;padding:.25rem .7rem;border-bottom:1px solid var(--rule);white-space:nowrap;vertical-align:top}
td.long{white-space:normal;min-width:16rem}th{background:var(--head)}
code,td.mono{font-family:ui-monospace,monospace;font-size:.92em}
svg{display:block;width:100%;height:auto}svg text{font-size:11px;fill:var(--soft)}svg.forest{max-width:640px}
.end{text-anchor:end}.middle{text-anchor:middle}
.grid{stroke:var(--rule)}.axis{stroke:var(--soft);fill:none}.line{fill:none;stroke-width:2}.band{fill-opacity:.15;stroke:none}
.ring{fill:var(--back);stroke-width:2}
.charts{display:grid;grid-template-columns:repeat(auto-fill,minmax(320px,1fr));gap:1rem}
figure{margin:0}figcaption{font-weight:600;margin-bottom:.2rem}
ul.legend{list-style:none;display:flex;flex-wrap:wrap;gap:.2rem 1.2rem;padding:0}
ul.legend li{display:flex;align-items:center;gap:.4rem}.swatch{width:28px;flex:none}
summary{cursor:pointer;font-weight:600;margin:.6rem 0}
";

impl Report {
    /// The report as a page.
    pub fn to_html(&self) -> String {
        let name = escape(&self.recipe);
        let mut page = format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" \
             content=\"width=device-width,initial-scale=1\">\n<title>{name}</title>\n<style>\n{STYLE}{}</style>\n</head>\n\
             <body>\n<h1>{name}</h1>\n<p>{}</p>\n",
            colours(),
            escape(&self.headline())
        );
        if let Some(arms) = &self.arms {
            page += &self.arms_section(arms);
        }
        if !self.evaluations.is_empty() {
            page += &format!("<h2>Metrics{}</h2>\n{}", self.of_base(), table(&self.metric_rows()));
            page += &about(self.about_metrics());
        }
        if !self.comparisons.is_empty() {
            page += &format!("<h2>What each stage added{}</h2>\n{}", self.of_base(), table(&self.comparison_rows()));
            page += &about(self.about_comparisons());
        }
        if !self.gates.is_empty() {
            page += &format!("<h2>Gates</h2>\n{}{}", table(&self.gate_rows()), about(self.about_gates()));
        }
        page += &self.curves_section();
        if !self.alerts.is_empty() {
            page += &format!("<h2>Alerts</h2>\n{}", table(&self.alert_rows()));
        }
        if !self.curation.is_empty() {
            page += &format!("<h2>Rows</h2>\n{}", table(&self.curation_rows()));
        }
        for (title, cells) in self.curation_tables() {
            page += &format!("<details>\n<summary>{}</summary>\n{}</details>\n", escape(&title), table(cells));
        }
        page += &format!("<h2>Stages</h2>\n{}", table(&self.stage_rows()));
        if self.is_folded() {
            let lines: String =
                self.troubles().iter().fold(String::new(), |text, line| text + "<li>" + &escape(line) + "</li>");
            page += &format!("<ul>{lines}</ul>\n");
        }
        let memory = self.memory_rows();
        if memory.len() > 1 {
            page += &format!("<h2>Memory</h2>\n{}{}", table(&memory), about(Self::about_memory()));
        }
        page + "</body>\n</html>\n"
    }

    fn arms_section(&self, arms: &Arms) -> String {
        let mut text = "<h2>Arms</h2>\n".to_owned();
        let head = ["arm", "seeds", "sets"].map(str::to_owned).to_vec();
        let described = arms.variants.iter().map(|variant| {
            let sets = variant.settings.iter().map(|(path, value)| format!("{path} = {value}"));
            let seeds = variant.seeds.iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
            vec![variant.name.clone(), seeds, sets.collect::<Vec<_>>().join("; ")]
        });
        text += &table(&std::iter::once(head).chain(described).collect());
        for part in &arms.tables {
            let body = format!("{}{}", self.forests(part), arm_tables(part));
            // The overall accuracy is what one comes for; parts of it and other metrics wait to be opened.
            let metric = escape(&part.metric);
            text += &if part.metric == "accuracy" {
                format!("<h3>{metric}</h3>\n{body}")
            } else {
                format!("<details>\n<summary>{metric}</summary>\n{body}</details>\n")
            };
        }
        text + &about(&arms.method())
    }

    /// Differences to the base, drawn, for every column that has any.
    fn forests(&self, part: &ArmTable) -> String {
        let colours = self.colours();
        let mut text = String::new();
        for (column, name) in part.columns.iter().enumerate() {
            let effects: Vec<Effect> = part
                .rows
                .iter()
                .filter_map(|row| {
                    let difference = row.cells.get(column)?.as_ref()?.difference?;
                    Some(Effect {
                        label: row.variant.clone(),
                        mean: difference.estimate.mean,
                        interval: difference.estimate.interval,
                        colour: colours.get(&row.variant).copied().unwrap_or_default(),
                        excludes_zero: difference.excludes_zero(),
                    })
                })
                .collect();
            if !effects.is_empty() {
                let title = format!("{} of {name}, arm − base", part.metric);
                let caption = escape(&title);
                text += &format!("<figure><figcaption>{caption}</figcaption>\n{}</figure>\n", forest(&title, &effects));
            }
        }
        text
    }

    fn curves_section(&self) -> String {
        let stages = self.curved_stages();
        if stages.is_empty() {
            return String::new();
        }
        let numbers = self.colours();
        let colour = |line: &CurveLine| line.variants.first().and_then(|name| numbers.get(name)).copied().unwrap_or(0);
        let mut text = "<h2>Curves</h2>\n".to_owned();
        text += &about(
            "Means over a twentieth of the steps each, then over seeds; bands reach from the lowest to the highest seed.",
        );
        for (stage, steps) in stages {
            text += &format!("<h3>{}, {steps} steps</h3>\n", escape(stage));
            let curves = || self.curves.iter().filter(|curve| curve.stage == stage);
            let mut legend: BTreeMap<usize, String> = BTreeMap::new();
            for line in curves().flat_map(|curve| &curve.lines) {
                legend.entry(colour(line)).or_insert_with(|| line.label());
            }
            let entry = |text: String, (at, name): (&usize, &String)| {
                text + &format!("<li>{}{}</li>", swatch(*at), escape(name))
            };
            text += &format!("<ul class=\"legend\">{}</ul>\n", legend.iter().fold(String::new(), entry));
            text += "<div class=\"charts\">\n";
            for curve in curves() {
                let caption = escape(&curve.metric);
                text += &format!("<figure><figcaption>{caption}</figcaption>\n{}</figure>\n", chart(curve, colour));
            }
            text += "</div>\n";
            text += &format!("<details><summary>numbers</summary>\n{}</details>\n", table(&self.curve_rows(stage)));
        }
        text
    }

    /// A number for the colour of every variant, the same in every drawing.
    fn colours(&self) -> BTreeMap<String, usize> {
        let names = self.by_variant.iter().map(|of| of.variant.clone());
        names.enumerate().map(|(at, name)| (name, at)).collect()
    }
}

fn colours() -> String {
    let rule = |text: String, at: usize| {
        text + &format!(".line.c{at},.ring.c{at}{{stroke:var(--c{at})}}.band.c{at},.dot.c{at}{{fill:var(--c{at})}}\n")
    };
    (0..super::svg::COLOURS).fold(String::new(), rule)
}

fn arm_tables(part: &ArmTable) -> String {
    table(&part.mean_rows()) + &part.difference_rows().map_or_else(String::new, |rows| table(&rows))
}

fn about(text: &str) -> String {
    format!("<p class=\"about\">{}</p>\n", escape(&text.replace('`', "")))
}

fn table(rows: &Rows) -> String {
    let mut text = "<div class=\"scroll\"><table>\n".to_owned();
    for (index, row) in rows.iter().enumerate() {
        text += "<tr>";
        for cell in row {
            let long = if cell.chars().count() > 60 { " class=\"long\"" } else { "" };
            text += &match index {
                0 => format!("<th scope=\"col\">{}</th>", escape(cell)),
                _ => format!("<td{long}>{}</td>", escape(cell)),
            };
        }
        text += "</tr>\n";
    }
    text + "</table></div>\n"
}
